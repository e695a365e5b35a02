//! The report for a terminal.

use super::report::{OpRow, Phase, Report};
use crate::bench::print::{printable, speed};
use crate::output::{bytes, count};
use comfy_table::{CellAlignment, Table, presets};

/// The whole report.
pub fn text(r: &Report) -> String {
    let (m, s, c) = (&r.model, &r.settings, &r.ceilings);
    let mut out = format!(
        "{}: {}, {} layers, {} weights, {}, {}{}\n",
        printable(&m.file),
        printable(&m.architecture),
        m.layers,
        count(m.parameters),
        bytes(m.size_bytes),
        m.layout,
        m.huge_pages.map_or(String::new(), |part| format!(", {:.0} % in huge pages", part * 100.0))
    );
    let depth = if s.depth > 0 { format!(", behind {} tokens", s.depth) } else { String::new() };
    out += &format!("{}, {} threads, {}, cache {}{depth}\n", r.machine.cpu, s.threads, s.isa, s.kv);
    let g = |v: f64| speed(v / 1e9);
    out += &format!(
        "ceilings: memory {} GB/s (these weights {}), caches {} GB/s; 8-bit {} Gop/s, 8-bit signed {} Gop/s, f32 {} Gop/s\n",
        g(c.memory),
        g(r.weights_alone),
        g(c.cache),
        g(c.narrow),
        g(c.signed),
        g(c.float)
    );
    for p in &r.phases {
        out += "\n";
        out += &phase(p, s.threads);
    }
    if let Some(why) = &r.counters_missing {
        out += &format!("\nno hardware counters: {why}\n");
    }
    out
}

fn phase(p: &Phase, threads: usize) -> String {
    let mut out = format!(
        "{}: {} tokens in {}, {} tokens/s; operations {:.1} % of the time, {:.0} % of what the ceilings allow\n",
        p.name,
        p.tokens,
        time(p.wall_seconds),
        speed(p.tokens_per_s),
        p.operation_seconds / p.wall_seconds * 100.0,
        p.of_ceilings * 100.0
    );
    let mut table = Table::new();
    let head = ["operation", "calls", "time", "share", "a call", "read", "GB/s", "Gop/s", "bound", "reached", "lost"];
    table.load_style(presets::NOTHING).set_header(head);
    for o in &p.operations {
        table.add_row(row(o));
    }
    table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    if let Some(c) = table.column_mut(8) {
        c.set_cell_alignment(CellAlignment::Left);
    }
    out += &format!("{}\n", table.trim_fmt());
    out += &layers(p);
    if threads > 1 {
        let part = |v: f64| v / (p.wall_seconds * threads as f64) * 100.0;
        out += &format!(
            "lost of {threads} threads' time: {:.1} % while one worked alone, {:.1} % in barriers, {:.1} % by imbalance\n",
            part(p.lost.serial),
            part(p.lost.barrier),
            part(p.lost.imbalance)
        );
    }
    if !p.counters.is_empty() {
        let all: Vec<String> = p.counters.iter().map(|(name, n)| format!("{} {name}", count(*n))).collect();
        out += &format!("counters: {}\n", all.join(", "));
    }
    out
}

fn row(o: &OpRow) -> [String; 11] {
    let percent = |v: f64| format!("{:.1} %", v * 100.0);
    let some =
        |text: String| if o.operations + o.weight_bytes + o.activation_bytes > 0 { text } else { "-".to_owned() };
    [
        o.operation.to_owned(),
        o.calls.to_string(),
        time(o.seconds),
        percent(o.share),
        time(o.seconds / o.calls.max(1) as f64),
        some(bytes(o.weight_bytes + o.kv_bytes + o.activation_bytes)),
        some(speed(o.gb_per_s)),
        some(speed(o.gop_per_s)),
        o.bound.to_string(),
        some(format!("{:.0} %", o.of_ceiling * 100.0)),
        percent(o.lost_share),
    ]
}

/// The layers in one line: they differ where formats do.
fn layers(p: &Phase) -> String {
    let mut times: Vec<(f64, usize)> = p.layers.iter().filter_map(|l| Some((l.seconds, l.layer?))).collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return String::new() };
    let each = |t: &(f64, usize)| format!("{} (layer {})", time(t.0 / p.steps.max(1) as f64), t.1);
    let rest: f64 = p.layers.iter().filter(|l| l.layer.is_none()).map(|l| l.seconds).sum();
    let median = time(times[times.len() / 2].0 / p.steps.max(1) as f64);
    format!(
        "layers, a step: {} to {}, half below {median}; outside of them {:.1} %\n",
        each(first),
        each(last),
        rest / p.wall_seconds * 100.0
    )
}

/// Seconds in a unit that suits.
pub fn time(s: f64) -> String {
    match s {
        s if s < 1e-3 => format!("{} us", speed(s * 1e6)),
        s if s < 1.0 => format!("{} ms", speed(s * 1e3)),
        _ => format!("{} s", speed(s)),
    }
}
