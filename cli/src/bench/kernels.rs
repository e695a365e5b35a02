//! `hewn bench --kernels`: every kernel by itself, beside the ceiling that bounds it.

use super::plan::Plan;
use super::print::{Style, csv, speed};
use super::results::Spread;
use crate::args::BenchArgs;
use crate::errors::CliError;
use crate::output::Interrupt;
use crate::roofline::{Bound, Limits, Machine, available_memory, large_buffer};
use comfy_table::{CellAlignment, Table, presets};
use hewn_engine::{EngineError, Team};
use hewn_kernels::probe::data_caches;
use hewn_kernels::probe::kernels::{Case, Ready};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a kernel runs for one sample.
const SAMPLE: Duration = Duration::from_millis(20);

/// What was measured, and the file that `--compare` reads.
#[derive(Serialize, Deserialize)]
pub struct KernelReport {
    /// Where it ran.
    pub machine: Machine,
    /// One for each kernel, instruction set and number of threads.
    pub results: Vec<KernelRow>,
}

/// One kernel.
#[derive(Serialize, Deserialize)]
pub struct KernelRow {
    /// Its name.
    pub kernel: String,
    /// Instruction set.
    pub isa: String,
    /// Threads.
    pub threads: usize,
    /// 10^-6 seconds a call.
    pub microseconds: Spread,
    /// Bytes of weights and activations, each counted once.
    gb_per_s: f64,
    gop_per_s: f64,
    bound: Bound,
    /// The time at the ceiling over the time taken.
    share: f64,
}

/// Runs those whose names contain `filter`; the text in the style asked for.
pub fn run(a: &BenchArgs, plan: &Plan, filter: &str, interrupt: &Interrupt) -> Result<String, CliError> {
    let cases: Vec<Case> = Case::all().into_iter().filter(|c| c.name().contains(&filter.to_lowercase())).collect();
    if cases.is_empty() {
        let names: Vec<String> = Case::all().iter().map(Case::name).collect();
        // A hundred names are no help: one whole, and of the others what they begin with.
        let mut kinds: Vec<&str> = names.iter().filter_map(|n| n.split('/').next()).collect();
        kinds.dedup();
        return Err(CliError::usage(
            format!("no kernel is called `{filter}`"),
            format!("any part of a name will do, of `{}` and the like: there are {}", names[0], kinds.join(", ")),
        ));
    }
    let mut teams = Vec::new();
    for &isa in &plan.isas {
        for &threads in &plan.threads {
            teams.push(Team::new(threads, isa).map_err(EngineError::from)?);
        }
    }
    let bar = super::progress((cases.len() * teams.len()) as u64);
    let results = interrupt.guard(|cancel| -> Result<Vec<KernelRow>, CliError> {
        let mut limits = Vec::new();
        for team in &teams {
            limits.push(Limits::measure(team, &large_buffer(team)?)?);
        }
        let mut rows = Vec::new();
        for case in &cases {
            let mut ready = case.prepare(span()).ok_or_else(|| {
                CliError::failure(format!("not enough memory for {}", case.name()), "close other programs")
            })?;
            for (team, limits) in teams.iter().zip(&limits) {
                if cancel.is_cancelled() {
                    return Err(CliError::interrupted());
                }
                bar.set_message(case.name());
                rows.push(measure(case, &mut ready, team, limits, a.repetitions)?);
                bar.inc(1);
            }
        }
        Ok(rows)
    });
    bar.finish_and_clear();
    let report = KernelReport { machine: Machine::here(), results: results? };
    let json = |e: serde_json::Error| CliError::from(std::io::Error::from(e));
    Ok(match Style::of(a) {
        Style::Json => serde_json::to_string_pretty(&report).map_err(json)? + "\n",
        Style::Csv => csv(&report.results).map_err(json)?,
        Style::Markdown => table(&report.results, presets::ASCII_MARKDOWN),
        Style::Table => {
            let m = &report.machine;
            table(&report.results, presets::NOTHING)
                + &format!("\n{}, {} processors, hewn {}\n", m.cpu, m.processors, m.version)
        }
    })
}

/// Bytes of weights to go through: twice what the last cache holds, if there is room.
fn span() -> usize {
    let last = data_caches().last().map_or(32 << 20, |c| c.bytes);
    let room = available_memory().map_or(usize::MAX, |m| usize::try_from(m / 4).unwrap_or(usize::MAX));
    (2 * last).clamp(64 << 20, 512 << 20).min(room)
}

fn measure(case: &Case, ready: &mut Ready, team: &Team, limits: &Limits, n: u32) -> Result<KernelRow, CliError> {
    let fail = |e| CliError::from(EngineError::from(e));
    let mut turns = 1;
    // The shorter of two, as another process may be in the middle of one.
    while turns < 1 << 24
        && ready.run(team, turns).map_err(fail)?.min(ready.run(team, turns).map_err(fail)?) < SAMPLE / 2
    {
        turns *= 2;
    }
    let mut samples = Vec::new();
    for _ in 0..n {
        samples.push(ready.run(team, turns).map_err(fail)?.as_secs_f64() / turns as f64);
    }
    let seconds = Spread::of(&samples).median;
    let (cost, micros) = (ready.cost(), samples.iter().map(|s| s * 1e6).collect::<Vec<_>>());
    let (least, bound) = limits.least(&cost);
    Ok(KernelRow {
        kernel: case.name(),
        isa: team.isa().kind().name().to_owned(),
        threads: team.threads(),
        microseconds: Spread::of(&micros),
        gb_per_s: cost.bytes() as f64 / seconds / 1e9,
        gop_per_s: cost.operations() as f64 / seconds / 1e9,
        bound,
        share: least / seconds,
    })
}

fn table(rows: &[KernelRow], style: comfy_table::TableStyle) -> String {
    let mut table = Table::new();
    let head = ["kernel", "isa", "threads", "time", "[min-max] us", "GB/s", "Gop/s", "bound", "of the ceiling"];
    table.load_style(style).set_header(head);
    for r in rows {
        let t = r.microseconds;
        table.add_row([
            r.kernel.clone(),
            r.isa.clone(),
            r.threads.to_string(),
            format!("{} us", speed(t.median)),
            format!("[{}-{}]", speed(t.min), speed(t.max)),
            speed(r.gb_per_s),
            speed(r.gop_per_s),
            r.bound.to_string(),
            format!("{:.0} %", r.share * 100.0),
        ]);
    }
    for i in [2, 3, 4, 5, 6, 8] {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n", table.trim_fmt())
}
