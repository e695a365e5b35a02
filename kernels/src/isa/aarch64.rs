//! What the aarch64 files share: how a token is made and how its intrinsics are called.
//!
//! As on x86 (`x86.rs`), an instruction set is a token (made by [`token!`], which takes the list of CPU features, the
//! only one), the common operations on its registers ([`lanes128!`](super::lanes128)), and the byte products that set
//! it apart, in a file of its own.

/// Declares a token: its type, the constructor that checks the features, and the frame that enables the same ones.
macro_rules! token {
    ($(#[$doc:meta])* $name:ident: [$($feature:tt)+]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name(());

        impl $name {
            /// The token, where the CPU has the features.
            pub fn new() -> Option<Self> {
                let has = $(std::arch::is_aarch64_feature_detected!($feature))&&+;
                has.then_some(Self(()))
            }

            /// The features by name, and whether the CPU has each.
            pub fn features() -> Vec<(&'static str, bool)> {
                vec![$(($feature, std::arch::is_aarch64_feature_detected!($feature))),+]
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
        // list, which these instructions need; loads and stores go through references to arrays of exactly the size
        // they touch.
        unsafe { $e }
    }};
}

pub(super) use {simd, token};
