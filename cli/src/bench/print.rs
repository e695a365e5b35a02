//! A report as text: a table for people, Markdown for a page, CSV and JSON for programs.

use super::results::Report;
use crate::args::BenchArgs;
use crate::errors::CliError;
use crate::output::{bytes, count};
use comfy_table::{CellAlignment, Table, TableStyle, presets};
use serde::Serialize;
use serde_json::Value;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Table,
    Markdown,
    Csv,
    Json,
}

impl Style {
    /// The one asked for.
    pub fn of(a: &BenchArgs) -> Self {
        match (a.json, a.csv, a.markdown) {
            (true, ..) => Self::Json,
            (_, true, _) => Self::Csv,
            (_, _, true) => Self::Markdown,
            _ => Self::Table,
        }
    }
}

/// The report in that style, with a final newline.
pub fn text(r: &Report, style: Style) -> Result<String, CliError> {
    let json = |e: serde_json::Error| CliError::from(std::io::Error::from(e));
    Ok(match style {
        Style::Json => serde_json::to_string_pretty(r).map_err(json)? + "\n",
        Style::Csv => csv(&r.results).map_err(json)?,
        Style::Table => table(r, presets::NOTHING) + &notes(r),
        Style::Markdown => table(r, presets::ASCII_MARKDOWN),
    })
}

fn table(r: &Report, style: TableStyle) -> String {
    let mut table = Table::new();
    let head = [
        "model",
        "size",
        "params",
        "layout",
        "isa",
        "threads",
        "test",
        "tokens/s",
        "[min-max]",
        "rate",
        "of the ceiling",
        "of reading",
    ];
    table.load_style(style).set_header(head);
    for row in &r.results {
        let s = row.tokens_per_s;
        let rate = match row.bound.as_str() {
            "memory" => format!("{:.1} GB/s", row.gb_per_s),
            _ => format!("{:.0} Gop/s", row.gop_per_s),
        };
        table.add_row([
            printable(&row.model),
            bytes(row.size_bytes),
            count(row.parameters),
            row.layout.clone(),
            row.isa.clone(),
            row.threads.to_string(),
            row.test.clone(),
            speed(s.median),
            format!("[{}-{}]", speed(s.min), speed(s.max)),
            rate,
            format!("{:.0} %", row.share * 100.0),
            row.share_of_reading.map_or("-".to_owned(), |share| format!("{:.0} %", share * 100.0)),
        ]);
    }
    for i in [1, 2, 5, 7, 8, 9, 10, 11] {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n", table.trim_fmt())
}

/// The ceilings, and what the rates are.
fn notes(r: &Report) -> String {
    let m = &r.machine;
    let mut seen = Vec::new();
    let mut text = format!("\n{}, {} processors, hewn {}\n", m.cpu, m.processors, m.version);
    for row in &r.results {
        let lane = (&row.isa, row.threads);
        if !seen.contains(&lane) {
            seen.push(lane);
            let (read, ops) = (row.read_ceiling_gb_per_s, row.arithmetic_ceiling_gop_per_s);
            text += &format!("ceilings with {} threads, {}: {read:.1} GB/s, {ops:.0} Gop/s\n", row.threads, row.isa);
        }
    }
    let mut seen = Vec::new();
    for row in &r.results {
        let lane = (&row.model, &row.layout, &row.isa, row.threads);
        if let Some(rate) = row.weights_gb_per_s
            && !seen.contains(&lane)
        {
            seen.push(lane);
            let (model, layout, isa, threads) = lane;
            let name = printable(model);
            text +=
                &format!("reading the weights of {name}, {layout}, alone, {threads} threads, {isa}: {rate:.1} GB/s\n");
        }
    }
    text
}

/// Four significant digits or so.
pub fn speed(v: f64) -> String {
    match v {
        0.0..10.0 => format!("{v:.2}"),
        10.0..1000.0 => format!("{v:.1}"),
        _ => format!("{v:.0}"),
    }
}

/// Names come from files: they must not drive the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The JSON's fields in columns, those of `tokens_per_s` on their own, without the samples.
pub fn csv<T: Serialize>(rows: &[T]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        let Value::Object(fields) = serde_json::to_value(row)? else { continue };
        let mut cells: Vec<(String, String)> = Vec::new();
        for (name, value) in fields {
            match value {
                Value::Array(_) => {}
                Value::Object(parts) => cells.extend(parts.iter().map(|(k, v)| (format!("{name}_{k}"), v.to_string()))),
                Value::String(s) => cells.push((name, quoted(&s))),
                other => cells.push((name, other.to_string())),
            }
        }
        let line = |f: fn(&(String, String)) -> &str| cells.iter().map(f).collect::<Vec<_>>().join(",") + "\n";
        if i == 0 {
            text += &line(|c| &c.0);
        }
        text += &line(|c| &c.1);
    }
    Ok(text)
}

fn quoted(s: &str) -> String {
    if s.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", s.replace('"', "\"\"")) } else { s.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_need_quotes_get_them() {
        assert_eq!(quoted("a b"), "a b");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!([speed(1.234), speed(12.34), speed(1234.5)], ["1.23", "12.3", "1234"]);
    }
}
