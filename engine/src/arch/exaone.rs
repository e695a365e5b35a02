//! `exaone`: EXAONE 3, 3.5 and Deep.

use super::Arch;

pub(super) const ARCH: Arch = Arch { name: "exaone", ..Arch::PLAIN };
