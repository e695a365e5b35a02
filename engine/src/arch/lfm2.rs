//! `lfm2`: the dense LFM 2 and 2.5 models of Liquid AI. Most layers are short convolutions between two gates; the others
//! attend, with normed heads.

use super::{Arch, HeadNorm, Recurrence};

pub(super) const ARCH: Arch = Arch {
    name: "lfm2",
    head_norm: HeadNorm::Each,
    recurrence: Some(Recurrence::ShortConvolution),
    // The files have it by the name of another norm.
    out_norm: Some("token_embd_norm"),
    ..Arch::PLAIN
};
