//! A model: one opened file, immutable, shared by any number of sequences and threads.

use crate::adapter::{Adapter, AdapterFile};
use crate::config::{ModelConfig, RopeOptions, RopeTable};
use crate::error::EngineError;
use crate::memory::Memory;
use crate::packed::{PackMode, PackOptions, Plan, Worker};
use crate::weights::{RopeFactors, Weights};
use hewn_kernels::KvType;
use hewn_loader::{Gguf, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Bytes of each end of a tensor that [`Model::digest`] reads.
const EDGE: usize = 4096;

/// How a file is opened.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Map the file (the default) or read it into memory. A mapped file must not shrink while it is in use: the
    /// system answers an access beyond its end with a fatal signal, which no library can turn into an error.
    pub mmap: bool,
    /// Whether a packed file is used and made. [`PackMode::Auto`] counts as off for a file that is not mapped: who
    /// reads it into memory wants it there and nowhere else.
    pub pack: PackOptions,
    /// Files with adapters of low rank that change the model, added in this order.
    pub adapters: Vec<AdapterFile>,
    /// What replaces the file's rotary positions, for contexts beyond those of the training.
    pub rope: RopeOptions,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { mmap: true, pack: PackOptions::default(), adapters: Vec::new(), rope: RopeOptions::default() }
    }
}

/// A model that is ready to run. Opening checks everything and reads almost nothing: the weights stay in the file.
#[derive(Debug)]
pub struct Model {
    gguf: Arc<Gguf>,
    config: ModelConfig,
    weights: Weights,
    ropes: Ropes,
    adapters: Vec<Adapter>,
    rope: RopeOptions,
    /// Looks for a packed file, or makes it, until the model is dropped.
    worker: Option<Worker>,
}

impl Model {
    /// Opens the GGUF file at `path`.
    ///
    /// # Errors
    /// The file is damaged, its architecture or one of its formats is not supported, or tensors and hyperparameters
    /// do not fit together, or an adapter does not fit the model. With [`PackMode::Wait`] also: the packed file cannot be
    /// made.
    pub fn open(path: &Path, options: &LoadOptions) -> Result<Self, EngineError> {
        let gguf = Gguf::open(path, &OpenOptions { mmap: options.mmap })?;
        let adapters = options.adapters.iter().map(|file| Adapter::open(file, options)).collect::<Result<_, _>>()?;
        let mut model = Self::changed(gguf, adapters, &options.rope)?;
        if options.mmap || options.pack.mode != PackMode::Auto {
            model.worker = Worker::start(model.plan(), &options.pack)?;
        }
        Ok(model)
    }

    /// A model from a file opened before, or from one in memory: [`Gguf::from_bytes`], or [`Gguf::from_static`] for a
    /// model that is part of the program. It uses and makes no packed file.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_gguf(gguf: Gguf) -> Result<Self, EngineError> {
        Self::changed(gguf, Vec::new(), &RopeOptions::default())
    }

    /// The same, changed by adapters, which are added in their order, and with other rotary positions.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn changed(gguf: Gguf, adapters: Vec<Adapter>, rope: &RopeOptions) -> Result<Self, EngineError> {
        let said = |key: &str| gguf.metadata().str(key).ok().flatten().unwrap_or("").to_owned();
        let arch = said("general.architecture");
        if said("general.type") == "adapter" {
            return Err(EngineError::IsAdapter { arch });
        }
        if let Some(other) = adapters.iter().find(|a| a.architecture() != arch) {
            return Err(other.bad(format!("it is for `{}` models, and the model is `{arch}`", other.architecture())));
        }
        let mut config = match ModelConfig::changed(&gguf, rope) {
            Ok(_) | Err(EngineError::MissingTensor { .. }) if gguf.tensors().is_empty() => {
                return Err(EngineError::VocabularyOnly);
            }
            config => config?,
        };
        let weights = Weights::load(&gguf, &config, &adapters)?;
        config.low_rank = weights.low_rank;
        let ropes = Ropes::new(&config, &weights.rope_factors);
        Ok(Self { gguf: Arc::new(gguf), config, weights, ropes, adapters, rope: rope.clone(), worker: None })
    }

    /// The hyperparameters.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The file, for its metadata, vocabulary and template.
    pub fn gguf(&self) -> &Gguf {
        &self.gguf
    }

    /// The adapters that change it.
    pub fn adapters(&self) -> &[Adapter] {
        &self.adapters
    }

    /// A digest of what its results follow from: the file's length, what is before its tensors, and the first and last 4 KiB of
    /// each; the same of adapters, and how much they count; what replaces rotary positions; the version of this program.
    pub(crate) fn digest(&self) -> u64 {
        let mut sum = Xxh3::new();
        let mut file = |gguf: &Gguf| {
            sum.update(&gguf.file_len().to_le_bytes());
            gguf.parts().iter().for_each(|part| sum.update(part.head()));
            for t in gguf.tensors() {
                let data = gguf.tensor_data(t);
                sum.update(&data[..data.len().min(EDGE)]);
                sum.update(&data[data.len().saturating_sub(EDGE)..]);
            }
        };
        file(&self.gguf);
        self.adapters.iter().for_each(|a| file(a.gguf()));
        let scales: Vec<f32> = self.adapters.iter().map(Adapter::scale).collect();
        sum.update(format!("{scales:?} {:?} {}", self.rope, env!("CARGO_PKG_VERSION")).as_bytes());
        sum.digest()
    }

    /// What running with `ctx` positions, that cache format and steps of up to `chunk` rows will occupy.
    pub fn memory(&self, ctx: usize, kv: KvType, chunk: usize) -> Memory {
        let adapters = self.adapters.iter().map(Adapter::bytes).fold(self.weights.low_numbers, u64::saturating_add);
        Memory { adapters, ..Memory::estimate(&self.gguf, &self.config, ctx, kv, chunk) }
    }

    /// How many matrices are read from a packed file by now, and how many can be.
    pub fn packed(&self) -> (usize, usize) {
        let plan = self.plan();
        (plan.items.iter().filter(|i| i.target.slot.get().is_some()).count(), plan.items.len())
    }

    /// The memory that products read the weights from by now: of each matrix, its bytes in a packed file or in the model's
    /// own. Of experts these are all, of which a step reads some; what is only looked up is not among them.
    pub fn weights_memory(&self) -> Vec<&[u8]> {
        self.weights.memory(&self.gguf).collect()
    }

    /// The packed file that it has or would have.
    pub(crate) fn plan(&self) -> Plan {
        Plan::new(self.gguf.clone(), self.weights.targets())
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The rotary tables of a sequence made for `ctx` positions (see [`ModelConfig::rope_of`] for which layer uses which).
    pub(crate) fn ropes(&self, ctx: usize) -> &[RopeTable] {
        match &self.ropes.long {
            Some(long) if self.turns_long(ctx) => long,
            _ => &self.ropes.short,
        }
    }

    /// Whether positions of a sequence made for `ctx` of them are turned as in long ones, where there are tables for those.
    pub(crate) fn turns_long(&self, ctx: usize) -> bool {
        self.ropes.long.is_some() && ctx > self.config.rope.original_ctx
    }
}

/// Rotary tables: the model's, and that of layers with a window where they have their own.
#[derive(Debug)]
struct Ropes {
    short: Vec<RopeTable>,
    /// For sequences longer than the context of the pre-training, where they differ.
    long: Option<Vec<RopeTable>>,
}

impl Ropes {
    fn new(c: &ModelConfig, factors: &RopeFactors) -> Self {
        let tables = |divisors: Option<&[f32]>| {
            let local = c.local_rope.iter().map(|local| local.table(None));
            std::iter::once(c.rope.table(divisors)).chain(local).collect()
        };
        match factors {
            RopeFactors::None => Self { short: tables(None), long: None },
            RopeFactors::One(f) => Self { short: tables(Some(f)), long: None },
            RopeFactors::ByLength { short, long } => {
                Self { short: tables(Some(short)), long: Some(tables(Some(long))) }
            }
        }
    }
}
