//! Writes the README's table of right answers: the bundled model's master file in every number format and with both
//! caches, asked the held-out questions.
//!
//!     cargo run --release -p hewn-tests --example accuracy               prints it
//!     cargo run --release -p hewn-tests --example accuracy -- --write    puts it into the README
//!
//! `--models DIR` takes `hewn-tiny-f16.gguf` (the master), `hewn-tiny.gguf` (what is bundled) and `eval.jsonl` from
//! another folder than `models`; `--limit N` asks N questions of each task. It takes some minutes.

use hewn_engine::chat::{ChatTemplate, template_from_gguf};
use hewn_engine::eval::{EvalOptions, EvalReport, Score, Task, evaluate, limit, read_tasks};
use hewn_engine::loader::{Gguf, OpenOptions};
use hewn_engine::quantize::{QuantType, QuantizeOptions, quantize};
use hewn_engine::tokenizer::Tokenizer;
use hewn_engine::{CancelToken, CpuIsa, KvType, Model, Runner, RunnerOptions, Team, default_threads};
use std::error::Error;
use std::fmt::Write;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const BEGIN: &str = "<!-- accuracy: written by `cargo run --release -p hewn-tests --example accuracy -- --write` -->";
const END: &str = "<!-- end of the accuracy -->";

/// What the master is written in: name, type, whether every matrix is in that format. The first is what answers are
/// compared with.
const FORMATS: [(&str, QuantType, bool); 16] = {
    use QuantType::*;
    [
        ("F32", F32, true),
        ("F16", F16, true),
        ("BF16", BF16, true),
        ("Q8_0", Q8_0, true),
        ("Q6_K", Q6_K, true),
        ("Q5_1", Q5_1, true),
        ("Q5_0", Q5_0, true),
        ("Q5_K", Q5_K_S, true),
        ("Q4_1", Q4_1, true),
        ("Q4_0", Q4_0, true),
        ("Q4_K", Q4_K_S, true),
        ("Q3_K", Q3_K_S, true),
        ("Q2_K", Q2_K, true),
        ("Q5_K_M", Q5_K_M, false),
        ("Q4_K_M", Q4_K_M, false),
        ("Q3_K_M", Q3_K_M, false),
    ]
};

/// Sequences computed together, and the most tokens of an answer.
const BATCH: usize = 32;
const TOKENS: usize = 1024;

struct Arguments {
    write: bool,
    models: PathBuf,
    limit: Option<usize>,
}

impl Arguments {
    fn read() -> Result<Self, Box<dyn Error>> {
        let models = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"));
        let mut this = Self { write: false, models, limit: None };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--write" => this.write = true,
                "--models" => this.models = value()?.into(),
                "--limit" => this.limit = Some(value()?.parse()?),
                _ => return Err(format!("unknown argument {arg}; there are --write, --models DIR, --limit N").into()),
            }
        }
        Ok(this)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Arguments::read()?;
    let file = |name: &str| {
        let path = args.models.join(name);
        if path.is_file() { Ok(path) } else { Err(format!("{} is missing", path.display())) }
    };
    let (master, bundled, questions) = (file("hewn-tiny-f16.gguf")?, file("hewn-tiny.gguf")?, file("eval.jsonl")?);
    let mut tasks =
        read_tasks(BufReader::new(File::open(&questions)?)).map_err(|e| format!("{}: {e}", questions.display()))?;
    if let Some(n) = args.limit {
        limit(&mut tasks, n);
    }
    let text = tables(&master, &bundled, &tasks)?;
    if !args.write {
        print!("{text}");
        return Ok(());
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(path)?;
    let (before, rest) = readme.split_once(BEGIN).ok_or("the README has no mark where the table begins")?;
    let (_, after) = rest.split_once(END).ok_or("the README has no mark where the table ends")?;
    Ok(std::fs::write(path, format!("{before}{BEGIN}\n{text}{END}{after}"))?)
}

/// Formats x (size, accuracy with each cache, changed answers), then the bundled file's score by task.
fn tables(master: &Path, bundled: &Path, tasks: &[Task]) -> Result<String, Box<dyn Error>> {
    let team = Arc::new(Team::new(default_threads(), CpuIsa::best())?);
    let mut text = format!(
        "{} questions, greedy. *Changed*: answers with a cache in F16 that differ from those of F32 weights with\na \
         cache in F32, right or wrong.\n\n",
        tasks.len()
    );
    text += "| weights | MB | accuracy, cache F16 | 95 % interval | accuracy, cache F32 | changed |\n";
    text += "| --- | --: | --: | --- | --: | --: |\n";
    let source = Gguf::open(master, &OpenOptions::default())?;
    let dir = tempfile::tempdir()?;
    let mut first = None;
    let files = FORMATS.iter().map(Some).chain([None]);
    let mut by_task = None;
    for format in files {
        let (name, path) = match format {
            Some((name, to, pure)) => {
                let path = dir.path().join(format!("{name}.gguf"));
                let options = QuantizeOptions { to: *to, pure: *pure, requantize: false };
                let never = CancelToken::new();
                quantize(&source, &mut File::create(&path)?, &options, &team, &never, &mut |_| {})?;
                (*name, path)
            }
            None => ("as bundled", bundled.to_owned()),
        };
        let bytes = path.metadata()?.len();
        let half = ask(&path, &team, tasks, KvType::F16, name)?;
        let full = ask(&path, &team, tasks, KvType::F32, name)?;
        let base = first.get_or_insert_with(|| full.clone());
        let changed = half.answers.iter().zip(&base.answers).filter(|(a, b)| a.text != b.text).count();
        let (score, percent) = (half.overall(), |v: f64| format!("{:.1} %", v * 100.0));
        writeln!(
            text,
            "| {name} | {:.2} | {} | {} | {} | {changed} |",
            bytes as f64 / 1e6,
            percent(score.accuracy()),
            interval(score),
            percent(full.overall().accuracy())
        )?;
        by_task = Some(half.groups(tasks));
    }
    text += "\nThe bundled file, task by task:\n\n| task | n | accuracy | 95 % interval |\n| --- | --: | --: | --- |\n";
    for (name, score) in by_task.unwrap_or_default() {
        writeln!(text, "| {name} | {} | {:.1} % | {} |", score.n, score.accuracy() * 100.0, interval(score))?;
    }
    Ok(text)
}

fn interval(score: Score) -> String {
    let (low, high) = score.interval();
    format!("{:.1}-{:.1} %", low * 100.0, high * 100.0)
}

/// All questions to one file.
fn ask(path: &Path, team: &Arc<Team>, tasks: &[Task], kv: KvType, name: &str) -> Result<EvalReport, Box<dyn Error>> {
    let model = Arc::new(Model::from_gguf(Gguf::open(path, &OpenOptions::default())?)?);
    let tokenizer = Tokenizer::from_gguf(model.gguf())?;
    let template = template_from_gguf(model.gguf())?.map(|source| ChatTemplate::new(&source)).transpose()?;
    let mut runner = Runner::new(model, team.clone(), &RunnerOptions::default())?;
    let options = EvalOptions { batch: BATCH, max_tokens: Some(TOKENS), ctx: None, kv };
    let never = CancelToken::new();
    let report = evaluate(&mut runner, &tokenizer, template.as_ref(), tasks, &options, &never, &mut |_| {})?;
    eprintln!(
        "{name:10} cache {kv:?}: {:?} in {:.1?}, {:.0} tokens/s",
        report.overall(),
        report.elapsed,
        report.speed()
    );
    Ok(report)
}
