//! Every event in the trace format that Perfetto and chrome://tracing read: complete events (`X`) that nest on a track, and
//! metadata events (`M`) that name the tracks.

use super::analyse::{sorted, works};
use super::measure::Profile;
use super::report::Report;
use serde_json::{Value, json};
use std::io::{BufWriter, Result, Write};
use std::time::Instant;

/// The one process.
const PID: u32 = 1;
/// The track of phases, steps, layers and operations; thread `i` is track `i + 1`.
const OPS: usize = 0;

struct Writer<W: Write> {
    out: BufWriter<W>,
    zero: Instant,
    any: bool,
}

impl<W: Write> Writer<W> {
    fn event(&mut self, v: &Value) -> Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"\n" })?;
        self.any = true;
        Ok(serde_json::to_writer(&mut self.out, v)?)
    }

    fn name(&mut self, kind: &str, track: usize, name: &str) -> Result<()> {
        let zero = 0;
        self.event(&json!({"ph": "M", "ts": zero, "pid": PID, "tid": track, "name": kind, "args": {"name": name}}))?;
        if kind == "thread_name" {
            let order = json!({"sort_index": track});
            self.event(
                &json!({"ph": "M", "ts": 0, "pid": PID, "tid": track, "name": "thread_sort_index", "args": order}),
            )?;
        }
        Ok(())
    }

    fn slice(&mut self, track: usize, name: &str, kind: &str, [start, end]: [Instant; 2], args: &Value) -> Result<()> {
        // Both ends are rounded to whole nanoseconds before they are subtracted, so that neighbours do not overlap.
        let at = |t: Instant| t.saturating_duration_since(self.zero).as_nanos() as u64;
        let (from, to) = (at(start), at(end));
        let micros = |ns: u64| ns as f64 / 1e3;
        self.event(&json!({"ph": "X", "ts": micros(from), "dur": micros(to - from), "pid": PID, "tid": track,
            "name": name, "cat": kind, "args": args}))
    }
}

/// Writes the trace.
pub fn write(out: &mut impl Write, r: &Report, p: &Profile) -> Result<()> {
    let zero = p.phases.iter().filter_map(|p| p.recording.steps.first()).map(|s| s.start).min();
    let mut w = Writer { out: BufWriter::new(out), zero: zero.unwrap_or_else(Instant::now), any: false };
    w.out.write_all(b"{\"displayTimeUnit\": \"ns\", \"traceEvents\": [")?;
    w.name("process_name", OPS, &format!("hewn {}: {}", r.machine.version, r.model.file))?;
    w.name("thread_name", OPS, "operations")?;
    for i in 0..r.settings.threads {
        w.name("thread_name", i + 1, &if i == 0 { "thread 0 (leader)".to_owned() } else { format!("thread {i}") })?;
    }
    for phase in &p.phases {
        let steps = &phase.recording.steps;
        if let (Some(first), Some(last)) = (steps.first(), steps.last()) {
            w.slice(OPS, phase.name, "phase", [first.start, last.end], &json!({"tokens": phase.tokens}))?;
        }
        for s in steps {
            let args = json!({"rows": s.rows, "sequences": s.sequences, "logits": s.logits});
            w.slice(OPS, "step", "step", [s.start, s.end], &args)?;
        }
        let busy = sorted(&phase.recording);
        let works = works(&phase.recording, &busy);
        for layer in works.chunk_by(|a, b| a.event.layer == b.event.layer) {
            if let [first, .., last] = layer
                && let Some(i) = first.event.layer
            {
                w.slice(OPS, &format!("layer {i}"), "layer", [first.event.start, last.event.end], &json!({}))?;
            }
            for work in layer {
                let (e, c) = (work.event, work.event.cost);
                let args = json!({"rows": c.rows, "weight_bytes": c.weight_bytes, "kv_bytes": c.kv_bytes,
                    "activation_bytes": c.activation_bytes, "operations": c.operations()});
                w.slice(OPS, e.op.name(), "operation", [e.start, e.end], &args)?;
                for b in work.busy {
                    w.slice(b.worker + 1, e.op.name(), "work", [b.start, b.end], &json!({}))?;
                }
            }
        }
    }
    w.out.write_all(b"\n]}\n")?;
    w.out.flush()
}
