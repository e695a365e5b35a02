//! `hewn perplexity`: how well a model predicts a text, and how far it is from another.

use crate::args::PerplexityArgs;
use crate::errors::CliError;
use crate::outfile::{OutputFile, parts};
use crate::output::{Interrupt, bytes, duration, note};
use crate::{bundled, prompt, setup};
use hewn_engine::perplexity::{
    Estimate, LogitsReader, LogitsWriter, PerplexityError, PerplexityOptions, PerplexityReport, perplexity,
};
use hewn_engine::tokenizer::EncodeOptions;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

/// Runs the subcommand.
pub fn run(a: &PerplexityArgs) -> Result<(), CliError> {
    let interrupt = Interrupt::install()?;
    // What cannot be read or written is found before the model is opened.
    let save = OutputFile::maybe(a.save_logits.as_deref(), "where the result goes")?;
    if let Some(out) = &save {
        out.must_not_be([&a.file, &a.kl_base].into_iter().flatten().map(PathBuf::as_path))?;
    }
    let text = a.file.as_deref().map(|f| prompt::read(None, Some(f))).transpose()?;
    let mut input = match &a.kl_base {
        Some(path) => {
            let fail = |e: std::io::Error| CliError::file("read", path, &e);
            let file = File::open(path).map_err(fail)?;
            let meta = file.metadata().map_err(fail)?;
            if !meta.is_file() {
                return Err(fail(std::io::ErrorKind::InvalidInput.into()));
            }
            Some((BufReader::with_capacity(1 << 20, file), meta.len()))
        }
        None => None,
    };
    let mut base = input.as_mut().map(|(input, len)| LogitsReader::open(input, *len)).transpose()?;
    let mut runner = setup::runner(&a.model, a.quiet)?;
    if let Some(out) = &save {
        out.must_not_be(parts(runner.model().gguf()))?;
    }
    let saved = base.as_ref().map(LogitsReader::header);
    let (begin, tokens) = match (&text, saved) {
        (Some(text), _) => {
            let tokenizer = setup::tokenizer(&runner)?;
            let begin = tokenizer.bos().filter(|_| tokenizer.add_bos());
            (begin, tokenizer.encode(text, &EncodeOptions { add_special: true, parse_special: false }))
        }
        (None, Some(saved)) => (saved.begin, saved.tokens.clone()),
        (None, None) => return Err(CliError::usage("there is no text", "give it with -f FILE")),
    };
    let ctx = a.ctx.or(saved.map(|s| s.ctx as usize)).unwrap_or(512);
    let options = PerplexityOptions { ctx, kv: a.model.kv.into(), begin };
    let mut save = save.map(|out| (out.fail(), BufWriter::with_capacity(1 << 20, out)));
    let (start, bar) = (Instant::now(), bar(options.windows(tokens.len())));
    let result = interrupt.guard(|cancel| {
        let mut writer = save.as_mut().map(|(_, out)| LogitsWriter::new(out));
        perplexity(&mut runner, &tokens, &options, writer.as_mut(), base.as_mut(), cancel, &mut |done, _, so_far| {
            bar.set_position(done as u64);
            bar.set_message(format!("{so_far:.4}"));
        })
    });
    bar.finish_and_clear();
    let report = match (result, &save) {
        (Err(PerplexityError::Write(e)), Some((fail, _))) => return Err(fail(&e)),
        (result, _) => result?,
    };
    if let (Some((fail, out)), Some(path)) = (save, &a.save_logits) {
        let out = out.into_inner().map_err(|e| fail(e.error()))?;
        let size = out.bytes();
        out.keep()?;
        if !a.quiet {
            note(&format!("saved the logits, {}: {}", bytes(size), path.display()));
        }
    }
    let mut out = stdout().lock();
    if a.json {
        writeln!(out, "{:#}", as_json(a, &report, ctx))?;
    } else {
        print(&mut out, &report)?;
        if !a.quiet {
            let speed = tokens.len() as f64 / start.elapsed().as_secs_f64();
            note(&format!("{} windows of {ctx} tokens in {}, {speed:.0}/s", report.windows, duration(start.elapsed())));
        }
    }
    Ok(out.flush()?)
}

/// Without a terminal, indicatif draws nothing.
fn bar(windows: usize) -> ProgressBar {
    let bar = ProgressBar::new(windows as u64);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} windows, {eta} left, perplexity so far {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn print(out: &mut impl Write, r: &PerplexityReport) -> std::io::Result<()> {
    let sure = |e: Estimate| if e.error.is_nan() { String::new() } else { format!(" +- {:.6}", e.error) };
    writeln!(out, "perplexity      {:.6}{} ({} tokens)", r.perplexity.mean, sure(r.perplexity), r.scored)?;
    let Some(d) = &r.divergence else { return Ok(()) };
    writeln!(out, "of the base     {:.6} (ratio {:.6})", d.base_perplexity, r.perplexity.mean / d.base_perplexity)?;
    writeln!(out, "KL divergence   {:.6}{}", d.kl.mean, sure(d.kl))?;
    writeln!(out, "  median        {:.6}", d.median)?;
    writeln!(out, "  99 %          {:.6}", d.p99)?;
    writeln!(out, "  maximum       {:.6}", d.max)?;
    let percent = Estimate { mean: d.same_top.mean * 100.0, error: d.same_top.error * 100.0 };
    writeln!(out, "same top token  {:.3}{} %", percent.mean, sure(percent))
}

fn as_json(a: &PerplexityArgs, r: &PerplexityReport, ctx: usize) -> Value {
    let estimate = |e: Estimate| json!({"mean": e.mean, "error": e.error});
    let mut v = json!({
        "model": bundled::name(a.model.model.as_deref()),
        "ctx": ctx,
        "windows": r.windows,
        "scored": r.scored,
        "nll": estimate(r.nll),
        "perplexity": estimate(r.perplexity),
    });
    if let Some(d) = &r.divergence {
        v["base"] = json!({
            "perplexity": d.base_perplexity,
            "kl": estimate(d.kl),
            "kl_median": d.median,
            "kl_p99": d.p99,
            "kl_max": d.max,
            "same_top": estimate(d.same_top),
        });
    }
    v
}
