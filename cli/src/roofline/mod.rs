//! `hewn roofline`: how fast this machine can read and compute, and what that means for a model.

mod limits;
mod measure;
mod plot;

pub use limits::{Bound, Limits};
pub use measure::{Machine, Roofline, available_memory, large_buffer};

use crate::args::RooflineArgs;
use crate::errors::CliError;
use crate::output::note;
use crate::setup;
use comfy_table::{CellAlignment, Table, presets};
use measure::Peak;
use std::io::{BufWriter, Write, stdout};

/// Operations per byte of a Q4_K matrix times one column: two a weight, 4.5 bits a weight.
const Q4_K: f64 = 2.0 * 8.0 / 4.5;

/// Runs the subcommand.
pub fn run(a: &RooflineArgs) -> Result<(), CliError> {
    // Every one is measured, so a name says nothing here; but a wrong one is told.
    if let Some(name) = std::env::var("HEWN_ISA").ok().filter(|n| !n.is_empty()) {
        setup::isa(Some(&name))?;
        note("HEWN_ISA is not looked at: every instruction set is measured");
    }
    let threads = setup::threads(a.threads)?;
    let roofline = Roofline::get(threads, a.fresh)?;
    let mut out = BufWriter::new(stdout().lock());
    if a.json {
        let text = serde_json::to_string_pretty(&roofline).map_err(std::io::Error::from)?;
        writeln!(out, "{text}")?;
    } else {
        print(&mut out, &roofline)?;
    }
    Ok(out.flush()?)
}

fn print(out: &mut impl Write, r: &Roofline) -> std::io::Result<()> {
    let m = &r.machine;
    writeln!(out, "{}, {} processors, hewn {}\n", m.cpu, m.processors, m.version)?;
    let mut counts: Vec<usize> = r.reads.iter().map(|r| r.threads).collect();
    counts.dedup();
    let mut table = sheet("read rate, GB/s", counts.iter().map(|t| threads(*t)));
    for at in r.reads.iter().filter(|x| x.threads == 1) {
        let name = format!("{} ({})", at.level, size(at.bytes));
        let rates = counts.iter().map(|t| r.read(&at.level, *t).map_or(String::new(), |v| format!("{v:.1}")));
        table.add_row(std::iter::once(name).chain(rates));
    }
    writeln!(out, "{}\n", right(table))?;
    let kinds = ["8-bit", "8-bit signed", "f32"];
    let mut table = sheet("peak, Gop/s", kinds.iter().map(|k| (*k).to_owned()));
    for p in &r.peaks {
        let rates = [p.int8_gop_per_s, p.int8_signed_gop_per_s, p.f32_gop_per_s].map(|v| format!("{v:.1}"));
        table.add_row(std::iter::once(format!("{}, {}", p.isa, threads(p.threads))).chain(rates));
    }
    writeln!(out, "{}\n", right(table))?;
    let Some((read, peak)) = r.read("memory", r.threads).zip(best(r)) else { return Ok(()) };
    let columns = peak.int8_gop_per_s / read / Q4_K;
    let roofs = [('i', peak.int8_gop_per_s), ('f', peak.f32_gop_per_s)];
    let marks = [('D', Q4_K), ('R', peak.int8_gop_per_s / read)];
    for line in plot::draw(read, &roofs, &marks) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\ni  8-bit products, f  f32, both with {} and {}", peak.isa, threads(peak.threads))?;
    writeln!(out, "D  a Q4_K matrix times one column: decoding, {:.0} Gop/s", read * Q4_K)?;
    writeln!(
        out,
        "R  as many reads as products: with Q4_K that is {columns:.0} columns, more are bound by arithmetic"
    )?;
    writeln!(out, "   decoding reads at {read:.1} GB/s: a model of 1 GB gives {read:.1} tokens/s at most")
}

/// The fastest 8-bit arithmetic of all threads.
fn best(r: &Roofline) -> Option<&Peak> {
    let all = r.peaks.iter().filter(|p| p.threads == r.threads);
    all.max_by(|a, b| a.int8_gop_per_s.total_cmp(&b.int8_gop_per_s))
}

fn sheet(title: &str, columns: impl Iterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(std::iter::once(title.to_owned()).chain(columns));
    table
}

fn right(mut table: Table) -> Table {
    table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    table
}

fn threads(n: usize) -> String {
    if n == 1 { "1 thread".to_owned() } else { format!("{n} threads") }
}

/// In powers of 1024, as caches are counted.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64),
    }
}
