//! The matrix unit of newer Intel server CPUs (AMX-INT8), for the integer sums of many columns.
//!
//! One instruction multiplies 16 columns x 32 weights with 32 weights x 16 rows, 8,192 products in 16 cycles, four times
//! what the vector ports do. Its right operand is eight words of rows in lanes, exactly the panel's layout; its left one
//! is the activation blocks where they lie. The sums are integers, so the contract does not notice.
//!
//! ```text
//! tmm0..tmm3   sums of 16 columns x 16 rows, so that one is computed while another is stored
//! tmm4, tmm5   activations: 16 columns x 4 or 8 words
//! tmm6, tmm7   weights: 4 or 8 words x 16 rows
//! ```
//!
//! Measured on a CPU of this kind: beside instructions of the unit the vector ports do one operation of 512 bits a
//! cycle instead of two, so that the three which scale a register of sums cost 48 cycles a tile, and the unit's own 25
//! disappear behind them.
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

/// Shapes the registers for `columns` (1 to 16) and `words` words of weights (4 or 8).
///
/// # Safety
/// [`available`].
#[inline(always)]
pub unsafe fn open(columns: usize, words: usize) {
    assert!((1..=16).contains(&columns) && (words == 4 || words == 8));
    let mut c = Config([0; 64]);
    c.0[0] = 1;
    for register in 0..8 {
        let (rows, bytes) = match register {
            0..4 => (columns, 64),
            4..6 => (columns, 4 * words),
            _ => (words, 64),
        };
        c.0[16 + 2 * register] = bytes as u8;
        c.0[48 + register] = rows as u8;
    }
    // SAFETY: the unit is there by the caller's promise, and the configuration is a valid one: no row is longer than 64
    // bytes and no register has more than 16 rows.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &c.0, options(nostack, readonly)) }
}

/// Begins the sums of a tile's words `word..` with the columns `x`, in register `R`.
///
/// # Safety
/// Between [`open`] and [`close`], on the thread that called it, with as many columns and words as it was told.
#[inline(always)]
pub unsafe fn start<const R: usize>(w: &[[u8; 64]; 8], x: &[ActBlock], word: usize) {
    macro_rules! start {
        ($sums:literal, $x:literal, $w:literal) => {
            // SAFETY: by the shapes given to `open` the loads touch the first 32 bytes of each block of `x`, and the
            // words of `w`, 64 bytes each.
            unsafe {
                asm!(
                    concat!("tileloadd ", $x, ", [{x} + {line}*1]"),
                    concat!("tileloadd ", $w, ", [{w} + {line}*1]"),
                    concat!("tilezero ", $sums),
                    concat!("tdpbssd ", $sums, ", ", $x, ", ", $w),
                    x = in(reg) x.as_ptr().cast::<u8>().wrapping_add(4 * word),
                    w = in(reg) w[word..].as_ptr(),
                    line = in(reg) size_of::<ActBlock>(),
                    options(nostack, readonly)
                )
            }
        };
    }
    const { assert!(R < 4) };
    match R {
        0 => start!("tmm0", "tmm4", "tmm6"),
        1 => start!("tmm1", "tmm5", "tmm7"),
        2 => start!("tmm2", "tmm4", "tmm6"),
        _ => start!("tmm3", "tmm5", "tmm7"),
    }
}

/// Stores the sums of register `R`.
///
/// # Safety
/// As [`start`].
#[inline(always)]
pub unsafe fn finish<const R: usize>(out: &mut TileSums) {
    macro_rules! finish {
        ($sums:literal) => {
            // SAFETY: at most 16 rows of 64 bytes, the size of `out`.
            unsafe {
                asm!(
                    concat!("tilestored [{out} + {line}*1], ", $sums),
                    out = in(reg) &mut out.0,
                    line = in(reg) size_of::<[i32; 16]>(),
                    options(nostack)
                )
            }
        };
    }
    const { assert!(R < 4) };
    match R {
        0 => finish!("tmm0"),
        1 => finish!("tmm1"),
        2 => finish!("tmm2"),
        _ => finish!("tmm3"),
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
