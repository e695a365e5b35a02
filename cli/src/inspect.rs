//! `hewn inspect`: what a file holds, and what running it takes.

use crate::args::InspectArgs;
use crate::bench::print::printable;
use crate::errors::CliError;
use crate::output::{bytes, count};
use crate::{bundled, cache};
use comfy_table::{CellAlignment, Table, presets};
use hewn_engine::chat::{family, template_from_gguf};
use hewn_engine::loader::{Gguf, OpenOptions, TensorInfo};
use hewn_engine::packed::{self, FoundPack, FoundState};
use hewn_engine::tokenizer::Tokenizer;
use hewn_engine::{Adapter, Memory, ModelConfig};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};

/// Runs the subcommand.
pub fn run(a: &InspectArgs) -> Result<(), CliError> {
    let gguf = match &a.model {
        Some(path) => Gguf::open(path, &OpenOptions { mmap: !a.no_mmap })?,
        None => bundled::gguf(a.no_mmap)?,
    };
    let facts = Facts::read(&gguf)?;
    let tensors: Vec<TensorInfo> = gguf.tensors().to_vec();
    // The memory needs a model that can run; a file that cannot is worth showing all the same.
    let model = match tensors.is_empty() {
        true => Err("the file holds a vocabulary only".to_owned()),
        false => a.change.open(gguf, !a.no_mmap).map_err(|e| e.to_string()),
    };
    let packs = match &model {
        Ok(m) => packed::find(m, cache::folder()?.as_ref()),
        Err(_) => Vec::new(),
    };
    let memory = model.and_then(|m| {
        let trained = m.config().ctx;
        let ctx = a.ctx.unwrap_or(trained.min(4096));
        if ctx == 0 || ctx > trained {
            return Err(format!("--ctx {ctx} is not within 1..={trained}"));
        }
        Ok((ctx, m.memory(ctx, a.kv.into(), a.chunk as usize)))
    });
    if let (Err(e), true) = (&memory, a.ctx.is_some() || a.change.any()) {
        return Err(CliError::failure(e, "leave out --ctx, --lora and the --rope options to see what the file holds"));
    }
    let mut out = BufWriter::new(stdout().lock());
    if a.json {
        writeln!(out, "{:#}", facts.json(&memory, &packs, a.tensors.then_some(&tensors)))?;
    } else {
        facts.print(&mut out, &memory, &packs, a)?;
        if a.tensors {
            print_tensors(&mut out, &tensors)?;
        }
    }
    Ok(out.flush()?)
}

/// One weight format's share of a file.
#[derive(Default)]
struct Share {
    tensors: usize,
    weights: u64,
    bytes: u64,
}

struct Facts {
    /// The parts of a split file; empty for a whole one.
    parts: Vec<(PathBuf, u64)>,
    file_bytes: u64,
    version: u32,
    architecture: String,
    name: Option<String>,
    context: Option<u64>,
    parameters: u64,
    weight_bytes: u64,
    formats: BTreeMap<&'static str, Share>,
    vocabulary: Option<usize>,
    tokenizer: Option<String>,
    template: bool,
    /// The family whose template is used where the file has none.
    fallback: Option<&'static str>,
    /// Keys of the architecture that nothing reads; empty where it cannot be run anyway.
    unread: Vec<String>,
    adapter: Option<AdapterFacts>,
    /// How texts are read and what becomes of them, where that is known.
    reads: Option<Reads>,
}

/// How texts are read, and what becomes of their rows where the file says so.
struct Reads {
    causal: bool,
    pooling: Option<&'static str>,
    width: usize,
    labels: usize,
}

impl Reads {
    fn of(c: &ModelConfig) -> Self {
        let v = &c.vectors;
        Self { causal: c.causal, pooling: v.pooling.map(|p| p.name()), width: c.vector_width(), labels: v.labels }
    }

    /// What is particular about it.
    fn told(&self) -> Option<String> {
        Some(match self.pooling? {
            "none" => format!("a vector of {} numbers for each token", self.width),
            "rank" if self.labels == 1 => "one score of a query and a document (`hewn rerank`)".to_owned(),
            "rank" => format!("{} scores of a query and a document (`hewn rerank`)", self.labels),
            kind => format!("{} numbers, pooling {kind} (`hewn embed`)", self.width),
        })
    }
}

/// What an adapter's file says about it.
struct AdapterFacts {
    kind: String,
    alpha: Option<f32>,
    /// The lowest rank and the highest.
    ranks: Option<[u64; 2]>,
    matrices: usize,
    /// Why it cannot be used.
    unusable: Option<String>,
}

impl AdapterFacts {
    fn read(gguf: &Gguf) -> Option<Self> {
        let meta = gguf.metadata();
        let text = |key: &str| meta.str(key).ok().flatten();
        if text("general.type") != Some("adapter") {
            return None;
        }
        let ranks: Vec<u64> =
            gguf.tensors().iter().filter(|t| t.name.ends_with(".lora_b")).map(TensorInfo::cols).collect();
        Some(Self {
            kind: text("adapter.type").unwrap_or("unknown").to_owned(),
            alpha: meta.f32("adapter.lora.alpha").ok().flatten(),
            ranks: ranks.iter().min().zip(ranks.iter().max()).map(|(least, most)| [*least, *most]),
            matrices: ranks.len(),
            unusable: Adapter::check(gguf).err().map(|e| e.to_string()),
        })
    }

    fn told(&self) -> String {
        let rank = match self.ranks {
            Some([least, most]) if least == most => format!(", rank {least}"),
            Some([least, most]) => format!(", ranks {least} to {most}"),
            None => String::new(),
        };
        let alpha = self.alpha.map_or(String::new(), |alpha| format!(", alpha {alpha}"));
        format!("{}{rank}{alpha}, of {} matrices; it is used with --lora beside its model", self.kind, self.matrices)
    }

    fn json(&self) -> Value {
        json!({
            "type": self.kind, "alpha": self.alpha, "ranks": self.ranks, "matrices": self.matrices, "error": self.unusable,
        })
    }
}

impl Facts {
    fn read(gguf: &Gguf) -> Result<Self, CliError> {
        let meta = gguf.metadata();
        let text = |key: &str| meta.str(key).map(|s| s.map(str::to_owned));
        let architecture = text("general.architecture")?.unwrap_or_else(|| "none given".to_owned());
        let mut formats: BTreeMap<&'static str, Share> = BTreeMap::new();
        for t in gguf.tensors() {
            let share = formats.entry(t.dtype.name()).or_default();
            share.tensors += 1;
            share.weights += t.elements();
            share.bytes += t.bytes;
        }
        let kind = text("tokenizer.ggml.model")?;
        let pre = text("tokenizer.ggml.pre")?;
        let parts = gguf.parts().iter().filter(|_| gguf.parts().len() > 1);
        let name = text("general.name")?;
        let template = template_from_gguf(gguf)?.is_some();
        // A vocabulary that cannot be used is told by the commands that need it.
        let tokenizer = (!template).then(|| Tokenizer::from_gguf(gguf).ok()).flatten();
        let fallback = tokenizer.and_then(|t| family(&t, name.as_deref())).map(|f| f.name);
        let config = ModelConfig::from_gguf(gguf).ok();
        Ok(Self {
            parts: parts.map(|p| (p.path().unwrap_or(Path::new("")).to_owned(), p.file_len())).collect(),
            file_bytes: gguf.file_len(),
            version: gguf.version(),
            name,
            context: meta.u64(&format!("{architecture}.context_length"))?,
            architecture,
            parameters: formats.values().map(|s| s.weights).sum(),
            weight_bytes: formats.values().map(|s| s.bytes).sum(),
            formats,
            vocabulary: meta.array("tokenizer.ggml.tokens")?.map(|a| a.len()),
            tokenizer: kind.map(|k| pre.map_or(k.clone(), |p| format!("{k}, {p}"))),
            template,
            fallback,
            adapter: AdapterFacts::read(gguf),
            reads: config.as_ref().map(Reads::of),
            unread: config.map_or_else(Vec::new, |c| c.unread),
        })
    }

    fn bits_per_weight(&self) -> f64 {
        self.weight_bytes as f64 * 8.0 / self.parameters.max(1) as f64
    }

    fn json(
        &self,
        memory: &Result<(usize, Memory), String>,
        packs: &[FoundPack],
        tensors: Option<&Vec<TensorInfo>>,
    ) -> Value {
        let formats: serde_json::Map<String, Value> = self
            .formats
            .iter()
            .map(|(k, s)| ((*k).to_owned(), json!({"tensors": s.tensors, "weights": s.weights, "bytes": s.bytes})))
            .collect();
        let mut v = json!({
            "file_bytes": self.file_bytes,
            "parts": self.parts.iter().map(|(p, n)| json!({"path": p.display().to_string(), "bytes": n})).collect::<Vec<_>>(),
            "gguf_version": self.version,
            "architecture": self.architecture,
            "name": self.name,
            "parameters": self.parameters,
            "bits_per_weight": self.bits_per_weight(),
            "formats": formats,
            "context_length": self.context,
            "causal": self.reads.as_ref().map(|r| r.causal),
            "pooling": self.reads.as_ref().and_then(|r| r.pooling),
            "vector_width": self.reads.as_ref().map(|r| r.width),
            "vocabulary": self.vocabulary,
            "tokenizer": self.tokenizer,
            "chat_template": self.template,
            "fallback_template": self.fallback,
            "metadata_not_read": self.unread,
            "adapter": self.adapter.as_ref().map(AdapterFacts::json),
            "memory": match memory {
                Ok((ctx, m)) => json!({"ctx": ctx, "weights_mapped": m.weights, "adapters": m.adapters, "kv": m.kv, "states": m.states, "scratch": m.scratch, "total": m.total()}),
                Err(why) => json!({"error": why}),
            },
            "packed": packs.iter().map(pack_json).collect::<Vec<_>>(),
        });
        if let Some(tensors) = tensors {
            let list = tensors.iter().map(|t| {
                json!({
                    "name": t.name, "shape": t.dims, "format": t.dtype.name(),
                    "part": t.part, "offset": t.offset, "bytes": t.bytes,
                })
            });
            v["tensors"] = list.collect();
        }
        v
    }

    fn print(
        &self,
        out: &mut impl Write,
        memory: &Result<(usize, Memory), String>,
        packs: &[FoundPack],
        a: &InspectArgs,
    ) -> std::io::Result<()> {
        // What stands there comes from the file.
        let mut row = |name: &str, value: String| writeln!(out, "{name:<16}{}", printable(&value));
        row(
            "file",
            format!(
                "{} ({}, GGUF version {})",
                bundled::name(a.model.as_deref()),
                bytes(self.file_bytes),
                self.version
            ),
        )?;
        for (i, (path, n)) in self.parts.iter().enumerate() {
            row(if i == 0 { "parts" } else { "" }, format!("{} ({})", path.display(), bytes(*n)))?;
        }
        row("architecture", self.architecture.clone())?;
        if let Some(adapter) = &self.adapter {
            row("adapter", adapter.told())?;
            if let Some(why) = &adapter.unusable {
                row("", format!("it cannot be used: {why}"))?;
            }
        }
        if let Some(name) = &self.name {
            row("name", name.clone())?;
        }
        if self.parameters > 0 {
            row("parameters", format!("{} ({:.2} bits per weight)", count(self.parameters), self.bits_per_weight()))?;
            for (format, s) in &self.formats {
                let share = s.bytes as f64 * 100.0 / self.weight_bytes.max(1) as f64;
                row(
                    "",
                    format!(
                        "{format:<8}{share:5.1} % of the bytes, {} weights in {} tensors",
                        count(s.weights),
                        s.tensors
                    ),
                )?;
            }
        }
        if let Some(ctx) = self.context {
            row("context", format!("{ctx} tokens"))?;
        }
        if self.reads.as_ref().is_some_and(|r| !r.causal) {
            row("attention", "every token of a text sees all of it; it generates none".to_owned())?;
        }
        if let Some(vectors) = self.reads.as_ref().and_then(Reads::told) {
            row("vectors", vectors)?;
        }
        if let Some(n) = self.vocabulary {
            let kind = self.tokenizer.as_deref().map_or(String::new(), |k| format!(" ({k})"));
            row("vocabulary", format!("{n} tokens{kind}"))?;
        }
        if self.adapter.is_some() {
            return Ok(());
        }
        row(
            "chat template",
            match self.fallback {
                _ if self.template => "yes".to_owned(),
                Some(family) => format!("none in the file; its vocabulary is of the family {family}, whose is used"),
                None => "no".to_owned(),
            },
        )?;
        for (i, key) in self.unread.iter().enumerate() {
            row(if i == 0 { "not read" } else { "" }, key.clone())?;
        }
        if packs.is_empty() && memory.is_ok() {
            row("packed file", "none".to_owned())?;
        }
        for p in packs {
            row("packed file", format!("{}, {}: {}", bytes(p.bytes), pack_state(&p.state), p.path.display()))?;
        }
        match memory {
            Ok((ctx, m)) => {
                row("memory", format!("{} at {ctx} tokens of context:", bytes(m.total())))?;
                row("", format!("{} weights (mapped from the file)", bytes(m.weights)))?;
                if m.adapters > 0 {
                    row("", format!("{} adapters", bytes(m.adapters)))?;
                }
                row("", format!("{} key/value cache", bytes(m.kv)))?;
                if m.states > 0 {
                    row("", format!("{} running states", bytes(m.states)))?;
                }
                row("", format!("{} scratch, at {} tokens a step", bytes(m.scratch), a.chunk))
            }
            Err(why) => row("memory", format!("unknown: {why}")),
        }
    }
}

fn pack_state(state: &FoundState) -> String {
    match state {
        FoundState::Ready => "ready".to_owned(),
        FoundState::Partial { done } => format!("unfinished, {} done", bytes(*done)),
        FoundState::Bad(why) => format!("not used ({why})"),
    }
}

fn pack_json(p: &FoundPack) -> Value {
    let state = match &p.state {
        FoundState::Ready => json!("ready"),
        FoundState::Partial { .. } => json!("partial"),
        FoundState::Bad(_) => json!("bad"),
    };
    let mut v = json!({"path": p.path.display().to_string(), "bytes": p.bytes, "state": state});
    match &p.state {
        FoundState::Ready => {}
        FoundState::Partial { done } => v["done"] = json!(done),
        FoundState::Bad(why) => v["reason"] = json!(why.to_string()),
    }
    v
}

fn print_tensors(out: &mut impl Write, tensors: &[TensorInfo]) -> std::io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["tensor", "shape", "format", "bytes"]);
    for t in tensors {
        let shape = t.dims.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ");
        table.add_row([printable(&t.name), shape, t.dtype.name().to_owned(), t.bytes.to_string()]);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "\n{table}")
}
