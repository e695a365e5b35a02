//! Tensor number formats by their id in the file. Knowing a format's geometry here does not mean that kernels exist.

use std::fmt;

/// A tensor's number format: a known id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TensorType(&'static Row);

/// Id, name, weights in a block, bytes of a block.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Row(u32, &'static str, u64, u64);

/// The ids of the GGUF specification; sizes as in the `gguf` package's table, but for Q8_1: that table still has the 40
/// bytes of its first layout (two f32 in front), while ggml has stored two f16 for years. No file is known to hold one.
static TABLE: &[Row] = &[
    Row(0, "F32", 1, 4),
    Row(1, "F16", 1, 2),
    Row(2, "Q4_0", 32, 18),
    Row(3, "Q4_1", 32, 20),
    Row(6, "Q5_0", 32, 22),
    Row(7, "Q5_1", 32, 24),
    Row(8, "Q8_0", 32, 34),
    Row(9, "Q8_1", 32, 36),
    Row(10, "Q2_K", 256, 84),
    Row(11, "Q3_K", 256, 110),
    Row(12, "Q4_K", 256, 144),
    Row(13, "Q5_K", 256, 176),
    Row(14, "Q6_K", 256, 210),
    Row(15, "Q8_K", 256, 292),
    Row(16, "IQ2_XXS", 256, 66),
    Row(17, "IQ2_XS", 256, 74),
    Row(18, "IQ3_XXS", 256, 98),
    Row(19, "IQ1_S", 256, 50),
    Row(20, "IQ4_NL", 32, 18),
    Row(21, "IQ3_S", 256, 110),
    Row(22, "IQ2_S", 256, 82),
    Row(23, "IQ4_XS", 256, 136),
    Row(24, "I8", 1, 1),
    Row(25, "I16", 1, 2),
    Row(26, "I32", 1, 4),
    Row(27, "I64", 1, 8),
    Row(28, "F64", 1, 8),
    Row(29, "IQ1_M", 256, 56),
    Row(30, "BF16", 1, 2),
    Row(34, "TQ1_0", 256, 54),
    Row(35, "TQ2_0", 256, 66),
    Row(39, "MXFP4", 32, 17),
    Row(40, "NVFP4", 64, 36),
    Row(41, "Q1_0", 128, 18),
];

impl TensorType {
    /// The type of this id, where there is one.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|r| r.0 == id).map(Self)
    }

    /// Whether the id once had a meaning that the format has dropped.
    pub fn is_removed(id: u32) -> bool {
        matches!(id, 4 | 5 | 31..=33 | 36..=38)
    }

    /// The id in the file.
    pub fn id(self) -> u32 {
        self.0.0
    }

    /// The customary name, such as `Q4_K`.
    pub fn name(self) -> &'static str {
        self.0.1
    }

    /// Weights in a block.
    pub fn block_len(self) -> u64 {
        self.0.2
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> u64 {
        self.0.3
    }

    /// Bytes of `elements` weights, where that is whole blocks and a number.
    pub fn bytes(self, elements: u64) -> Option<u64> {
        let blocks = elements.is_multiple_of(self.block_len()).then(|| elements / self.block_len())?;
        blocks.checked_mul(self.block_bytes())
    }
}

impl fmt::Debug for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_known_or_removed_but_not_both() {
        for id in 0..1000 {
            let rows = TABLE.iter().filter(|r| r.0 == id).count();
            assert!(rows + usize::from(TensorType::is_removed(id)) <= 1, "{id}");
            assert_eq!(TensorType::from_id(id).map(TensorType::id), (rows == 1).then_some(id));
        }
        assert!(TABLE.iter().all(|r| r.2 > 0 && r.3 > 0));
    }

    #[test]
    fn sizes_are_whole_blocks() {
        let q6 = TensorType::from_id(14).unwrap();
        assert_eq!((q6.name(), q6.bytes(512), q6.bytes(511), q6.bytes(0)), ("Q6_K", Some(420), None, Some(0)));
        // 2^64 - 8 is a multiple of eight, and eight times as many bytes are not a number.
        let f64 = TensorType::from_id(28).unwrap();
        assert_eq!((f64.bytes(u64::MAX - 7), f64.bytes(1 << 60)), (None, Some(1 << 63)));
        assert_eq!(format!("{:>5}|{q6:?}", TensorType::from_id(0).unwrap()), "  F32|Q6_K");
    }
}
