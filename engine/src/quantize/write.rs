//! The tensors of a file, streamed through the encoders.

use super::rules::choose;
use super::{Choice, Encode, QuantType, QuantizeError, encoder};
use crate::cancel::CancelToken;
use crate::error::zeroed;
use hewn_kernels::{Format, Team};
use hewn_loader::{Gguf, GgufWriter, MetaValue, SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS, TensorInfo, TensorType};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Weights that a thread takes at once: whole blocks of every format.
const PIECE: usize = 4096;
/// Pieces between two writes.
const PIECES: usize = 256;
/// The version of the formats that `general.quantization_version` counts.
const QUANTIZATION_VERSION: u32 = 2;

/// How a file is quantized.
#[derive(Clone, Copy, Debug)]
pub struct QuantizeOptions {
    /// To what.
    pub to: QuantType,
    /// Every matrix in the format of most weights, without the rules of the mix.
    pub pure: bool,
    /// Decode tensors that are quantized already, instead of refusing them.
    pub requantize: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct QuantizeProgress<'a> {
    /// The tensor at hand.
    pub tensor: &'a str,
    /// Weights done.
    pub done: u64,
    /// Weights in all.
    pub total: u64,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct QuantizeReport {
    /// What became of each tensor.
    pub choices: Vec<Choice>,
    /// Weights in all.
    pub weights: u64,
    /// Bytes of the tensors as they were.
    pub before: u64,
    /// Bytes of the tensors as they are written.
    pub after: u64,
}

/// Writes `gguf` to `out` with its matrices in other formats. The memory it takes does not depend on the file. Metadata
/// are copied as they are, but for `general.file_type`, `general.quantization_version` and the keys of split files; the
/// output is one file. The caller should write to a temporary name and rename when this returns.
///
/// # Errors
/// A weight that is not finite or too large for its format, a format that cannot be decoded, a source that is quantized
/// already (without [`QuantizeOptions::requantize`]), the output's, or `cancel` was raised. `out` is then of no use.
pub fn quantize(
    gguf: &Gguf,
    out: impl Write,
    options: &QuantizeOptions,
    team: &Team,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(QuantizeProgress<'_>),
) -> Result<QuantizeReport, QuantizeError> {
    if gguf.tensors().is_empty() {
        return Err(QuantizeError::NoTensors);
    }
    let choices = choose(gguf, options.to, options.pure)?;
    // What cannot work is known before anything is written.
    let paths: Vec<Path> =
        gguf.tensors().iter().zip(&choices).map(|(t, c)| path(t, c, options)).collect::<Result<_, _>>()?;
    let mut writer = GgufWriter::new();
    metadata(gguf, &mut writer, options.to).map_err(QuantizeError::Write)?;
    for (t, c) in gguf.tensors().iter().zip(&choices) {
        writer.tensor(&t.name, &t.dims, Some(c.to)).map_err(QuantizeError::Write)?;
    }
    let mut stream = writer.stream(out).map_err(QuantizeError::Write)?;
    let total = gguf.tensors().iter().map(TensorInfo::elements).fold(0, u64::saturating_add);
    let mut done = 0;
    for ((t, c), path) in gguf.tensors().iter().zip(&choices).zip(&paths) {
        let (n, mut at, mut buffer) = (t.elements(), 0, Vec::new());
        while at < n {
            if cancel.is_cancelled() {
                return Err(QuantizeError::Cancelled);
            }
            let len = (n - at).min((PIECE * PIECES) as u64);
            let batch = Batch { t, at, len: len as usize, source: span(gguf.tensor_data(t), t.dtype, at, len) };
            match path {
                Path::Copy(format) => {
                    if let Some(format) = format {
                        batch.check(team, *format)?;
                    }
                    stream.write(batch.source).map_err(QuantizeError::Write)?;
                }
                Path::Encode(format, encoder) => {
                    let bytes = c.to.bytes(len).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
                    if buffer.len() < bytes {
                        buffer = zeroed(bytes, "encoded weights").map_err(|_| QuantizeError::Memory(bytes))?;
                    }
                    batch.encode(team, *format, *encoder, c.to, &mut buffer[..bytes])?;
                    stream.write(&buffer[..bytes]).map_err(QuantizeError::Write)?;
                }
            }
            at += len;
            progress(QuantizeProgress { tensor: &t.name, done: done + at, total });
        }
        done += n;
        gguf.release(t);
    }
    stream.finish().map_err(QuantizeError::Write)?;
    let bytes = |of: fn(&Choice) -> TensorType| {
        let sizes = gguf.tensors().iter().zip(&choices).map(|(t, c)| of(c).bytes(t.elements()).unwrap_or(0));
        sizes.fold(0, u64::saturating_add)
    };
    Ok(QuantizeReport { weights: total, before: bytes(|c| c.from), after: bytes(|c| c.to), choices })
}

/// What a tensor goes through.
enum Path {
    /// As it is; numbers that can be read are looked at.
    Copy(Option<Format>),
    /// Decoded and encoded.
    Encode(Format, &'static dyn Encode),
}

fn path(t: &TensorInfo, c: &Choice, options: &QuantizeOptions) -> Result<Path, QuantizeError> {
    let format = Format::from_id(t.dtype.id());
    if c.to == t.dtype {
        return Ok(Path::Copy(format));
    }
    let (tensor, name) = (|| t.name.clone(), t.dtype.name());
    if t.dtype.block_len() > 1 && !options.requantize {
        return Err(QuantizeError::Quantized { tensor: tensor(), format: name });
    }
    match (format, encoder(c.to.id())) {
        (Some(format), Some(encoder)) => Ok(Path::Encode(format, encoder)),
        _ => Err(QuantizeError::Source { tensor: tensor(), format: name }),
    }
}

/// The bytes of `len` weights from weight `at` on: whole blocks, as rows are, and pieces too.
fn span(source: &[u8], dtype: TensorType, at: u64, len: u64) -> &[u8] {
    let bytes = |n: u64| dtype.bytes(n).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    source.get(bytes(at)..bytes(at.saturating_add(len))).unwrap_or(&[])
}

fn metadata(gguf: &Gguf, w: &mut GgufWriter, to: QuantType) -> std::io::Result<()> {
    let set = [
        ("general.file_type", MetaValue::U32(to.file_type())),
        ("general.quantization_version", MetaValue::U32(QUANTIZATION_VERSION)),
    ];
    for (key, value) in gguf.metadata().iter() {
        match set.iter().find(|(k, _)| *k == key) {
            Some((_, new)) => w.meta(key, new.clone())?,
            None if [SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS].contains(&key) => {}
            None => w.value(key, &value)?,
        }
    }
    set.into_iter().filter(|(key, _)| !gguf.metadata().contains(key)).try_for_each(|(key, v)| w.meta(key, v))
}

/// The first bad weight that a thread met, by its place.
type Fault = Mutex<Option<(u64, f32)>>;

/// Some consecutive weights of a tensor.
struct Batch<'a> {
    t: &'a TensorInfo,
    /// Number of the first.
    at: u64,
    len: usize,
    /// Their bytes.
    source: &'a [u8],
}

impl Batch<'_> {
    /// Looks at the weights without changing them.
    fn check(&self, team: &Team, format: Format) -> Result<(), QuantizeError> {
        let fault = Fault::default();
        team.step(|crew| {
            crew.run(self.len.div_ceil(PIECE), &|worker, i| {
                let n = PIECE.min(self.len - i * PIECE);
                crew.with_scratch(worker, n * 4, |x| self.decode(format, i, f32::MAX, &fault, x).is_some());
            });
        })?;
        self.verdict(fault, f32::MAX, self.t.dtype)
    }

    /// Encodes the weights to `out`.
    fn encode(
        &self,
        team: &Team,
        format: Format,
        encoder: &dyn Encode,
        to: TensorType,
        out: &mut [u8],
    ) -> Result<(), QuantizeError> {
        let fault = Fault::default();
        let (block, bytes) = (to.block_len() as usize, to.block_bytes() as usize);
        team.step(|crew| {
            crew.rows(out, PIECE / block * bytes, true, |worker, i, out| {
                crew.with_scratch(worker, out.len() / bytes * block * 4, |x| {
                    let x = self.decode(format, i, encoder.limit(), &fault, x);
                    for (x, out) in x.iter().flat_map(|x| x.chunks_exact(block)).zip(out.chunks_exact_mut(bytes)) {
                        encoder.block(crew.isa(), x, out);
                    }
                });
            });
        })?;
        self.verdict(fault, encoder.limit(), to)
    }

    /// The weights of piece `i`, as many as `scratch` holds; `None` and a note in `fault` where one is bad.
    fn decode<'x>(
        &self,
        format: Format,
        i: usize,
        limit: f32,
        fault: &Fault,
        scratch: &'x mut [u8],
    ) -> Option<&'x [f32]> {
        let x: &mut [f32] = bytemuck::cast_slice_mut(scratch);
        format.dequantize(span(self.source, self.t.dtype, (i * PIECE) as u64, x.len() as u64), x);
        // A NaN is in no range.
        let Some(bad) = x.iter().position(|v| !(-limit..=limit).contains(v)) else { return Some(x) };
        let mut first = fault.lock().unwrap_or_else(PoisonError::into_inner);
        let found = (self.at + (i * PIECE + bad) as u64, x[bad]);
        *first = Some(first.map_or(found, |f| if found.0 < f.0 { found } else { f }));
        None
    }

    fn verdict(&self, fault: Fault, limit: f32, to: TensorType) -> Result<(), QuantizeError> {
        let tensor = self.t.name.clone();
        match fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some((index, value)) if value.is_finite() => {
                Err(QuantizeError::Range { tensor, index, value, format: to.name(), limit })
            }
            Some((index, value)) => Err(QuantizeError::NonFinite { tensor, index, value }),
        }
    }
}
