//! `hewn eval`: how many questions a model answers right.

use crate::args::EvalArgs;
use crate::bench::print::printable;
use crate::errors::CliError;
use crate::output::{Interrupt, duration, note};
use crate::{bundled, setup};
use comfy_table::{CellAlignment, Table, presets};
use hewn_engine::FinishReason;
use hewn_engine::eval::{
    Answer, EvalOptions, EvalReport, Score, Task, TaskError, TaskFault, evaluate, limit, read_tasks,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write, stdout};
use std::path::Path;

/// Runs the subcommand.
pub fn run(a: &EvalArgs) -> Result<(), CliError> {
    let interrupt = Interrupt::install()?;
    // Questions that make no sense are found before the model is opened.
    let mut tasks = read(&a.tasks)?;
    if let Some(n) = a.limit {
        limit(&mut tasks, n as usize);
    }
    let mut runner = setup::runner(&a.model, a.quiet)?;
    let tokenizer = setup::tokenizer(&runner)?;
    let template = setup::template(&runner, &tokenizer, &a.template)?;
    if template.is_none() && a.template.chat_template_kwargs.is_some() {
        let hint = "leave out --chat-template-kwargs, or use a chat model";
        return Err(CliError::usage("the file has no chat template, nor marks of a known one", hint));
    }
    if template.is_none() && !a.quiet {
        note("the file has no chat template: asking in plain text");
    }
    let options = EvalOptions {
        batch: a.batch.into(),
        max_tokens: Some(a.max_tokens as usize),
        ctx: a.ctx,
        kv: a.model.kv.into(),
    };
    let bar = bar(tasks.len());
    let result = interrupt.guard(|cancel| {
        evaluate(&mut runner, &tokenizer, template.as_ref(), &tasks, &options, cancel, &mut |p| {
            bar.set_position(p.done as u64);
            bar.set_message(format!("{} right", p.right));
        })
    });
    bar.finish_and_clear();
    let report = result?;
    let mut out = BufWriter::new(stdout().lock());
    if a.json {
        writeln!(out, "{:#}", as_json(a, &tasks, &report))?;
    } else {
        if a.show_wrong {
            print_wrong(&mut out, &tasks, &report)?;
        }
        write!(out, "{}", table(&tasks, &report))?;
    }
    out.flush()?;
    if !a.quiet {
        closing_notes(a, &tasks, &report);
    }
    // A script must be able to tell a part of the score from all of it.
    if report.stopped { Err(CliError::interrupted()) } else { Ok(()) }
}

/// The questions in a file.
fn read(path: &Path) -> Result<Vec<Task>, CliError> {
    if path.as_os_str() == "-" {
        return parse(path, std::io::stdin().lock());
    }
    let fail = |e: std::io::Error| CliError::file("read", path, &e);
    let file = File::open(path).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Err(fail(std::io::ErrorKind::IsADirectory.into()));
    }
    parse(path, BufReader::new(file))
}

fn parse(path: &Path, input: impl BufRead) -> Result<Vec<Task>, CliError> {
    read_tasks(input).map_err(|TaskError { line, fault }| match fault {
        TaskFault::Read(e) => CliError::file("read", path, &e),
        fault => CliError::failure(
            format!("{}:{line}: {fault}", path.display()),
            "a line is a question, such as {\"prompt\": \"2+3\", \"answer\": \"5\"}",
        ),
    })
}

/// Without a terminal, indicatif draws nothing.
fn bar(questions: usize) -> ProgressBar {
    let bar = ProgressBar::new(questions as u64);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} questions, {eta} left, {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A row for each group, and one for all together where there are several.
fn table(tasks: &[Task], report: &EvalReport) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["task", "n", "right", "accuracy", "95 % interval", "cut off"]);
    let groups = report.groups(tasks);
    let all = [("all".to_owned(), report.overall())];
    for (name, score) in groups.iter().chain(all.iter().filter(|_| groups.len() != 1)) {
        let (low, high) = score.interval();
        table.add_row([
            if name.is_empty() { "-".to_owned() } else { printable(name) },
            score.n.to_string(),
            score.right.to_string(),
            format!("{:.1} %", score.accuracy() * 100.0),
            format!("{:.1}-{:.1} %", low * 100.0, high * 100.0),
            score.cut_off.to_string(),
        ]);
    }
    for i in 1..6 {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n", table.trim_fmt())
}

/// The wrong answers with their questions.
fn wrong<'a>(tasks: &'a [Task], report: &'a EvalReport) -> impl Iterator<Item = (&'a Task, &'a Answer)> {
    report.answers.iter().filter(|a| !a.right).filter_map(|a| Some((tasks.get(a.task)?, a)))
}

fn print_wrong(out: &mut impl Write, tasks: &[Task], report: &EvalReport) -> std::io::Result<()> {
    // Texts of several lines keep them, a little to the right; a terminal gets no control characters.
    let block = |text: &str| text.trim().lines().map(printable).collect::<Vec<_>>().join("\n          ");
    for (task, answer) in wrong(tasks, report) {
        let cut = if answer.is_cut_off() { "(cut off) " } else { "" };
        writeln!(out, "prompt    {}", block(&task.prompt))?;
        writeln!(out, "expected  {}", block(task.want.text()))?;
        writeln!(out, "got       {cut}{}\n", block(&answer.text))?;
    }
    Ok(())
}

fn closing_notes(a: &EvalArgs, tasks: &[Task], report: &EvalReport) {
    let (n, overall) = (report.answers.len(), report.overall());
    if report.stopped {
        note(&format!("stopped after {n} of {} questions; short answers are finished first", tasks.len()));
    }
    if overall.cut_off > 0 {
        note(&format!("{} of {n} answers were cut off: raise -n (it is {}) or --ctx", overall.cut_off, a.max_tokens));
    }
    note(&format!(
        "{n} answers in {}: read {} tokens of prompts, generated {} tokens, {:.0}/s",
        duration(report.elapsed),
        report.prompt_tokens,
        report.generated,
        report.speed()
    ));
}

fn as_json(a: &EvalArgs, tasks: &[Task], report: &EvalReport) -> Value {
    let score = |s: Score| {
        let (low, high) = s.interval();
        json!({"n": s.n, "right": s.right, "accuracy": s.accuracy(), "low": low, "high": high, "cut_off": s.cut_off})
    };
    let groups = report.groups(tasks).into_iter().map(|(name, s)| {
        let mut v = json!({"task": name});
        if let (Value::Object(all), Value::Object(more)) = (&mut v, score(s)) {
            all.extend(more);
        }
        v
    });
    let mut v = json!({
        "model": bundled::name(a.model.model.as_deref()),
        "tasks": a.tasks.display().to_string(),
        "groups": groups.collect::<Vec<_>>(),
        "overall": score(report.overall()),
        "stopped": report.stopped,
        "prompt_tokens": report.prompt_tokens,
        "generated_tokens": report.generated,
        "seconds": report.elapsed.as_secs_f64(),
        "tokens_per_second": report.speed(),
    });
    if a.show_wrong {
        let list = wrong(tasks, report).map(|(task, answer)| {
            json!({
                "task": task.group,
                "prompt": task.prompt,
                "expected": task.want.text(),
                "got": answer.text,
                "reasoning": answer.reasoning,
                "finish": match &answer.finish {
                    FinishReason::MaxTokens => "max_tokens",
                    FinishReason::ContextFull => "context_full",
                    _ => "eos",
                },
            })
        });
        v["wrong"] = list.collect();
    }
    v
}
