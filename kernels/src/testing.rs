//! Inputs for the tests, those in `tests/` included.

/// A small deterministic generator.
pub struct Lcg(pub u64);

impl Lcg {
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// Within -1..1.
    pub fn float(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 30) as f32 - 1.0
    }

    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// Whether formats whose values are gathered from tables have wrong bits here because the CPU is an emulated x86-64 one
/// that misreads its instructions: QEMU 7.2 takes index register 4 of a gather for none, as it would be in an address
/// without vectors. They are run then, but not compared. On hardware they always are.
pub fn gathers_are_broken() -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        let (table, indices, mut got) = ([5, 6, 7, 8], [3, 2, 1, 0], [0; 4]);
        // SAFETY: the CPU has AVX2; reads 16 bytes of each array, the indices are those of the table, and writes 16.
        unsafe {
            std::arch::asm!(
                "vmovdqu xmm4, [{indices}]",
                "vpcmpeqd xmm5, xmm5, xmm5",
                "vpxor xmm6, xmm6, xmm6",
                "vpgatherdd xmm6, dword ptr [{table} + 4 * xmm4], xmm5",
                "vmovdqu [{got}], xmm6",
                indices = in(reg) indices.as_ptr(), table = in(reg) table.as_ptr(), got = in(reg) got.as_mut_ptr(),
                out("xmm4") _, out("xmm5") _, out("xmm6") _, options(nostack)
            );
        }
        let want: [i32; 4] = [8, 7, 6, 5];
        return got != want;
    }
    false
}

/// Whether a format's values are gathered from tables, by its name.
pub fn is_gathered(format: &str) -> bool {
    format.starts_with("IQ") && !format.starts_with("IQ4")
}
