//! `hewn embed` and `hewn rerank`: vectors of texts, and documents by how well they answer a query.

use crate::args::{EmbedArgs, ModelArgs, RerankArgs};
use crate::bench::print::printable;
use crate::bounded;
use crate::errors::CliError;
use crate::interrupt::Interrupt;
use crate::setup;
use hewn_engine::embed::{EmbedError, EmbedOptions, Embedded, Embedder, Pair, TextPooling};
use hewn_engine::tokenizer::{EncodeOptions, Tokenizer};
use hewn_engine::{Runner, RunnerOptions};
use serde_json::{Value, json};
use std::io::{BufWriter, Write, stdout};
use std::ops::ControlFlow;
use std::path::Path;

/// Numbers of a vector that a person gets to see.
const SHOWN: usize = 6;

/// Characters of a text likewise.
const WIDTH: usize = 32;

/// Runs `hewn embed`.
pub fn run(a: &EmbedArgs) -> Result<(), CliError> {
    let interrupt = Interrupt::install()?;
    let texts = texts(&a.model, &a.texts, a.file.as_deref(), "text")?;
    let runner = setup::runner(&a.model, false)?;
    let tokenizer = setup::tokenizer(&runner)?;
    let options = EncodeOptions { add_special: true, parse_special: false };
    let tokens: Vec<Vec<u32>> = texts.iter().map(|text| tokenizer.encode(text, &options)).collect();
    let longest = tokens.iter().map(Vec::len).max().unwrap_or(0);
    let options = EmbedOptions { pooling: a.pooling, normalize: !a.no_normalize, kv: a.model.kv.into() };
    let mut embedder = embedder(runner, longest, &options)?;
    let vectors = interruptible(&interrupt, |go_on| embedder.embed_tokens(&tokens, go_on))?;
    let mut out = BufWriter::new(stdout().lock());
    if a.json {
        writeln!(out, "{}", as_json(&embedder, &vectors))?;
    } else if a.compare {
        compare(&mut out, &texts, &vectors)?;
    } else {
        print(&mut out, &texts, &vectors)?;
    }
    Ok(out.flush()?)
}

/// Runs `hewn rerank`.
pub fn rerank(a: &RerankArgs) -> Result<(), CliError> {
    let interrupt = Interrupt::install()?;
    let documents = texts(&a.model, &a.documents, a.file.as_deref(), "document")?;
    let runner = setup::runner(&a.model, false)?;
    let tokenizer = setup::tokenizer(&runner)?;
    let pairs = pairs(&runner, &tokenizer, &a.query, &documents)?;
    let longest = pairs.iter().map(|p| p.tokens.len()).max().unwrap_or(0);
    let options = EmbedOptions { pooling: Some(TextPooling::Rank), kv: a.model.kv.into(), ..EmbedOptions::default() };
    let mut embedder = embedder(runner, longest, &options)?;
    let scores = interruptible(&interrupt, |go_on| embedder.rank_pairs(&pairs, go_on))?;
    let mut out = BufWriter::new(stdout().lock());
    if a.json {
        let scores: Vec<Value> = documents.iter().zip(&scores).map(|(d, s)| json!({"text": d, "score": s})).collect();
        writeln!(out, "{}", json!({"query": a.query, "documents": scores}))?;
    } else {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        // Equal ones stay in their order.
        order.sort_by(|i, j| scores[*j].total_cmp(&scores[*i]));
        for i in order {
            writeln!(out, "{:>10.4}  {}", scores[i], printable(&documents[i]))?;
        }
    }
    Ok(out.flush()?)
}

fn pairs(runner: &Runner, tokenizer: &Tokenizer, query: &str, documents: &[String]) -> Result<Vec<Pair>, CliError> {
    let template = Pair::template(runner.model())?;
    Ok(documents.iter().map(|d| Pair::new(tokenizer, template, query, d)).collect())
}

/// What is given as arguments, or the lines of a file or of standard input.
fn texts(model: &ModelArgs, given: &[String], file: Option<&Path>, what: &str) -> Result<Vec<String>, CliError> {
    if model.model.is_none() {
        return Err(CliError::usage("there is no model", "name a file that makes vectors, such as a BERT's"));
    }
    let lines = match (given, file) {
        (_, Some(path)) if path.as_os_str() != "-" => bounded::text_file(path)?,
        (given, None) if !given.is_empty() && given != ["-"] => return Ok(given.to_vec()),
        ([], None) => {
            return Err(CliError::usage(
                format!("there is no {what}"),
                "give some as arguments, or with -f FILE or `-`",
            ));
        }
        _ => bounded::standard_input()?,
    };
    let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    match lines.is_empty() {
        true => Err(CliError::usage(format!("there is no {what}"), "a line of the file is one")),
        false => Ok(lines),
    }
}

/// Where texts are read as a whole, the longest tells how much is computed at once.
fn embedder(runner: Runner, longest: usize, options: &EmbedOptions) -> Result<Embedder, CliError> {
    let config = runner.model().config();
    let chunk = runner.rows_at_once().max(longest.min(config.ctx));
    let runner = match config.causal {
        true => runner,
        false => Runner::new(runner.model().clone(), runner.team().clone(), &RunnerOptions { chunk })?,
    };
    Ok(Embedder::new(runner, options)?)
}

fn interruptible<R>(
    interrupt: &Interrupt,
    work: impl FnOnce(&mut dyn FnMut(usize, usize) -> ControlFlow<()>) -> Result<R, EmbedError>,
) -> Result<R, CliError> {
    let result = interrupt.guard(|cancel| {
        work(&mut |_, _| if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    Ok(result?)
}

fn as_json(embedder: &Embedder, vectors: &[Embedded]) -> Value {
    let one = |e: &Embedded| match embedder.pooling() {
        TextPooling::None => json!({"tokens": e.tokens, "vectors": e.vectors().collect::<Vec<_>>()}),
        _ => json!({"tokens": e.tokens, "vector": e.values}),
    };
    json!({
        "pooling": embedder.pooling().name(),
        "width": embedder.width(),
        "texts": vectors.iter().map(one).collect::<Vec<_>>(),
    })
}

fn print(out: &mut impl Write, texts: &[String], vectors: &[Embedded]) -> Result<(), CliError> {
    for (text, e) in texts.iter().zip(vectors) {
        for vector in e.vectors() {
            let shown: Vec<String> = vector.iter().take(SHOWN).map(|v| format!("{v:>8.4}")).collect();
            let more = if vector.len() > SHOWN { format!(" ... ({})", vector.len()) } else { String::new() };
            writeln!(out, "{:WIDTH$}  {}{more}", cut(text), shown.join(" "))?;
        }
    }
    Ok(())
}

fn compare(out: &mut impl Write, texts: &[String], vectors: &[Embedded]) -> Result<(), CliError> {
    for (text, e) in texts.iter().zip(vectors) {
        write!(out, "{:WIDTH$} ", cut(text))?;
        for other in vectors {
            // Without pooling, the first token's.
            let [a, b] = [e, other].map(|e| e.vectors().next().unwrap_or_default());
            write!(out, " {:>6.3}", cosine(a, b))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The cosine of the angle between two vectors.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

fn cut(text: &str) -> String {
    let text = printable(text);
    match text.chars().count() > WIDTH {
        true => text.chars().take(WIDTH - 1).chain(['…']).collect(),
        false => text,
    }
}
