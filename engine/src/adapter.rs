//! Low-rank adapters (LoRA, arXiv 2106.09685) from files of their own: to the product with a matrix `W` they add
//! `scale * B (A x)`, with small matrices `A` and `B` that somebody trained.

use crate::error::EngineError;
use crate::model::LoadOptions;
use hewn_loader::{Gguf, LoadError, OpenOptions, TensorInfo};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file with an adapter, and how much of it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterFile {
    /// The GGUF file.
    pub path: PathBuf,
    /// What is added is multiplied with this, besides what the file says; 1 for all of it.
    pub scale: f32,
}

/// An opened adapter.
#[derive(Clone, Debug)]
pub struct Adapter {
    gguf: Arc<Gguf>,
    /// For messages.
    name: String,
    architecture: String,
    alpha: f32,
    scale: f32,
}

const A: &str = ".lora_a";
const B: &str = ".lora_b";

impl Adapter {
    /// Opens an adapter's file, mapped or read as the options say.
    ///
    /// # Errors
    /// The file is damaged, or holds something else than an adapter that can be used.
    pub fn open(file: &AdapterFile, options: &LoadOptions) -> Result<Self, EngineError> {
        let name = file.path.display().to_string();
        let gguf = Gguf::open(&file.path, &OpenOptions { mmap: options.mmap }).map_err(|e| match e {
            // It names the file itself.
            LoadError::Io { .. } => EngineError::Load(e),
            e => bad(&name, e),
        })?;
        Self::new(gguf, file.scale, name)
    }

    /// An adapter from a file opened before, or from one in memory.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_gguf(gguf: Gguf, scale: f32) -> Result<Self, EngineError> {
        let name = gguf.path().unwrap_or(Path::new("in memory")).display().to_string();
        Self::new(gguf, scale, name)
    }

    fn new(gguf: Gguf, scale: f32, name: String) -> Result<Self, EngineError> {
        let (architecture, alpha) = Self::check_as(&gguf, &name)?;
        if !scale.is_finite() {
            return Err(bad(&name, format!("the scale {scale} is not a number")));
        }
        Ok(Self { gguf: Arc::new(gguf), name, architecture, alpha, scale })
    }

    /// Whether the file holds an adapter that could be used with some model.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(gguf: &Gguf) -> Result<(), EngineError> {
        Self::check_as(gguf, &gguf.path().unwrap_or(Path::new("in memory")).display().to_string()).map(|_| ())
    }

    /// The architecture of its models, and its alpha.
    fn check_as(gguf: &Gguf, name: &str) -> Result<(String, f32), EngineError> {
        let meta = gguf.metadata();
        let text = |key: &str| Ok::<_, LoadError>(meta.str(key)?.unwrap_or("").to_owned());
        let read = || Ok((text("general.type")?, text("adapter.type")?, meta.f32("adapter.lora.alpha")?));
        let (general, kind, alpha) = read().map_err(|e: LoadError| bad(name, e))?;
        if general != "adapter" {
            return Err(bad(name, "`general.type` is not `adapter`: the file holds no adapter"));
        }
        if kind != "lora" {
            return Err(bad(name, format!("`adapter.type` is `{kind}`; adapters of low rank (`lora`) are supported")));
        }
        // Such an adapter counts only behind certain tokens.
        if meta.contains("adapter.alora.invocation_tokens") {
            let reason = "`adapter.alora.invocation_tokens`: adapters that tokens switch on are not supported";
            return Err(bad(name, reason));
        }
        let architecture = text("general.architecture").map_err(|e| bad(name, e))?;
        let alpha = alpha.unwrap_or(0.0);
        if !alpha.is_finite() {
            return Err(bad(name, format!("`adapter.lora.alpha`: {alpha} is not a number")));
        }
        if gguf.tensors().is_empty() {
            return Err(bad(name, "it has no tensors"));
        }
        Ok((architecture, alpha))
    }

    /// The architecture of the models that it is for.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// What the file says that is added is multiplied with, once divided by the rank; 0 where it is as it is.
    pub fn alpha(&self) -> f32 {
        self.alpha
    }

    /// The matrices that it is for, and the rank of what it adds.
    pub fn matrices(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = self.gguf.tensors().iter();
        all.filter_map(|t| Some((t.name.strip_suffix(B)?, t.cols())))
    }

    /// Its tensors.
    pub fn tensors(&self) -> &[TensorInfo] {
        self.gguf.tensors()
    }

    /// What it was opened with: how much of it counts.
    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }

    /// Bytes of its matrices.
    pub(crate) fn bytes(&self) -> u64 {
        self.gguf.tensors().iter().map(|t| t.bytes).fold(0, u64::saturating_add)
    }

    pub(crate) fn gguf(&self) -> &Arc<Gguf> {
        &self.gguf
    }

    /// Whether anything is added at all: with a scale of 0 nothing is.
    pub fn counts(&self) -> bool {
        self.scale != 0.0
    }

    /// What `B (A x)` of this rank is multiplied with.
    pub(crate) fn factor(&self, rank: usize) -> Result<f32, EngineError> {
        let factor = if self.alpha == 0.0 { self.scale } else { self.scale * self.alpha / rank as f32 };
        match factor.is_finite() {
            true => Ok(factor),
            false => Err(self.bad(format!("alpha {} times the scale {} is too much", self.alpha, self.scale))),
        }
    }

    /// `A` and `B` of the matrix of this name, where it has them.
    pub(crate) fn pair(&self, matrix: &str) -> Result<Option<[&TensorInfo; 2]>, EngineError> {
        let half = |which: &str| self.gguf.tensor(&format!("{matrix}{which}"));
        match (half(A), half(B)) {
            (None, None) => Ok(None),
            (Some(a), Some(b)) => Ok(Some([a, b])),
            (Some(_), None) => Err(self.bad(format!("`{matrix}{A}` is there, but `{matrix}{B}` is not"))),
            (None, Some(_)) => Err(self.bad(format!("`{matrix}{B}` is there, but `{matrix}{A}` is not"))),
        }
    }

    /// Why a tensor that nobody asked for has no place in a model.
    pub(crate) fn left_over(&self, tensor: &str, model: &Gguf) -> EngineError {
        let Some(matrix) = tensor.strip_suffix(A).or_else(|| tensor.strip_suffix(B)) else {
            return self.bad(format!("`{tensor}` is no matrix of low rank; nothing else in adapters is supported"));
        };
        if let Err(e) = self.pair(matrix) {
            return e;
        }
        self.bad(match model.tensor(matrix) {
            None => format!("it is for another model: it changes `{matrix}`, which this one does not have"),
            Some(_) => format!("it changes `{matrix}`, of which adapters are not supported"),
        })
    }

    pub(crate) fn bad(&self, reason: impl ToString) -> EngineError {
        bad(&self.name, reason)
    }
}

fn bad(name: &str, reason: impl ToString) -> EngineError {
    EngineError::Adapter { name: name.to_owned(), reason: reason.to_string() }
}
