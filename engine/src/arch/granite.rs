//! `granite`: IBM's Granite 3 and the dense ones of 4. Scales of embeddings, residuals, scores and logits, all in the metadata.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch =
    Arch { name: "granite", pairing: Pairing::Neighbours, logits_divided: true, turned_said: true, ..Arch::PLAIN };
