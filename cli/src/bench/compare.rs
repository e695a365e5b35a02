//! `hewn bench --compare`: two reports side by side, and whether a change is more than noise.

use super::kernels::{KernelReport, KernelRow};
use super::print::{printable, speed};
use super::results::{Report, Row, Spread};
use crate::bounded;
use crate::errors::CliError;
use crate::output::note;
use crate::roofline::Machine;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;
use std::io::{Write, stdout};
use std::path::Path;

/// A file written with `--json`: of models or of kernels.
struct Side {
    machine: Machine,
    /// What the columns before the figures are.
    head: &'static [&'static str],
    rows: Vec<Line>,
}

/// One test of a file.
struct Line {
    /// What two runs must have in common to be compared.
    key: Vec<String>,
    /// The columns before the figures.
    cells: Vec<String>,
    /// Tokens per second, or microseconds.
    figure: Spread,
    /// Whether more of it is slower.
    time: bool,
}

impl From<&Row> for Line {
    fn from(r: &Row) -> Self {
        let cells = [&r.model, &r.layout, &r.isa, &r.threads.to_string(), &r.test].map(Clone::clone).to_vec();
        Self { key: r.key().to_vec(), cells, figure: r.tokens_per_s, time: false }
    }
}

impl From<&KernelRow> for Line {
    fn from(r: &KernelRow) -> Self {
        let cells = vec![r.kernel.clone(), r.isa.clone(), r.threads.to_string()];
        Self { key: cells.clone(), cells, figure: r.microseconds, time: true }
    }
}

impl From<Report> for Side {
    fn from(r: Report) -> Self {
        let rows = r.results.iter().map(Line::from).collect();
        Self { machine: r.machine, head: &["model", "layout", "isa", "threads", "test", "old", "new"], rows }
    }
}

impl From<KernelReport> for Side {
    fn from(r: KernelReport) -> Self {
        let rows = r.results.iter().map(Line::from).collect();
        Self { machine: r.machine, head: &["kernel", "isa", "threads", "old us", "new us"], rows }
    }
}

/// Compares two files written with `--json`.
pub fn run(old: &Path, new: &Path) -> Result<(), CliError> {
    let (a, b) = (read(old)?, read(new)?);
    if a.head != b.head {
        let cause = format!("one of {} and {} is of kernels, the other of models", old.display(), new.display());
        return Err(CliError::failure(cause, "give two results of the same kind"));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(a.head.iter().chain(&["speed", "noise", ""]));
    let pairs: Vec<_> = a.rows.iter().filter_map(|x| Some((x, b.rows.iter().find(|y| y.key == x.key)?))).collect();
    if pairs.is_empty() {
        let cause = format!("{} and {} have no test in common", old.display(), new.display());
        return Err(CliError::failure(
            cause,
            "model, layout, cache, chunk, instruction set, threads and test (or kernel) must agree",
        ));
    }
    for (x, y) in &pairs {
        let (change, noise) = difference(x, y);
        let verdict = match change {
            c if c.abs() <= noise => "",
            c if c > 0.0 => "faster",
            _ => "slower",
        };
        let figures = [
            speed(x.figure.median),
            speed(y.figure.median),
            format!("{:+.1} %", change * 100.0),
            format!("{:.1} %", noise * 100.0),
            verdict.to_owned(),
        ];
        table.add_row(x.cells.iter().map(|c| printable(c)).chain(figures));
    }
    let names = a.head.iter().position(|h| *h == "threads");
    for i in names.into_iter().chain(a.head.len() - 2..a.head.len() + 2) {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(stdout().lock(), "{}", table.trim_fmt())?;
    let alone = a.rows.len() + b.rows.len() - 2 * pairs.len();
    if alone > 0 {
        note(&format!("{alone} results are in one of the files only"));
    }
    if a.machine != b.machine {
        note("the two were measured on different machines, or with different versions of hewn");
    }
    Ok(())
}

/// The relative change of the speed, and the one that the spread of both could explain: half of each range, as if the two
/// were independent.
fn difference(a: &Line, b: &Line) -> (f64, f64) {
    let half = |r: &Line| (r.figure.max - r.figure.min) / 2.0 / r.figure.median;
    let ratio = b.figure.median / a.figure.median;
    (if a.time { 1.0 / ratio } else { ratio } - 1.0, half(a).hypot(half(b)))
}

fn read(path: &Path) -> Result<Side, CliError> {
    let bytes = bounded::file(path)?;
    let parse = || -> serde_json::Result<Side> {
        let value: Value = serde_json::from_slice(&bytes)?;
        Ok(match value["results"][0].get("kernel") {
            Some(_) => serde_json::from_value::<KernelReport>(value)?.into(),
            None => serde_json::from_value::<Report>(value)?.into(),
        })
    };
    parse().map_err(|e| {
        let cause = format!("{} is not a report: {e}", path.display());
        CliError::failure(cause, "write one with `hewn bench ... --json -o FILE`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(samples: &[f64], time: bool) -> Line {
        Line { key: Vec::new(), cells: Vec::new(), figure: Spread::of(samples), time }
    }

    #[test]
    fn noise_is_the_spread_of_both() {
        let (old, new) = ([97.0, 100.0, 103.0], [106.0, 110.0, 114.8]);
        let (change, noise) = difference(&row(&old, false), &row(&new, false));
        assert!((change - 0.1).abs() < 1e-9 && (noise - 0.05).abs() < 1e-9, "{change} {noise}");
        // What takes more time is slower.
        let (change, noise) = difference(&row(&new, true), &row(&old, true));
        assert!((change - 0.1).abs() < 1e-9 && (noise - 0.05).abs() < 1e-9, "{change} {noise}");
    }
}
