//! From events to figures.

use super::measure::{PhaseRun, Profile};
use super::report::{LayerRow, Lost, ModelFacts, OpRow, Phase, Report, Settings};
use crate::roofline::{Limits, Machine};
use hewn_engine::record::{Busy, Cost, Op, OpEvent, Recording};
use std::collections::BTreeMap;
use std::time::Instant;

/// Everything there is to say.
pub fn report(p: &Profile) -> Report {
    let (c, tensors) = (p.model.config(), p.model.gguf().tensors());
    let mut formats = BTreeMap::new();
    for t in tensors {
        *formats.entry(t.dtype.name().to_owned()).or_insert(0) += t.bytes;
    }
    let tokens = |name: &str| p.phases.iter().find(|r| r.name == name).map_or(0, |r| r.tokens);
    Report {
        machine: Machine::here(),
        model: ModelFacts {
            file: p.path.file_name().unwrap_or(p.path.as_os_str()).to_string_lossy().into_owned(),
            architecture: c.arch.name.to_owned(),
            layers: c.layers,
            channels: c.dim,
            heads: c.heads,
            kv_heads: c.kv_heads,
            vocabulary: c.vocab,
            parameters: tensors.iter().map(|t| t.elements()).sum(),
            size_bytes: tensors.iter().map(|t| t.bytes).sum(),
            formats,
            layout: if p.model.packed().0 > 0 { "packed" } else { "file" }.to_owned(),
            huge_pages: p.huge_pages,
        },
        settings: Settings {
            threads: p.team.threads(),
            isa: p.team.isa().kind().name().to_owned(),
            kv: p.kv.clone(),
            chunk: p.chunk,
            depth: p.depth,
            prompt_tokens: tokens("prefill"),
            generated_tokens: tokens("decode"),
        },
        ceilings: p.limits,
        weights_alone: p.weights,
        counters_missing: p.missing.clone(),
        phases: p.phases.iter().map(|r| phase(r, &p.limits, p.team.threads())).collect(),
    }
}

/// An operation and what the threads did meanwhile.
pub struct Work<'a> {
    pub event: &'a OpEvent,
    pub regions: &'a [(Instant, Instant)],
    pub busy: &'a [Busy],
}

/// Regions and work of threads, given to the operations in whose time they lie.
pub fn works<'a>(r: &'a Recording, busy: &'a [Busy]) -> Vec<Work<'a>> {
    let (mut region, mut worker) = (0, 0);
    let mut all = Vec::with_capacity(r.ops.len());
    for event in &r.ops {
        let inside = |start: Instant| start < event.end;
        let first = region;
        region += r.regions[region..].iter().take_while(|r| inside(r.0)).count();
        let from = worker;
        worker += busy[worker..].iter().take_while(|b| inside(b.start)).count();
        all.push(Work { event, regions: &r.regions[first..region], busy: &busy[from..worker] });
    }
    all
}

/// The work of all threads in order of its start.
pub fn sorted(r: &Recording) -> Vec<Busy> {
    let mut busy = r.busy.clone();
    busy.sort_by_key(|b| b.start);
    busy
}

impl Work<'_> {
    pub fn seconds(&self) -> f64 {
        (self.event.end - self.event.start).as_secs_f64()
    }

    /// What the team's threads lost in it.
    pub fn lost(&self, threads: usize) -> Lost {
        let mut lost = Lost::default();
        let mut in_regions = 0.0;
        for &(start, end) in self.regions {
            let long = (end - start).as_secs_f64();
            in_regions += long;
            let mut here = 0;
            for b in self.busy.iter().filter(|b| start <= b.start && b.end <= end) {
                here += 1;
                lost.barrier += (b.start - start).as_secs_f64();
                lost.imbalance += (end - b.end).as_secs_f64();
            }
            lost.barrier += threads.saturating_sub(here) as f64 * long;
        }
        lost.serial = (threads - 1) as f64 * (self.seconds() - in_regions).max(0.0);
        lost
    }
}

#[derive(Default)]
struct Sum {
    calls: usize,
    seconds: f64,
    cost: Cost,
    lost: Lost,
}

fn phase(r: &PhaseRun, limits: &Limits, threads: usize) -> Phase {
    let busy = sorted(&r.recording);
    let works = works(&r.recording, &busy);
    let mut ops: BTreeMap<Op, Sum> = BTreeMap::new();
    let mut layers: BTreeMap<Option<usize>, BTreeMap<&'static str, f64>> = BTreeMap::new();
    for w in &works {
        let e = w.event;
        let sum = ops.entry(e.op).or_default();
        sum.calls += 1;
        sum.seconds += w.seconds();
        sum.cost += e.cost;
        sum.lost.add(&w.lost(threads));
        *layers.entry(e.layer).or_default().entry(e.op.name()).or_insert(0.0) += w.seconds();
    }
    let wall = r.wall.as_secs_f64();
    let least: f64 = ops.values().map(|s| limits.least(&s.cost).0).sum();
    let mut lost = Lost::default();
    ops.values().for_each(|s| lost.add(&s.lost));
    let mut operations: Vec<OpRow> = ops.iter().map(|(op, s)| row(*op, s, wall, limits, threads)).collect();
    operations.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    Phase {
        name: r.name,
        tokens: r.tokens,
        steps: r.recording.steps.len(),
        wall_seconds: wall,
        tokens_per_s: r.tokens as f64 / wall,
        operation_seconds: ops.values().map(|s| s.seconds).sum(),
        of_ceilings: least / wall,
        lost,
        lost_share: lost.total() / (wall * threads as f64),
        operations,
        layers: layers
            .into_iter()
            .map(|(layer, operations)| LayerRow { layer, seconds: operations.values().sum(), operations })
            .collect(),
        counters: r.counters.clone(),
    }
}

fn row(op: Op, s: &Sum, wall: f64, limits: &Limits, threads: usize) -> OpRow {
    let (least, bound) = limits.least(&s.cost);
    let seconds = s.seconds.max(1e-12);
    OpRow {
        operation: op.name(),
        calls: s.calls,
        seconds: s.seconds,
        share: s.seconds / wall,
        weight_bytes: s.cost.weight_bytes,
        kv_bytes: s.cost.kv_bytes,
        activation_bytes: s.cost.activation_bytes,
        operations: s.cost.operations(),
        gb_per_s: s.cost.bytes() as f64 / seconds / 1e9,
        gop_per_s: s.cost.operations() as f64 / seconds / 1e9,
        bound,
        of_ceiling: least / seconds,
        lost: s.lost,
        lost_share: s.lost.total() / (seconds * threads as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_threads_lose_is_told_by_reason() {
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let op =
            |start, end| OpEvent { op: Op::Norm, layer: None, cost: Cost::default(), start: at(start), end: at(end) };
        let busy = |worker, start, end| Busy { worker, start: at(start), end: at(end) };
        let r = Recording {
            ops: vec![op(0, 10), op(10, 30)],
            regions: vec![(at(12), at(20)), (at(22), at(26))],
            busy: vec![busy(0, 12, 20), busy(0, 22, 26), busy(1, 15, 18)],
            ..Recording::default()
        };
        let sorted = sorted(&r);
        let works = works(&r, &sorted);
        let ms = |l: Lost| [l.serial, l.barrier, l.imbalance].map(|s| (s * 1e3).round());
        // The first has no region; the second 8 ms outside of two, to one of which the other thread never came.
        assert_eq!(ms(works[0].lost(2)), [10.0, 0.0, 0.0]);
        assert_eq!(ms(works[1].lost(2)), [8.0, 3.0 + 4.0, 2.0]);
        assert_eq!(ms(works[0].lost(1)), [0.0; 3]);
    }
}
