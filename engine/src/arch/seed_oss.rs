//! `seed_oss`: Seed-OSS. Biases on query, key and value; the feed-forward part's norm has another name.

use super::{Arch, Norms};

pub(super) const ARCH: Arch =
    Arch { name: "seed_oss", norms: Norms { before_ff: Some("post_attention_norm"), ..Norms::BEFORE }, ..Arch::PLAIN };
