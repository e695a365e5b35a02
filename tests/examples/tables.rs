//! Writes the README's tables of formats and architectures: how fast each kernel is here, and how far each fixture's logits
//! (of models that make vectors of texts, those) are from their reference.
//!
//!     cargo run --release -p hewn-tests --example tables               prints them
//!     cargo run --release -p hewn-tests --example tables -- --write    puts them into the README
//!
//! Fixtures of `../shared`, where that lies beside the checkout, and of `tests/data`. It takes about a minute.

use hewn_engine::embed::{EmbedOptions, Embedder};
use hewn_engine::{CpuIsa, KvType, LoadOptions, Model, Runner, RunnerOptions, Team, default_threads};
use hewn_kernels::Format;
use hewn_kernels::op::matmul::Layout;
use hewn_kernels::probe::kernels::Case;
use hewn_kernels::probe::{Buffer, DotKind, data_caches, dot_rate, read_rate};
use hewn_tests::embedding::{EmbedFixture, embed_fixtures};
use hewn_tests::fixture::Fixture;
use hewn_tests::{Setup, all_logits, nmse, shared};
use std::error::Error;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const BEGIN: &str = "<!-- tables: written by `cargo run --release -p hewn-tests --example tables -- --write` -->";
const END: &str = "<!-- end of the tables -->";

/// Rows of a prompt.
const PROMPT: usize = 512;

/// All kernels take turns so often: what disturbs a measurement lasts longer than one, and only ever slows it.
const ROUNDS: usize = 3;

/// Fixtures whose names are not those of their formats.
const NAMES: [(Format, &str); 3] = [(Format::Q4K, "q4_k_s"), (Format::Q5K, "q5_k_s"), (Format::Mxfp4, "mxfp4_moe")];

fn main() -> Result<(), Box<dyn Error>> {
    let write = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--write") => true,
        Some(other) => return Err(format!("unknown argument {other}; there is --write").into()),
    };
    let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data"));
    let dirs = |kind: &[&str; 2]| {
        let shared = shared().map(|s| s.join("fixtures").join(kind[0]));
        shared.into_iter().chain([own.join(kind[1])]).collect::<Vec<_>>()
    };
    let text = formats(&dirs(&["quant", "format"]))? + "\n" + &architectures(&dirs(&["arch", "arch"]))?;
    if !write {
        print!("{text}");
        return Ok(());
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(path)?;
    let (before, rest) = readme.split_once(BEGIN).ok_or("the README has no mark where the tables begin")?;
    let (_, after) = rest.split_once(END).ok_or("the README has no mark where the tables end")?;
    Ok(std::fs::write(path, format!("{before}{BEGIN}\n{text}{END}{after}"))?)
}

/// Formats x (decode, prompt, error, the peer's error).
fn formats(dirs: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    let team = Team::new(default_threads(), CpuIsa::best())?;
    let span = (2 * data_caches().last().map_or(32 << 20, |c| c.bytes)).clamp(64 << 20, 512 << 20);
    let buffer = Buffer::new(&team, span).ok_or("not enough memory")?;
    let pass = Duration::from_millis(5);
    let [mut memory, mut products] = [read_rate(&team, &buffer, 4)?, dot_rate(&team, DotKind::Signed, pass, 4)?];
    let mut best = vec![(0.0f64, 0.0f64); Format::ALL.len()];
    for round in 0..ROUNDS {
        for (&format, best) in Format::ALL.iter().zip(&mut best) {
            eprint!("{round} {:8}\r", format.name());
            let layout = if format.is_quant() { Layout::Packed } else { Layout::File };
            best.0 = best.0.max(rates(&team, Case::Matmul { format, layout, columns: 1 }, span)?.0);
            best.1 = best.1.max(rates(&team, Case::Matmul { format, layout, columns: PROMPT }, 0)?.1);
        }
    }
    let mut rows = String::new();
    for (&format, (bytes, operations)) in Format::ALL.iter().zip(best) {
        let name = NAMES.iter().find(|n| n.0 == format).map_or_else(|| format.name().to_lowercase(), |n| n.1.into());
        let fixture = dirs.iter().find(|d| d.join(format!("{name}.json")).is_file());
        let [error, peer] = match fixture {
            Some(dir) => errors(&Fixture::read(dir, &name))?,
            None => [String::new(), String::new()],
        };
        let (bytes, operations) = (bytes / 1e9, operations / 1e9);
        writeln!(rows, "| {} | {bytes:.1} | {operations:.0} | {error} | {peer} |", format.name())?;
    }
    memory = memory.max(read_rate(&team, &buffer, 4)?);
    products = products.max(dot_rate(&team, DotKind::Signed, pass, 4)?);
    let mut text = format!(
        "{}, {} threads, {}: reads {:.1} GB/s, multiplies 8-bit integers at {:.0} Gop/s.\nProducts with a packed matrix \
         of 4096 x 1536: of one row to decode, of {PROMPT} for a prompt; \
         the best of {ROUNDS} rounds.\n\n",
        cpu(),
        team.threads(),
        team.isa().kind(),
        memory / 1e9,
        products / 1e9
    );
    text += "| format | decode GB/s | prompt Gop/s | error | peer's error |\n| --- | --: | --: | --: | --: |\n";
    Ok(text + &rows)
}

/// Architectures x (error, the peer's error).
fn architectures(dirs: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    let mut all = Vec::new();
    for dir in dirs {
        for entry in std::fs::read_dir(dir)? {
            if let Some(name) = entry?.file_name().to_str().and_then(|n| n.strip_suffix(".gguf")) {
                let f = Fixture::read(dir, name);
                let model = Model::open(&f.model, &LoadOptions::default())?;
                let arch = model.config().arch.name;
                let quantized = model.gguf().tensors().iter().any(|t| t.dtype.block_len() > 1);
                let [error, peer] = errors(&f)?;
                let weights = if quantized { "blocks" } else { "F16" };
                all.push((arch, name.to_owned(), format!("| `{arch}` | {name} | {weights} | {error} | {peer} |\n")));
            }
        }
    }
    for f in embed_fixtures() {
        let model = Arc::new(Model::open(&f.model, &LoadOptions::default())?);
        let (arch, error) = (model.config().arch.name, figure(nmse(&vectors(&f, model.clone())?, &f.vectors)));
        let peer = figure(f.peer_nmse);
        let row = format!("| `{arch}` | {}, vectors | F16 | {error} | {peer} |\n", f.name);
        all.push((arch, f.name, row));
    }
    all.sort_unstable();
    let head = "| architecture | fixture | weights | error | peer's error |\n| --- | --- | --- | --: | --: |\n";
    Ok(head.to_owned() + &all.into_iter().map(|row| row.2).collect::<String>())
}

/// The error of a fixture's logits with a cache in F32, and that of the peer.
fn errors(f: &Fixture) -> Result<[String; 2], Box<dyn Error>> {
    let model = Arc::new(Model::open(&f.model, &LoadOptions::default())?);
    let kept = f.kept(&all_logits(&model, &f.tokens, Setup::new(KvType::F32)));
    Ok([nmse(&kept, &f.logits), f.peer_nmse].map(figure))
}

/// The vectors of a fixture's texts, with keys and values in F32.
fn vectors(f: &EmbedFixture, model: Arc<Model>) -> Result<Vec<f32>, Box<dyn Error>> {
    let team = Arc::new(Team::new(default_threads(), CpuIsa::best())?);
    let options = EmbedOptions { pooling: None, normalize: false, kv: KvType::F32 };
    let mut embedder = Embedder::new(Runner::new(model, team, &RunnerOptions::default())?, &options)?;
    let all = embedder.embed_tokens(&f.texts, &mut |_, _| ControlFlow::Continue(()))?;
    Ok(all.into_iter().flat_map(|e| e.values).collect())
}

fn figure(error: f64) -> String {
    if error == 0.0 { "0".to_owned() } else { format!("{error:.1e}") }
}

/// Bytes and operations a second: the median of several samples.
fn rates(team: &Team, case: Case, span: usize) -> Result<(f64, f64), Box<dyn Error>> {
    let mut ready = case.prepare(span).ok_or("not enough memory")?;
    let mut turns = 1;
    while ready.run(team, turns)?.min(ready.run(team, turns)?) < Duration::from_millis(10) {
        turns *= 2;
    }
    let mut samples = Vec::new();
    for _ in 0..7 {
        samples.push(ready.run(team, turns)?.as_secs_f64() / turns as f64);
    }
    samples.sort_by(f64::total_cmp);
    let (cost, median) = (ready.cost(), samples[samples.len() / 2]);
    Ok((cost.bytes() as f64 / median, cost.operations() as f64 / median))
}

/// The CPU's name for itself.
fn cpu() -> String {
    let info = std::fs::read_to_string(Path::new("/proc/cpuinfo")).unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
    name.map_or(std::env::consts::ARCH, |(_, n)| n.trim()).to_owned()
}
