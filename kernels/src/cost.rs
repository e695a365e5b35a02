//! What an operation has to read and compute at the least, from the shapes alone.

use crate::format::Format;
use crate::kv::{KvShape, KvType};
use crate::op::matmul::Matrix;
use crate::op::quantize::ActBlock;
use std::ops::AddAssign;

/// Bytes and multiply-adds of an operation. Each byte counts once, however often a kernel reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Rows of activations.
    pub rows: usize,
    /// Bytes of weights, from memory.
    pub weight_bytes: u64,
    /// Bytes of the key/value cache, from memory.
    pub kv_bytes: u64,
    /// Bytes of activations read and written, which a cache may hold.
    pub activation_bytes: u64,
    /// Multiply-adds of 8-bit integers with unsigned weights of less than eight bits.
    pub narrow: u64,
    /// Multiply-adds of 8-bit integers with signed weights of eight bits.
    pub signed: u64,
    /// Multiply-adds of f32; what is no product counts by the instructions that it takes.
    pub float: u64,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, o: Self) {
        self.rows += o.rows;
        self.weight_bytes += o.weight_bytes;
        self.kv_bytes += o.kv_bytes;
        self.activation_bytes += o.activation_bytes;
        self.narrow += o.narrow;
        self.signed += o.signed;
        self.float += o.float;
    }
}

impl Cost {
    /// Operations; a multiply-add is two.
    pub fn operations(&self) -> u64 {
        2 * (self.narrow + self.signed + self.float)
    }

    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.weight_bytes + self.kv_bytes + self.activation_bytes
    }

    /// Work on `rows` of `width` f32, each of which is `moved` times read or written and takes `float` multiply-adds.
    pub fn elements(rows: usize, width: usize, moved: usize, float: usize) -> Self {
        let n = (rows * width) as u64;
        Self { rows, activation_bytes: n * 4 * moved as u64, float: n * float as u64, ..Self::default() }
    }

    /// The same with the products of so many pairs of a query and a position besides: of a key's channels and of a value's.
    pub fn attending(self, shape: &KvShape, pairs: usize) -> Self {
        let [k, v] = [shape.k_dim, shape.v_dim].map(|dim| (pairs * dim) as u64);
        match shape.kind {
            KvType::F16 | KvType::F32 => Self { float: self.float + k + v, ..self },
            KvType::Q8_0 => Self { signed: self.signed + k, float: self.float + v, ..self },
        }
    }

    /// `rows` of `width` f32 to blocks: read twice, for the largest and for the rounding.
    pub fn quantize(rows: usize, width: usize) -> Self {
        let blocks = rows * width / 32 * size_of::<ActBlock>();
        Self { activation_bytes: (rows * width * 4 + blocks) as u64, ..Self::elements(rows, width, 0, 2) }
    }

    /// `rows` rows of the same input times each of the matrices.
    pub fn products(rows: usize, weights: &[Matrix<'_>]) -> Self {
        let mut cost = Self { rows, ..Self::default() };
        for w in weights {
            cost.weight_bytes += w.data().len() as u64;
            cost.activation_bytes += (rows * w.rows() * 4) as u64;
            let n = rows as u64 * w.rows() as u64 * w.cols() as u64;
            *match w.format() {
                f if !f.is_quant() => &mut cost.float,
                Format::Q8_0 => &mut cost.signed,
                _ => &mut cost.narrow,
            } += n;
        }
        let input =
            |w: &Matrix<'_>| if w.format().is_quant() { w.cols() / 32 * size_of::<ActBlock>() } else { w.cols() * 4 };
        cost.activation_bytes += (rows * weights.iter().map(input).max().unwrap_or(0)) as u64;
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::matmul::Layout;

    #[test]
    fn products_count_their_weights_once_and_their_operations_by_class() {
        let (narrow, signed, float) = (vec![0; 18 * 2 * 5], vec![0; 34 * 2 * 3], vec![0; 4 * 64 * 2]);
        let matrix = |format, rows, data| Matrix::new(format, Layout::File, rows, 64, data).unwrap();
        let all = [matrix(Format::Q4_0, 5, &narrow), matrix(Format::Q8_0, 3, &signed), matrix(Format::F32, 2, &float)];
        let cost = Cost::products(7, &all);
        assert_eq!((cost.narrow, cost.signed, cost.float), (7 * 5 * 64, 7 * 3 * 64, 7 * 2 * 64));
        assert_eq!(cost.weight_bytes, 180 + 204 + 512);
        // Outputs, and the wider one of the two forms of the input.
        assert_eq!(cost.activation_bytes, 7 * (5 + 3 + 2) * 4 + 7 * 64 * 4);
        assert_eq!(cost.operations(), 2 * 7 * 10 * 64);
    }
}
