//! Writing an opened file again as a split one.

use crate::gguf::Gguf;
use crate::split::{SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS, part_path};
use crate::tensor::TensorInfo;
use crate::write::{GgufWriter, MetaValue};
use std::fs::File;
use std::io::{BufWriter, Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};

/// Writes `gguf` as `count` parts of about as many tensors each beside `path`, whose name they extend; their paths.
/// The first part holds the metadata.
///
/// # Errors
/// `count` is below 2 or beyond what names can say (99999); the output's.
pub fn write_split(gguf: &Gguf, path: &Path, count: u64) -> Result<Vec<PathBuf>> {
    if !(2..=99_999).contains(&count) {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{count} parts: from 2 to 99999 are possible")));
    }
    let tensors = gguf.tensors();
    let (all, per) = (tensors.len() as u64, tensors.len().div_ceil(count as usize).max(1));
    let mut parts: Vec<&[TensorInfo]> = tensors.chunks(per).collect();
    parts.resize(count as usize, &[]);
    let mut paths = Vec::new();
    for (no, list) in (0..count).zip(parts) {
        let mut w = GgufWriter::new();
        if no == 0 {
            let kept = |key: &str| ![SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS].contains(&key);
            gguf.metadata().iter().filter(|(key, _)| kept(key)).try_for_each(|(key, v)| w.value(key, &v))?;
        }
        // The customary types; no name has more than 99999 parts, but a u16 holds fewer.
        let number = |n: u64| u16::try_from(n).map_or(MetaValue::U32(n as u32), MetaValue::U16);
        w.meta(SPLIT_NO, number(no))?;
        w.meta(SPLIT_COUNT, number(count))?;
        w.meta(SPLIT_TENSORS, i32::try_from(all).map_or(MetaValue::U64(all), MetaValue::I32))?;
        list.iter().try_for_each(|t| w.tensor(&t.name, &t.dims, Some(t.dtype)))?;
        let to = part_path(path, no + 1, count);
        let mut out = BufWriter::new(File::create(&to)?);
        w.write_to(&mut out, list.iter().map(|t| gguf.tensor_data(t)))?;
        out.flush()?;
        paths.push(to);
    }
    Ok(paths)
}
