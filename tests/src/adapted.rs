//! Adapters of low rank with random weights, and models that they were merged into.

use hewn_kernels::Format;
use hewn_loader::{Gguf, GgufWriter, MetaValue, TensorInfo, TensorType};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// An adapter in the making: its alpha, and tensors in the format F32.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// `general.architecture`
    pub arch: String,
    /// None where the file does not say it.
    pub alpha: Option<f32>,
    /// Names, dimensions with the row length first, and numbers.
    pub tensors: Vec<(String, Vec<u64>, Vec<f32>)>,
}

/// Makes the bytes of numbers in a format.
pub type Encode<'a> = &'a dyn Fn(&[f32]) -> Vec<u8>;

/// The architecture that a file names.
pub fn arch(gguf: &Gguf) -> String {
    gguf.metadata().str("general.architecture").unwrap().unwrap().to_owned()
}

impl Adapter {
    /// One of those matrices of `gguf` for which `wanted` says so.
    pub fn of(gguf: &Gguf, rank: u64, seed: u64, wanted: impl Fn(&TensorInfo) -> bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tensors = Vec::new();
        for t in gguf.tensors().iter().filter(|t| t.dims.len() > 1 && wanted(t)) {
            let (cols, rows, count) = (t.dims[0], t.dims[1], &t.dims[2..]);
            let [a, b] = if t.name == "token_embd.weight" {
                [vec![rank, rows], vec![rank, cols]]
            } else {
                [[&[cols, rank], count].concat(), [&[rank, rows], count].concat()]
            };
            for (half, dims) in [("lora_a", a), ("lora_b", b)] {
                let numbers = (0..dims.iter().product()).map(|_| (rng.next_u32() as f32 / 2e9 - 1.07) * 0.2);
                let numbers = numbers.collect();
                tensors.push((format!("{}.{half}", t.name), dims, numbers));
            }
        }
        Self { arch: arch(gguf), alpha: Some(2.0 * rank as f32), tensors }
    }

    /// The file, with tensors in `format` as far as their rows are whole blocks.
    pub fn file(&self, encode: Option<(TensorType, Encode<'_>)>) -> Vec<u8> {
        let mut w = GgufWriter::new();
        for (key, value) in
            [("general.type", "adapter"), ("general.architecture", &self.arch), ("adapter.type", "lora")]
        {
            w.meta(key, MetaValue::Str(value.into())).unwrap();
        }
        if let Some(alpha) = self.alpha {
            w.meta("adapter.lora.alpha", MetaValue::F32(alpha)).unwrap();
        }
        let mut data = Vec::new();
        for (name, dims, numbers) in &self.tensors {
            let encode = encode.as_ref().filter(|(kind, _)| dims[0].is_multiple_of(kind.block_len()));
            w.tensor(name, dims, encode.map_or(TensorType::from_id(0), |(kind, _)| Some(*kind))).unwrap();
            data.push(match encode {
                Some((_, encode)) => encode(numbers),
                None => numbers.iter().flat_map(|v| v.to_le_bytes()).collect(),
            });
        }
        let mut file = Vec::new();
        w.write_to(&mut file, data.iter().map(Vec::as_slice)).unwrap();
        file
    }

    /// The model `gguf` with this adapter merged into its matrices, which are F32 then.
    pub fn merged(&self, gguf: &Gguf, scale: f64) -> Vec<u8> {
        let mut w = GgufWriter::new();
        gguf.metadata().iter().try_for_each(|(name, v)| w.value(name, &v)).unwrap();
        let mut data = Vec::new();
        for t in gguf.tensors() {
            let of = |half: &str| self.tensors.iter().find(|(name, ..)| *name == format!("{}.{half}", t.name));
            let bytes = gguf.tensor_data(t);
            let (Some((_, a_dims, a)), Some((_, b_dims, b))) = (of("lora_a"), of("lora_b")) else {
                w.tensor(&t.name, &t.dims, Some(t.dtype)).unwrap();
                data.push(bytes.to_vec());
                continue;
            };
            let rank = b_dims[0] as usize;
            let factor = self.alpha.map_or(scale, |alpha| scale * f64::from(alpha) / rank as f64);
            let (cols, rows) = (t.dims[0] as usize, t.dims[1] as usize);
            let mut numbers = vec![0.0; t.elements() as usize];
            let format = Format::from_id(t.dtype.id()).unwrap();
            let row_bytes = format.row_bytes(cols).unwrap();
            numbers.chunks_mut(cols).zip(bytes.chunks(row_bytes)).for_each(|(out, row)| format.dequantize(row, out));
            for (i, w) in numbers.iter_mut().enumerate() {
                let (matrix, row, col) = (i / cols / rows, i / cols % rows, i % cols);
                let inside = (0..rank).map(|r| match a_dims[0] as usize == rank && t.name == "token_embd.weight" {
                    true => f64::from(a[row * rank + r]) * f64::from(b[col * rank + r]),
                    false => {
                        f64::from(b[(matrix * rows + row) * rank + r]) * f64::from(a[(matrix * rank + r) * cols + col])
                    }
                });
                *w = (f64::from(*w) + factor * inside.sum::<f64>()) as f32;
            }
            w.tensor(&t.name, &t.dims, TensorType::from_id(0)).unwrap();
            data.push(numbers.iter().flat_map(|v| v.to_le_bytes()).collect());
        }
        let mut file = Vec::new();
        w.write_to(&mut file, data.iter().map(Vec::as_slice)).unwrap();
        file
    }
}
