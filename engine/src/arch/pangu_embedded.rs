//! `pangu-embedded`: openPangu Embedded 1B and 7B. Projections of the attention have biases.

use super::Arch;

pub(super) const ARCH: Arch = Arch { name: "pangu-embedded", ..Arch::PLAIN };
