//! What the x86 files share: how a token is made and how its intrinsics are called.
//!
//! An instruction set here is a token (made by [`token!`], which takes the list of CPU features, the only one), the
//! common operations on its registers ([`lanes256!`](super::lanes256) or [`lanes512!`](super::lanes512)), and the byte
//! products that set it apart, in a file of its own.

/// Declares a token: its type, the constructor that checks the features, and the frame that enables the same ones. In
/// parentheses, what else it knows of the CPU.
macro_rules! token {
    ($(#[$doc:meta])* $name:ident $(<$($flag:ident),+>)? $(($known:ident))?: [$($feature:tt)+] $(&& $also:expr)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name $(<$(const $flag: bool),+>)? (() $(, pub(super) $known)?);

        impl $(<$(const $flag: bool),+>)? $name $(<$($flag),+>)? {
            /// The token, where the CPU has the features.
            pub fn new() -> Option<Self> {
                let has = $(is_x86_feature_detected!($feature))&&+;
                (has $(&& $also)?).then(|| Self(() $(, $known::new())?))
            }

            /// The features by name, and whether the CPU has each.
            pub fn features() -> Vec<(&'static str, bool)> {
                vec![$(($feature, is_x86_feature_detected!($feature))),+]
            }

            #[target_feature($(enable = $feature),+)]
            fn frame<K: Kernel>(self, kernel: K) -> K::Out {
                kernel.call(self)
            }
        }
    };
}

/// Calls intrinsics in a method of a token.
macro_rules! simd {
    ($e:expr) => {{
        // SAFETY: the token that this method belongs to exists only where its constructor saw every feature of its
        // list, which these intrinsics need; loads and stores go through references to arrays of exactly the size they
        // touch.
        unsafe { $e }
    }};
}

/// How entries of tables are found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables {
    /// Whether gathers of sixteen lanes take longer than from a table of 512 in registers. On a Zen 4 they do (22 to 30 cycles,
    /// and codebooks of 512 are 1.2 to 1.8 times as fast from registers), and on a Cascade Lake (29 to 38 cycles; 1.2 to 1.9
    /// times); where gathers take 9 cycles they would not, by the count of instructions.
    pub slow: bool,
    /// Whether single bytes are found in registers, 64 at a time: see [`super::vbmi`].
    pub bytes: bool,
}

impl Tables {
    pub fn new() -> Self {
        Self { slow: is_amd() || samples_gathers(), bytes: is_x86_feature_detected!("avx512vbmi") }
    }
}

/// Who designed the CPU.
fn vendor() -> [u8; 12] {
    let id = std::arch::x86_64::__cpuid(0);
    bytemuck::cast([id.ebx, id.edx, id.ecx].map(u32::to_le_bytes))
}

/// Whether AMD designed the CPU.
pub(super) fn is_amd() -> bool {
    [b"AuthenticAMD", b"HygonGenuine"].contains(&&vendor())
}

/// Whether it is one of Intel's whose gathers could leak what others load (`INTEL-SA-00828`, by the list of models of
/// Linux's `GDS`), which microcode prevents at a price: of those with AVX-512 Skylake, Cascade Lake and Cooper Lake, Ice
/// Lake, Tiger Lake and Rocket Lake.
fn samples_gathers() -> bool {
    let version = std::arch::x86_64::__cpuid(1).eax;
    let [model, family, more] = [version >> 4 & 15, version >> 8 & 15, version >> 16 & 15];
    let models = [0x55, 0x6a, 0x6c, 0x7d, 0x7e, 0x8c, 0x8d, 0xa7];
    &vendor() == b"GenuineIntel" && family == 6 && models.contains(&(more << 4 | model))
}

/// How many pair sums of `bits`-wide weights times +-127 an i16 can hold: 15 * 254 * 8 = 30,480 and so on.
pub(super) const fn room(bits: u32) -> usize {
    match bits {
        0..=4 => 8,
        5 => 4,
        6 => 2,
        _ => 1,
    }
}

/// How `b_signs` spreads the bits of a byte: `SHUFFLE` puts the byte alone into both words of its lane, and a product with
/// `COPIES` makes two copies side by side in each. They lie seven bits apart, so `KEEP` first takes from the low word the
/// byte's top bit and from the high one its lowest two, which are of no use there.
pub(super) mod signs {
    pub const KEEP: i32 = 0xfc_007f;
    pub const COPIES: i32 = (1 << 7 | 1) << 16 | (1 << 9 | 1 << 2);
    pub const SHUFFLE: [u8; 16] = {
        let mut all = [0x80; 16];
        let mut word = 0;
        while word < 8 {
            all[2 * word] = 4 * (word as u8 / 2);
            word += 1;
        }
        all
    };
}

pub(super) use {simd, token};
