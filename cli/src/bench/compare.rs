//! `hewn bench --compare`: two reports side by side, and whether a change is more than noise.

use super::print::{printable, speed};
use super::results::{Report, Row};
use crate::bounded;
use crate::errors::CliError;
use crate::output::note;
use comfy_table::{CellAlignment, Table, presets};
use std::io::{Write, stdout};
use std::path::Path;

/// Compares two files written with `--json`.
pub fn run(old: &Path, new: &Path) -> Result<(), CliError> {
    let (a, b) = (read(old)?, read(new)?);
    let mut table = Table::new();
    let head = ["model", "layout", "isa", "threads", "test", "old", "new", "change", "noise", ""];
    table.load_style(presets::NOTHING).set_header(head);
    let pairs: Vec<_> =
        a.results.iter().filter_map(|x| Some((x, b.results.iter().find(|y| y.key() == x.key())?))).collect();
    if pairs.is_empty() {
        let cause = format!("{} and {} have no test in common", old.display(), new.display());
        return Err(CliError::failure(
            cause,
            "model, layout, cache, chunk, instruction set, threads and test must agree",
        ));
    }
    for (x, y) in &pairs {
        let (change, noise) = difference(x, y);
        let verdict = match change {
            c if c.abs() <= noise => "",
            c if c > 0.0 => "faster",
            _ => "slower",
        };
        table.add_row([
            printable(&x.model),
            printable(&x.layout),
            printable(&x.isa),
            x.threads.to_string(),
            printable(&x.test),
            speed(x.tokens_per_s.median),
            speed(y.tokens_per_s.median),
            format!("{:+.1} %", change * 100.0),
            format!("{:.1} %", noise * 100.0),
            verdict.to_owned(),
        ]);
    }
    for i in [3, 5, 6, 7, 8] {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(stdout().lock(), "{}", table.trim_fmt())?;
    let alone = a.results.len() + b.results.len() - 2 * pairs.len();
    if alone > 0 {
        note(&format!("{alone} results are in one of the files only"));
    }
    if a.machine != b.machine {
        note("the two were measured on different machines, or with different versions of hewn");
    }
    Ok(())
}

/// The relative change of the median, and the one that the spread of both could explain: half of each range, as if the
/// two were independent.
fn difference(a: &Row, b: &Row) -> (f64, f64) {
    let half = |r: &Row| (r.tokens_per_s.max - r.tokens_per_s.min) / 2.0 / r.tokens_per_s.median;
    (b.tokens_per_s.median / a.tokens_per_s.median - 1.0, half(a).hypot(half(b)))
}

fn read(path: &Path) -> Result<Report, CliError> {
    let bytes = bounded::file(path)?;
    serde_json::from_slice(&bytes).map_err(|e| {
        let cause = format!("{} is not a report: {e}", path.display());
        CliError::failure(cause, "write one with `hewn bench ... --json -o FILE`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Spread;

    fn row(samples: &[f64]) -> Row {
        let spread = Spread::of(samples);
        let zero = serde_json::json!({"model": "m", "size_bytes": 1, "parameters": 1, "layout": "file", "kv": "f16",
            "chunk": 512, "isa": "scalar", "threads": 1, "test": "tg1", "samples": samples, "tokens_per_s": spread,
            "gb_per_s": 1.0, "gop_per_s": 1.0, "bound": "memory", "read_ceiling_gb_per_s": 1.0,
            "arithmetic_ceiling_gop_per_s": 1.0, "share": 1.0});
        serde_json::from_value(zero).unwrap()
    }

    #[test]
    fn noise_is_the_spread_of_both() {
        let (change, noise) = difference(&row(&[97.0, 100.0, 103.0]), &row(&[106.0, 110.0, 114.8]));
        assert!((change - 0.1).abs() < 1e-9 && (noise - 0.05).abs() < 1e-9, "{change} {noise}");
    }
}
