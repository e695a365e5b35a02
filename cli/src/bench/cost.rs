//! What a test must read and compute at the least, and how long the machine's ceilings make that take.

use super::plan::{Kind, Test};
use hewn_engine::loader::Gguf;
use hewn_engine::{KvType, Model, ModelConfig};
use hewn_kernels::Format;

/// Multiply-adds of the matrices for one token, by the arithmetic that they take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Products {
    /// Block formats with weights of less than eight bits.
    narrow: f64,
    /// Block formats with weights of eight bits.
    signed: f64,
    /// Floating-point formats.
    float: f64,
}

impl Products {
    fn add(&mut self, format: Format, weights: f64) {
        *match format {
            f if !f.is_quant() => &mut self.float,
            Format::Q8_0 | Format::Iq4Nl | Format::Iq4Xs => &mut self.signed,
            _ => &mut self.narrow,
        } += weights;
    }

    /// `self + other * n`.
    fn plus(self, other: Self, n: f64) -> Self {
        Self {
            narrow: self.narrow + other.narrow * n,
            signed: self.signed + other.signed * n,
            float: self.float + other.float * n,
        }
    }
}

/// Sizes of a model, as the steps see them.
#[derive(Clone, Copy, Debug)]
pub struct ModelCost {
    /// Bytes and products of the layers, but for experts.
    layers: (f64, Products),
    /// Of all experts.
    experts: (f64, Products),
    /// The part of them that takes a token; 1 without experts.
    used: f64,
    /// Bytes and products of the output projection.
    output: (f64, Products),
    /// Bytes of the cache for one position: of layers that see all, and of those with a window of so many positions.
    kv_position: [f64; 2],
    window: f64,
    /// Bytes of a sequence's running states, read and written in each step.
    states: f64,
    /// Rows computed at once.
    chunk: usize,
}

/// What a test reads and computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Bytes of weights and cache.
    pub bytes: f64,
    products: Products,
    /// Tokens that it yields.
    pub tokens: f64,
}

/// The ceilings in bytes and operations per second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ceilings {
    pub read: f64,
    pub narrow: f64,
    pub signed: f64,
    pub float: f64,
    /// Reads of the model's weights from where they lie, with nothing done to them; 0 where that was not measured.
    pub weights: f64,
}

impl Ceilings {
    /// The higher of each.
    pub fn max(self, other: Self) -> Self {
        Self {
            read: self.read.max(other.read),
            narrow: self.narrow.max(other.narrow),
            signed: self.signed.max(other.signed),
            float: self.float.max(other.float),
            weights: self.weights.max(other.weights),
        }
    }
}

impl ModelCost {
    /// Adds up a file's matrices. Embeddings are looked up, not multiplied, unless one is the output projection too.
    pub fn new(gguf: &Gguf, c: &ModelConfig, kv: KvType, chunk: usize) -> Self {
        let [mut layers, mut experts, mut output] = [(0.0, Products::default()); 3];
        let tied = gguf.tensor("output.weight").is_none();
        for t in gguf.tensors() {
            // Layers that run more than once are read as often.
            let (part, times) = match t.name.as_str() {
                "token_embd.weight" if !tied => continue,
                "per_layer_token_embd.weight" => continue,
                name if c.is_spare(name) => continue,
                "token_embd.weight" | "output.weight" => (&mut output, 1.0),
                name if is_expert(name) => (&mut experts, c.rounds as f64),
                _ => (&mut layers, c.rounds as f64),
            };
            part.0 += times * t.bytes as f64;
            if let Some(format) = Format::from_id(t.dtype.id())
                && t.rows() > 1
            {
                part.1.add(format, times * t.elements() as f64);
            }
        }
        let states: Vec<_> = (0..c.layers).filter_map(|i| c.state_of(i)).map(|s| s.bytes()).collect();
        let attending = (0..c.layers).filter(|i| c.attends(*i));
        // A cache that several layers read is read by each.
        let layer = |i: usize| {
            let l = c.layer(i);
            l.kv_heads * (kv.bytes_of(l.k_dim) + kv.bytes_of(l.v_dim))
        };
        let mut kv_position = [0.0; 2];
        for i in attending {
            kv_position[usize::from(c.window_of(i).is_some())] += layer(i) as f64;
        }
        let window = c.window.as_ref().map_or(f64::INFINITY, |w| w.size as f64);
        let states = 2.0 * states.iter().sum::<usize>() as f64;
        let used = c.experts.as_ref().map_or(1.0, |e| e.used as f64 / e.count as f64);
        Self { layers, experts, used, output, kv_position, window, states, chunk }
    }

    /// With the matrices of low rank of the adapters that change the model, which are floats in use. Those of embeddings are
    /// looked up.
    pub fn with_adapters(mut self, model: &Model) -> Self {
        let rounds = model.config().rounds as f64;
        for t in model.adapters().iter().filter(|a| a.counts()).flat_map(|a| a.tensors()) {
            let (part, times) = match t.name.as_str() {
                name if name.starts_with("token_embd.") => continue,
                name if name.starts_with("output.") => (&mut self.output, 1.0),
                name if is_expert(name) => (&mut self.experts, rounds),
                _ => (&mut self.layers, rounds),
            };
            let float = Format::from_id(t.dtype.id()).is_some_and(|f| !f.is_quant());
            part.0 += times * if float { t.bytes as f64 } else { 4.0 * t.elements() as f64 };
            part.1.float += times * t.elements() as f64;
        }
        self
    }

    /// Of one test. A prompt's weights are read once a chunk; its logits are computed for the last token only. Of the
    /// experts, those are read that some token of the step goes to, if they choose independently.
    pub fn of(&self, t: &Test) -> Cost {
        let (n, b, d) = (t.tokens as f64, t.batch as f64, t.depth as f64);
        let read = |rows: f64| self.experts.0 * (1.0 - (1.0 - self.used).powf(rows));
        let layers = self.layers.1.plus(self.experts.1, self.used);
        let steps = t.tokens.div_ceil(self.chunk) as f64;
        // Positions that all tokens of one sequence see, each those before it and itself.
        let seen = |window: f64| (1..=t.tokens).map(|i| (d + i as f64).min(window)).sum::<f64>();
        match t.kind {
            Kind::Prompt => Cost {
                bytes: steps * (self.layers.0 + read(n.min(self.chunk as f64)) + self.states) + self.output.0,
                products: self.output.1.plus(layers, n),
                tokens: n,
            },
            Kind::Generate => Cost {
                bytes: n * (self.layers.0 + read(b) + self.output.0 + b * self.states)
                    + b * (self.kv_position[0] * seen(f64::INFINITY) + self.kv_position[1] * seen(self.window)),
                products: Products::default().plus(layers, n * b).plus(self.output.1, n * b),
                tokens: n * b,
            },
        }
    }
}

/// `blk.0.ffn_up_exps.weight`, or `blk.0.ffn_up.3.weight` in old files.
fn is_expert(name: &str) -> bool {
    let number = |s: &str| s.parse::<u32>().is_ok();
    name.contains("_exps.") || name.split('.').nth(3).is_some_and(number)
}

impl Cost {
    /// Operations: two for a multiply-add.
    pub fn operations(&self) -> f64 {
        2.0 * (self.products.narrow + self.products.signed + self.products.float)
    }

    /// Which ceilings matter: reads, products of blocks, products of floats.
    pub fn has_blocks(&self) -> bool {
        self.products.narrow + self.products.signed > 0.0
    }

    /// Whether there are products of floating-point weights.
    pub fn has_floats(&self) -> bool {
        self.products.float > 0.0
    }

    /// Seconds that the reads alone, and the products alone, take at the ceilings.
    pub fn least(&self, c: &Ceilings) -> (f64, f64) {
        let part = |products: f64, rate: f64| if products > 0.0 { 2.0 * products / rate } else { 0.0 };
        let p = &self.products;
        (self.bytes / c.read, part(p.narrow, c.narrow) + part(p.signed, c.signed) + part(p.float, c.float))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hewn_engine::{AdapterFile, LoadOptions, Memory};
    use std::path::{Path, PathBuf};

    #[test]
    fn experts_are_told_by_their_names() {
        assert!(is_expert("blk.0.ffn_up_exps.weight") && is_expert("blk.10.ffn_down.3.weight"));
        assert!(!is_expert("blk.0.ffn_up.weight") && !is_expert("blk.0.ffn_up_shexp.weight"));
    }

    #[test]
    fn adapters_are_read_and_multiplied_too() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/");
        let open = |adapters: &[f32]| {
            let path = PathBuf::from(format!("{folder}changed/seed_oss-a.gguf"));
            let adapters = adapters.iter().map(|&scale| AdapterFile { path: path.clone(), scale }).collect();
            let options = LoadOptions { adapters, ..LoadOptions::default() };
            Model::open(Path::new(&format!("{folder}arch/seed_oss.gguf")), &options).unwrap()
        };
        let cost = |model: &Model| {
            let cost = ModelCost::new(model.gguf(), model.config(), KvType::F16, 8).with_adapters(model);
            cost.of(&Test { kind: Kind::Generate, tokens: 1, depth: 0, batch: 1 })
        };
        let (plain, off, on) = (cost(&open(&[])), cost(&open(&[0.0])), cost(&open(&[1.0])));
        assert_eq!(plain, off);
        let Memory { adapters, .. } = open(&[1.0]).memory(8, KvType::F16, 8);
        // All but 96 and 32 rows of rank 3 for the embeddings.
        assert_eq!(on.bytes - plain.bytes, adapters as f64 - 4.0 * 3.0 * (96.0 + 32.0));
        assert!(on.products.float > plain.products.float && on.products.narrow == plain.products.narrow);
    }

    #[test]
    fn decoding_reads_and_prompts_compute() {
        let matrix = |weights| Products { narrow: weights, ..Products::default() };
        let experts = (40.0, matrix(80.0));
        let (layers, output) = ((100.0, matrix(200.0)), (50.0, matrix(100.0)));
        let dense = (0.0, Products::default());
        let m = ModelCost {
            layers,
            experts: dense,
            used: 1.0,
            output,
            kv_position: [1.5, 0.5],
            window: 99.0,
            states: 0.0,
            chunk: 4,
        };
        let prompt = m.of(&Test { kind: Kind::Prompt, tokens: 6, depth: 0, batch: 1 });
        assert_eq!((prompt.bytes, prompt.operations(), prompt.tokens), (250.0, 2.0 * 1300.0, 6.0));
        // Positions 10 and 11 of two sequences read 11 and 12 positions each.
        let answer = m.of(&Test { kind: Kind::Generate, tokens: 2, depth: 10, batch: 2 });
        assert_eq!((answer.bytes, answer.operations(), answer.tokens), (300.0 + 92.0, 2.0 * 1200.0, 4.0));
        let c = Ceilings { read: 10.0, narrow: 100.0, ..Ceilings::default() };
        assert_eq!(answer.least(&c), (39.2, 24.0));
        // One layer of four sees 11 positions only: twice half a byte of the 12 is less than one.
        let answer = ModelCost { window: 11.0, ..m }.of(&Test { kind: Kind::Generate, tokens: 2, depth: 10, batch: 2 });
        assert_eq!(answer.bytes, 300.0 + 91.0);
        // A running state is read and written by each of two sequences in each of two steps.
        let answer = ModelCost { states: 8.0, ..m }.of(&Test { kind: Kind::Generate, tokens: 2, depth: 10, batch: 2 });
        assert_eq!(answer.bytes, 300.0 + 92.0 + 32.0);
        // A quarter of the experts takes a token: two tokens read 7 in 16 of them.
        let m = ModelCost { experts, used: 0.25, ..m };
        let answer = m.of(&Test { kind: Kind::Generate, tokens: 2, depth: 10, batch: 2 });
        assert_eq!((answer.bytes, answer.operations()), (392.0 + 2.0 * 40.0 * 7.0 / 16.0, 2.0 * 1280.0));
    }
}
