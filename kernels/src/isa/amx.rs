//! The matrix unit of newer Intel server CPUs (AMX-INT8), for the integer sums of many columns.
//!
//! One instruction multiplies 16 columns x 32 weights with 32 weights x 16 rows, 8,192 products in 16 cycles, four times
//! what the vector ports do. Its right operand is eight words of rows in lanes, exactly the panel's layout; its left one
//! is the activation blocks where they lie. The sums are integers, so the contract does not notice.
//!
//! The registers, for 32 columns and a pair of tiles:
//!
//! ```text
//!               tmm6 = tile 0   tmm7 = tile 1       8 x 64 bytes of weights
//!   tmm4 x[0..16]   tmm0            tmm1            16 x 16 sums
//!   tmm5 x[16..32]  tmm2            tmm3
//! ```
//!
//! The intrinsics are not stable in Rust 1.95, hence `asm!`.

use super::TileSums;
use crate::op::quantize::ActBlock;
use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

/// Whether the CPU has the unit and the system lets this process use it.
pub fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_unit() && allowed())
}

/// CPUID leaf 7: EDX bit 24 is AMX-TILE, 25 is AMX-INT8.
fn has_unit() -> bool {
    let unit = 1 << 24 | 1 << 25;
    __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).edx & unit == unit
}

/// Asks Linux for the permission to use the tile registers, which it grants a process once and for all its threads.
#[cfg(target_os = "linux")]
fn allowed() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    let result: i64;
    // SAFETY: a system call that reads and writes no memory of ours; the clobbered registers are named.
    unsafe {
        asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") ARCH_REQ_XCOMP_PERM,
             in("rsi") XFEATURE_XTILEDATA, out("rcx") _, out("r11") _, options(nostack));
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> bool {
    false
}

/// The operand of `ldtilecfg`: palette 1, then at 16 the bytes of a row and at 48 the rows of each register.
#[repr(C, align(64))]
struct Config([u8; 64]);

/// Shapes the registers for two groups of `columns` (1 to 16 each) and `words` words of weights (4 or 8).
///
/// # Safety
/// [`available`].
#[inline(always)]
pub unsafe fn open(columns: [usize; 2], words: usize) {
    assert!(columns.iter().all(|c| (1..=16).contains(c)) && (words == 4 || words == 8));
    let mut c = Config([0; 64]);
    c.0[0] = 1;
    let mut shape = |register: usize, rows: usize, bytes: usize| {
        c.0[16 + 2 * register] = bytes as u8;
        c.0[48 + register] = rows as u8;
    };
    for group in 0..2 {
        shape(2 * group, columns[group], 64);
        shape(2 * group + 1, columns[group], 64);
        shape(4 + group, columns[group], 4 * words);
        shape(6 + group, words, 64);
    }
    // SAFETY: the unit is there by the caller's promise, and the configuration is a valid one: no row is longer than 64
    // bytes and no register has more than 16 rows.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &c.0, options(nostack, readonly)) }
}

/// Sums over words `words[0]..words[1]` of a sub-block: `w[t]` is tile `t`, `x[g]` the columns of group `g`.
///
/// # Safety
/// Between [`open`] and [`close`], on the thread that called it, with as many columns and words as it was told.
#[inline(always)]
pub unsafe fn sums(w: &[[[u8; 64]; 8]; 2], x: [&[ActBlock]; 2], words: [usize; 2], out: &mut TileSums) {
    // SAFETY: by the shapes given to `open` the loads touch the first 32 bytes of each block of `x`, and the words of
    // `w`, 64 bytes each; the stores write up to 16 rows of 64 bytes to each of the four parts of `out`.
    unsafe {
        let word = words[0];
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "tileloadd tmm6, [{w0} + {line}*1]",
            "tileloadd tmm4, [{x0} + {line}*1]",
            "tdpbssd tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{w1} + {line}*1]",
            "tdpbssd tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{x1} + {line}*1]",
            "tdpbssd tmm2, tmm5, tmm6",
            "tdpbssd tmm3, tmm5, tmm7",
            "tilestored [{out} + {line}*1], tmm0",
            "tilestored [{out} + {line}*1 + 1024], tmm1",
            "tilestored [{out} + {line}*1 + 2048], tmm2",
            "tilestored [{out} + {line}*1 + 3072], tmm3",
            w0 = in(reg) w[0][word..].as_ptr(), w1 = in(reg) w[1][word..].as_ptr(),
            x0 = in(reg) x[0].as_ptr().cast::<u8>().wrapping_add(4 * word),
            x1 = in(reg) x[1].as_ptr().cast::<u8>().wrapping_add(4 * word),
            line = in(reg) size_of::<ActBlock>(),
            out = in(reg) &mut out.0,
            options(nostack)
        );
    }
}

/// Gives the registers back, so that the system need not save them.
///
/// # Safety
/// [`available`].
#[inline(always)]
pub unsafe fn close() {
    // SAFETY: promised by the caller.
    unsafe { asm!("tilerelease", options(nostack, nomem)) }
}
