//! `mistral4`: Mistral Small 4. As `deepseek2`.

use super::{Arch, deepseek2};

pub(super) const ARCH: Arch = Arch { name: "mistral4", ..deepseek2::ARCH };
