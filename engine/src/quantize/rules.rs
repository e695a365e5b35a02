//! Which format each tensor gets.
//!
//! The customary mixes, as people know them by name from the files that llama.cpp's `llama-quantize` makes; the facts are
//! that tool's rules without an importance matrix. A tensor matters more in the first and last layers, in `attn_v`
//! (few weights, each used by many heads) and in `ffn_down`; the output projection most of all.

use super::QuantizeError;
use hewn_loader::{Gguf, TensorInfo, TensorType};
use std::fmt;

/// GGUF ids of the formats.
mod id {
    pub const F32: u32 = 0;
    pub const F16: u32 = 1;
    pub const Q4_0: u32 = 2;
    pub const Q4_1: u32 = 3;
    pub const Q5_0: u32 = 6;
    pub const Q5_1: u32 = 7;
    pub const Q8_0: u32 = 8;
    pub const Q2_K: u32 = 10;
    pub const Q3_K: u32 = 11;
    pub const Q4_K: u32 = 12;
    pub const Q5_K: u32 = 13;
    pub const Q6_K: u32 = 14;
    pub const BF16: u32 = 30;
}

/// What a file is quantized to: a format for most of its weights, and rules for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the customary ones
#[allow(non_camel_case_types)]
pub enum QuantType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K_S,
    Q3_K_M,
    Q3_K_L,
    Q4_K_S,
    Q4_K_M,
    Q5_K_S,
    Q5_K_M,
    Q6_K,
}

/// Type, name, format of most weights, `general.file_type`.
const TABLE: [(QuantType, &str, u32, u32); 17] = {
    use QuantType::*;
    [
        (F32, "F32", id::F32, 0),
        (F16, "F16", id::F16, 1),
        (BF16, "BF16", id::BF16, 32),
        (Q4_0, "Q4_0", id::Q4_0, 2),
        (Q4_1, "Q4_1", id::Q4_1, 3),
        (Q5_0, "Q5_0", id::Q5_0, 8),
        (Q5_1, "Q5_1", id::Q5_1, 9),
        (Q8_0, "Q8_0", id::Q8_0, 7),
        (Q2_K, "Q2_K", id::Q2_K, 10),
        (Q3_K_S, "Q3_K_S", id::Q3_K, 11),
        (Q3_K_M, "Q3_K_M", id::Q3_K, 12),
        (Q3_K_L, "Q3_K_L", id::Q3_K, 13),
        (Q4_K_S, "Q4_K_S", id::Q4_K, 14),
        (Q4_K_M, "Q4_K_M", id::Q4_K, 15),
        (Q5_K_S, "Q5_K_S", id::Q5_K, 16),
        (Q5_K_M, "Q5_K_M", id::Q5_K, 17),
        (Q6_K, "Q6_K", id::Q6_K, 18),
    ]
};

impl QuantType {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// By name, in any case; `Q3_K`, `Q4_K` and `Q5_K` mean the `_M` mix.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        let full = if matches!(&*name, "Q3_K" | "Q4_K" | "Q5_K") { format!("{name}_M") } else { name };
        TABLE.iter().find(|row| row.1 == full).map(|row| row.0)
    }

    fn row(self) -> &'static (Self, &'static str, u32, u32) {
        // The table is in the order of the enum; a test holds them together.
        &TABLE[self as usize]
    }

    /// The customary name.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// GGUF id of the format of most weights.
    pub fn base(self) -> u32 {
        self.row().2
    }

    /// The number for `general.file_type`.
    pub fn file_type(self) -> u32 {
        self.row().3
    }

    /// Whether it is F32, F16 or BF16.
    pub fn is_float(self) -> bool {
        matches!(self.base(), id::F32 | id::F16 | id::BF16)
    }
}

impl fmt::Display for QuantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What becomes of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Its name.
    pub tensor: String,
    /// The format that it has.
    pub from: TensorType,
    /// The format that it gets.
    pub to: TensorType,
    /// The format that the rules ask for, where its rows are no multiple of that format's blocks and it gets another.
    pub instead_of: Option<TensorType>,
}

/// The facts about a model that the rules go by.
pub(crate) struct Facts {
    layers: u64,
    experts: u64,
    /// Query heads to a key/value head; 0 where the first layer has none.
    sharing: u64,
    /// Layers with an `attn_v`, in order, and how many tensors play its part.
    values: Vec<u64>,
    value_tensors: u64,
    /// The embedding is the output projection too.
    tied: bool,
    large: bool,
}

impl Facts {
    fn read(gguf: &Gguf) -> Result<Self, QuantizeError> {
        let meta = gguf.metadata();
        let arch = meta.str("general.architecture")?.unwrap_or_default();
        // Some architectures have a list a layer; the first layer speaks for all.
        let number = |key: &str| {
            let key = format!("{arch}.{key}");
            match meta.array(&key) {
                Ok(list) => list.and_then(|a| a.ints()?.next()).and_then(|n| u64::try_from(n).ok()),
                Err(_) => meta.u64(&key).ok().flatten(),
            }
        };
        let heads = number("attention.head_count").unwrap_or(1);
        let kv_heads = number("attention.head_count_kv").unwrap_or(heads);
        // A layer has tensors: more layers than those are no number to make a list of.
        let layers = number("block_count").unwrap_or(0).min(gguf.tensors().len() as u64);
        let experts = number("expert_count").unwrap_or(0);
        let tied = gguf.tensor("output.weight").is_none();
        let named = |part: &str| gguf.tensors().iter().filter(|t| t.name.contains(part)).collect::<Vec<_>>();
        let mut values: Vec<u64> = named("attn_v.weight").iter().filter_map(|t| layer(&t.name)).collect();
        values.sort_unstable();
        let others = named("attn_qkv.weight").len() + named("attn_kv_b.weight").len();
        let value_tensors = (values.len() + others) as u64;
        Ok(Self { values, value_tensors, ..Self::plain(arch, layers, [heads, kv_heads], experts, tied) })
    }

    /// Those of a model with an `attn_v` in every layer; `heads` are the query and the key/value heads.
    pub fn plain(arch: &str, layers: u64, [heads, kv_heads]: [u64; 2], experts: u64, tied: bool) -> Self {
        Self {
            layers,
            experts,
            sharing: heads.checked_div(kv_heads).unwrap_or(0),
            values: (0..layers).collect(),
            value_tensors: layers,
            tied,
            // The 70B models of Llama and Qwen: eight query heads share an attn_v, which therefore is small.
            large: matches!(arch, "llama" | "qwen2") && layers == 80 && heads != kv_heads,
        }
    }

    /// The same where only some layers have an `attn_v`, and perhaps the others a tensor that plays its part.
    pub fn valued(mut self, has: impl Fn(usize) -> bool, others_too: bool) -> Self {
        self.values.retain(|i| has(*i as usize));
        if !others_too {
            self.value_tensors = self.values.len() as u64;
        }
        self
    }
}

/// `12` of `blk.12.attn_v.weight`.
fn layer(name: &str) -> Option<u64> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}

/// The first and the last eighth, and every third layer in between.
fn worth_more(i: u64, n: u64) -> bool {
    i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2
}

/// Whether it is a matrix of weights; vectors, norms, routers, positions and the small matrices of convolutions,
/// recurrences and several residual streams stay as they are.
fn is_quantizable(t: &TensorInfo) -> bool {
    const KEPT: [&str; 24] = [
        "_norm.weight",
        "ffn_gate_inp",
        "position_embd.weight",
        "token_types.weight",
        "ssm_conv1d",
        "shortconv.conv.weight",
        "attn_rel_b.weight",
        "altup",
        "laurel",
        // Of entries of several positions: what their places add; and experts by token, which are no weights.
        "compressor_ape",
        "ffn_gate_tid2eid",
        // Of RWKV's layers: shares, and matrices of low rank.
        "_lerp_",
        "time_mix_first",
        "time_mix_decay",
        "time_mix_w",
        "time_mix_a",
        "time_mix_v1",
        "time_mix_v2",
        "time_mix_g1",
        "time_mix_g2",
        "per_layer_model_proj",
        // What shares of several residual streams are made of, and what chooses blocks of positions.
        "hc_",
        "indexer.q_proj",
        "indexer.k_proj",
    ];
    let matrix = t.dims[1..].iter().any(|d| *d > 1);
    matrix && t.name.ends_with("weight") && !KEPT.iter().any(|k| t.name.contains(k))
}

/// The format of every tensor, in file order.
pub(crate) fn choose(gguf: &Gguf, to: QuantType, pure: bool) -> Result<Vec<Choice>, QuantizeError> {
    let facts = Facts::read(gguf)?;
    let choices = gguf.tensors().iter().map(|t| {
        let wanted = match () {
            () if !is_quantizable(t) => t.dtype.id(),
            () if pure => to.base(),
            () => rule(&t.name, to, &facts),
        };
        let fitting = fitting(wanted, t.cols());
        // Both are ids of this table.
        let format = |id| TensorType::from_id(id).unwrap_or(t.dtype);
        let instead_of = (fitting != wanted).then(|| format(wanted));
        Choice { tensor: t.name.clone(), from: t.dtype, to: format(fitting), instead_of }
    });
    Ok(choices.collect())
}

/// The format that a matrix of weights with rows of `cols` gets.
pub(crate) fn format_of(name: &str, cols: u64, to: QuantType, facts: &Facts) -> u32 {
    fitting(rule(name, to, facts), cols)
}

/// The format itself where the rows are whole blocks of it, otherwise the next larger that fits.
fn fitting(wanted: u32, cols: u64) -> u32 {
    let fits = |id: u32| TensorType::from_id(id).is_some_and(|t| cols.is_multiple_of(t.block_len()));
    if fits(wanted) {
        return wanted;
    }
    let smaller_blocks = match wanted {
        id::Q2_K | id::Q3_K => id::Q4_0,
        id::Q4_K => id::Q5_0,
        id::Q5_K => id::Q5_1,
        _ => id::Q8_0,
    };
    if fits(smaller_blocks) { smaller_blocks } else { id::F16 }
}

/// The format that a matrix gets in a mix.
fn rule(name: &str, to: QuantType, f: &Facts) -> u32 {
    use QuantType::*;
    let base = to.base();
    let has = |part: &str| name.contains(part);
    if to.is_float() {
        return base;
    }
    if name == "output.weight" || f.tied && matches!(name, "token_embd.weight" | "per_layer_token_embd.weight") {
        return if base == id::Q8_0 { id::Q8_0 } else { id::Q6_K };
    }
    if has("attn_v.weight") {
        let i = layer(name).and_then(|l| f.values.binary_search(&l).ok()).unwrap_or(0) as u64;
        let chosen = match to {
            Q2_K if f.sharing >= 4 => id::Q4_K,
            Q2_K => id::Q3_K,
            Q3_K_M if i < 2 => id::Q5_K,
            Q3_K_M => id::Q4_K,
            Q3_K_L => id::Q5_K,
            Q4_K_S if i < 4 => id::Q5_K,
            Q4_K_M | Q5_K_M if worth_more(i, f.value_tensors) => id::Q6_K,
            _ => base,
        };
        return match chosen {
            _ if f.experts == 8 => id::Q8_0,
            id::Q3_K | id::Q4_K if f.large => id::Q5_K,
            chosen => chosen,
        };
    }
    if has("attn_k.weight") {
        return if f.experts == 8 { id::Q8_0 } else { base };
    }
    if has("ffn_down") {
        let i = layer(name).unwrap_or(0);
        return match to {
            Q2_K => id::Q3_K,
            Q3_K_M if i < f.layers / 16 => id::Q5_K,
            Q3_K_M => id::Q4_K,
            Q3_K_L => id::Q5_K,
            Q4_K_S if i < f.layers / 8 => id::Q5_K,
            Q4_K_M | Q5_K_M if worth_more(i, f.layers) => id::Q6_K,
            _ => base,
        };
    }
    if has("attn_output.weight") {
        return match to {
            Q2_K | Q3_K_S | Q3_K_M | Q4_K_S | Q4_K_M if f.experts == 8 => id::Q5_K,
            Q2_K if f.experts != 8 => id::Q3_K,
            Q3_K_M => id::Q4_K,
            Q3_K_L if f.experts != 8 => id::Q5_K,
            _ => base,
        };
    }
    if has("attn_qkv.weight") {
        return match to {
            Q3_K_M | Q3_K_L => id::Q4_K,
            Q4_K_M => id::Q5_K,
            Q5_K_M => id::Q6_K,
            _ => base,
        };
    }
    base
}
