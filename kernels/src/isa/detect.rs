//! Which instruction sets this CPU has, and the choice of one. All detection goes through the tokens' constructors.

use super::{Isa, Kernel, scalar::Scalar};
use std::fmt;

/// An instruction set by name; [`CpuIsa`] is the checked form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsaKind {
    /// Portable code.
    Scalar,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// The same with AVX-VNNI.
    AvxVnni,
    /// AVX-512 F/BW/VL/DQ.
    Avx512,
    /// The same with VNNI.
    Avx512Vnni,
    /// The same with the matrix unit (AMX-INT8).
    Amx,
    /// NEON, the baseline of aarch64.
    Neon,
    /// The same with dot products of bytes.
    NeonDotprod,
    /// The same with products of 8-bit matrices.
    NeonI8mm,
}

impl IsaKind {
    /// Every kind Hewn knows, slowest first.
    pub const ALL: [Self; 9] = [
        Self::Scalar,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Amx,
        Self::Neon,
        Self::NeonDotprod,
        Self::NeonI8mm,
    ];

    /// The name used by `HEWN_ISA` and `--isa`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avxvnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
            Self::Amx => "amx",
            Self::Neon => "neon",
            Self::NeonDotprod => "neon-dotprod",
            Self::NeonI8mm => "neon-i8mm",
        }
    }

    /// The CPU features that it needs, and whether this CPU has each (and the system lets programs use it); `None` for
    /// the instruction sets of another architecture.
    pub fn features(self) -> Option<Vec<(&'static str, bool)>> {
        match self {
            Self::Scalar => Some(Vec::new()),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Some(super::avx2::Avx2::features()),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => Some(super::avxvnni::AvxVnni::features()),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Some(super::avx512::Avx512::features()),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Some(super::avx512vnni::Avx512Vnni::<false, false>::features()),
            #[cfg(target_arch = "x86_64")]
            Self::Amx => {
                let mut all = super::avx512vnni::Avx512Vnni::<true, false>::features();
                all.push(("amx-int8", super::amx::available()));
                Some(all)
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Some(super::neon::Neon::features()),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => Some(super::neon_dotprod::NeonDotprod::features()),
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => Some(super::neon_i8mm::NeonI8mm::features()),
            _ => None,
        }
    }
}

impl fmt::Display for IsaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an instruction set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// No instruction set has this name.
    #[error("unknown instruction set `{name}`; this CPU has: {have}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names available here.
        have: String,
    },
    /// The CPU lacks it.
    #[error("this CPU has no `{kind}`; it has: {have}")]
    Missing {
        /// The kind asked for.
        kind: IsaKind,
        /// The names available here.
        have: String,
    },
}

/// Whether there is more than portable code: a build without compiles a fraction of it, and `run` below has one arm.
const SIMD: bool = cfg!(feature = "simd");

#[derive(Clone, Copy, Debug)]
enum Token {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(super::avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(super::avxvnni::AvxVnni),
    #[cfg(target_arch = "x86_64")]
    Avx512(super::avx512::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(super::avx512vnni::Avx512Vnni<false, false>),
    #[cfg(target_arch = "x86_64")]
    Amx(super::avx512vnni::Avx512Vnni<true, false>),
    #[cfg(target_arch = "aarch64")]
    Neon(super::neon::Neon),
    #[cfg(target_arch = "aarch64")]
    NeonDotprod(super::neon_dotprod::NeonDotprod),
    #[cfg(target_arch = "aarch64")]
    NeonI8mm(super::neon_i8mm::NeonI8mm),
}

/// An instruction set that this CPU is known to have.
#[derive(Clone, Copy, Debug)]
pub struct CpuIsa(Token);

impl CpuIsa {
    /// The named kind, where the CPU has it.
    pub fn new(kind: IsaKind) -> Result<Self, IsaError> {
        Self::get(kind).ok_or_else(|| IsaError::Missing { kind, have: Self::names() })
    }

    fn get(kind: IsaKind) -> Option<Self> {
        if !SIMD && kind != IsaKind::Scalar {
            return None;
        }
        match kind {
            IsaKind::Scalar => Some(Self(Token::Scalar(Scalar))),
            #[cfg(target_arch = "x86_64")]
            IsaKind::Avx2 => super::avx2::Avx2::new().map(|t| Self(Token::Avx2(t))),
            #[cfg(target_arch = "x86_64")]
            IsaKind::AvxVnni => super::avxvnni::AvxVnni::new().map(|t| Self(Token::AvxVnni(t))),
            #[cfg(target_arch = "x86_64")]
            IsaKind::Avx512 => super::avx512::Avx512::new().map(|t| Self(Token::Avx512(t))),
            #[cfg(target_arch = "x86_64")]
            IsaKind::Avx512Vnni => super::avx512vnni::Avx512Vnni::new().map(|t| Self(Token::Avx512Vnni(t))),
            #[cfg(target_arch = "x86_64")]
            IsaKind::Amx => super::avx512vnni::Avx512Vnni::new().map(|t| Self(Token::Amx(t))),
            #[cfg(target_arch = "aarch64")]
            IsaKind::Neon => super::neon::Neon::new().map(|t| Self(Token::Neon(t))),
            #[cfg(target_arch = "aarch64")]
            IsaKind::NeonDotprod => super::neon_dotprod::NeonDotprod::new().map(|t| Self(Token::NeonDotprod(t))),
            #[cfg(target_arch = "aarch64")]
            IsaKind::NeonI8mm => super::neon_i8mm::NeonI8mm::new().map(|t| Self(Token::NeonI8mm(t))),
            _ => None,
        }
    }

    /// Every instruction set of this CPU, slowest first.
    pub fn available() -> Vec<Self> {
        IsaKind::ALL.into_iter().filter_map(Self::get).collect()
    }

    /// The fastest instruction set of this CPU.
    pub fn best() -> Self {
        IsaKind::ALL.into_iter().rev().find_map(Self::get).unwrap_or(Self(Token::Scalar(Scalar)))
    }

    /// By name (see [`IsaKind::name`]); the error lists what the CPU has.
    pub fn from_name(name: &str) -> Result<Self, IsaError> {
        match IsaKind::ALL.into_iter().find(|k| k.name() == name) {
            Some(kind) => Self::new(kind),
            None => Err(IsaError::Unknown { name: name.to_owned(), have: Self::names() }),
        }
    }

    /// The choice of a program: the environment variable `HEWN_ISA` if set and not empty, else the best.
    pub fn from_env() -> Result<Self, IsaError> {
        match std::env::var("HEWN_ISA") {
            Ok(name) if !name.is_empty() => Self::from_name(&name),
            _ => Ok(Self::best()),
        }
    }

    fn names() -> String {
        Self::available().iter().map(|i| i.kind().name()).collect::<Vec<_>>().join(", ")
    }

    /// Which one this is.
    pub fn kind(self) -> IsaKind {
        match self.0 {
            Token::Scalar(_) => IsaKind::Scalar,
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => IsaKind::Avx2,
            #[cfg(target_arch = "x86_64")]
            Token::AvxVnni(_) => IsaKind::AvxVnni,
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => IsaKind::Avx512,
            #[cfg(target_arch = "x86_64")]
            Token::Avx512Vnni(_) => IsaKind::Avx512Vnni,
            #[cfg(target_arch = "x86_64")]
            Token::Amx(_) => IsaKind::Amx,
            #[cfg(target_arch = "aarch64")]
            Token::Neon(_) => IsaKind::Neon,
            #[cfg(target_arch = "aarch64")]
            Token::NeonDotprod(_) => IsaKind::NeonDotprod,
            #[cfg(target_arch = "aarch64")]
            Token::NeonI8mm(_) => IsaKind::NeonI8mm,
        }
    }

    /// Runs a kernel in this instruction set's frame.
    ///
    /// Where the kernel does without some of its instructions, [`run_products`](Self::run_products) and
    /// [`run_lanes`](Self::run_lanes) run the same code, of which there are fewer copies to compile and to carry.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Out {
        if !SIMD {
            return Scalar.run(kernel);
        }
        match self.0 {
            Token::Scalar(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::AvxVnni(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512Vnni(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Amx(s) => s.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(s) => s.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::NeonDotprod(s) => s.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::NeonI8mm(s) => s.run(kernel),
        }
    }

    /// Runs a kernel that multiplies bytes a register at a time ([`Isa::dot`](super::Isa::dot)), without products of
    /// tiles or pairs.
    #[inline]
    pub fn run_products<K: Kernel>(self, kernel: K) -> K::Out {
        if !SIMD {
            return Scalar.run(kernel);
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Token::Amx(s) => super::avx512vnni::Avx512Vnni::<false, false>::from(s).run_with_books(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::NeonI8mm(s) => super::neon_dotprod::NeonDotprod::from(s).run(kernel),
            // Not `_ => self.run(kernel)`, which would be those two copies again.
            Token::Scalar(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::AvxVnni(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512Vnni(s) => s.run_with_books(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(s) => s.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::NeonDotprod(s) => s.run(kernel),
        }
    }

    /// The same for a kernel that takes several columns at a time; nothing on instruction sets that do not [take
    /// several](Self::takes_several). Those with few registers gain nothing from it, and AVX-512 without VNNI is rare, but would
    /// take as long to compile.
    #[inline]
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "no other instruction set takes several")
    )]
    pub fn run_several<K: Kernel>(self, kernel: K) -> Option<K::Out> {
        if !SIMD {
            return None;
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512Vnni(s) => Some(s.run_with_books(kernel)),
            #[cfg(target_arch = "x86_64")]
            Token::Amx(s) => Some(super::avx512vnni::Avx512Vnni::<false, false>::from(s).run_with_books(kernel)),
            _ => None,
        }
    }

    /// Whether [`run_several`](Self::run_several) runs kernels.
    pub fn takes_several(self) -> bool {
        matches!(self.kind(), IsaKind::Avx512Vnni | IsaKind::Amx)
    }

    /// Runs a kernel that multiplies no bytes: the operations on lanes are the same on all instruction sets with
    /// registers of one width.
    #[inline]
    pub fn run_lanes<K: Kernel>(self, kernel: K) -> K::Out {
        if !SIMD {
            return Scalar.run(kernel);
        }
        match self.0 {
            Token::Scalar(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::AvxVnni(s) => super::avx2::Avx2::from(s).run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512Vnni(s) => super::avx512::Avx512::from(s).run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Amx(s) => super::avx512::Avx512::from(s).run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(s) => s.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::NeonDotprod(s) => super::neon::Neon::from(s).run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::NeonI8mm(s) => super::neon::Neon::from(s).run(kernel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_errors_list_what_there_is() {
        for isa in CpuIsa::available() {
            assert_eq!(CpuIsa::from_name(isa.kind().name()).unwrap().kind(), isa.kind());
        }
        let err = CpuIsa::from_name("mmx").unwrap_err().to_string();
        assert!(err.contains("mmx") && err.contains("scalar"), "{err}");
    }

    #[test]
    fn what_is_available_lacks_no_feature() {
        for kind in IsaKind::ALL {
            let complete = kind.features().is_some_and(|all| all.iter().all(|(_, has)| *has));
            assert_eq!(complete, CpuIsa::new(kind).is_ok(), "{kind}");
        }
    }

    #[test]
    fn best_is_the_last_available() {
        assert_eq!(CpuIsa::best().kind(), CpuIsa::available().last().unwrap().kind());
    }
}
