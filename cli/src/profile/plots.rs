//! The page's plots, as SVG: rooflines, time by layer, and what the threads do in a few layers.

use super::analyse::{Work, sorted, works};
use super::measure::PhaseRun;
use super::report::Phase;
use crate::bench::print::speed;
use crate::roofline::Limits;
use hewn_engine::record::{Op, StepEvent};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::time::Instant;

/// Stands for the page's text colour, whatever that is.
const INK: RGBColor = RGBColor(1, 2, 3);
const GREY: RGBColor = RGBColor(128, 128, 128);
const WIDTH: u32 = 1000;
/// The crate measures fonts by their em box.
const PER_PIXEL: f64 = 1.24;

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The colour of an operation, legible on light and on dark.
pub fn colour(op: Op) -> RGBColor {
    let hex: u32 = match op {
        Op::Team => 0x8d99ae,
        Op::Embedding => 0xb08968,
        Op::LayerInput => 0x386641,
        Op::AltUp => 0x8338ec,
        Op::Laurel => 0x84a59d,
        Op::RopeTables => 0xc9a0a0,
        Op::Norm => 0xd9b310,
        Op::Quantize => 0xf48c42,
        Op::QkvProduct => 0x3a86ff,
        Op::Rope => 0x7fb069,
        Op::Convolution => 0x6a994e,
        Op::DeltaRule => 0xbc4749,
        Op::Scan => 0xd4a373,
        Op::LatentProduct => 0x5f6caf,
        Op::Regroup => 0xbdb2a0,
        Op::KvStore => 0x2a9d8f,
        Op::Attention => 0xef476f,
        Op::AttentionOutput => 0x7b6cf6,
        Op::Router => 0x9c6644,
        Op::ExpertGateUp => 0x5bc0de,
        Op::ExpertDown => 0x52b788,
        Op::Combine => 0xc77dff,
        Op::GateUpProduct => 0x1aa7c9,
        Op::Activation => 0xe07be0,
        Op::DownProduct => 0x0f7d55,
        Op::ResidualAdd => 0xa3b18a,
        Op::Logits => 0xd62839,
        Op::LogitBounds => 0xe5989b,
    };
    RGBColor((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// As CSS has it.
pub fn css(op: Op) -> String {
    let RGBColor(r, g, b) = colour(op);
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn svg(height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        draw(&root)?;
        root.present()?;
    }
    // A group has the page's colour; what is drawn in ink takes it on.
    Ok(text.replace("#010203", "currentColor"))
}

fn ink(size: u32) -> TextStyle<'static> {
    ("sans-serif", f64::from(size) * PER_PIXEL).into_font().color(&INK)
}

fn anchored(size: u32, h: HPos, v: VPos) -> TextStyle<'static> {
    ink(size).pos(Pos::new(h, v))
}

/// Gop/s over operations per byte, with a dot for every operation, below the ceilings.
pub fn roofline(p: &Phase, limits: &Limits) -> Result<String, Box<dyn std::error::Error>> {
    // What comes from memory counts; where nothing does, what moves in the caches.
    let dots: Vec<(Op, f64, f64)> = p
        .operations
        .iter()
        .filter(|o| o.operations > 0)
        .filter_map(|o| {
            let far = o.weight_bytes + o.kv_bytes;
            let bytes = if far > 0 { far } else { o.activation_bytes };
            let op = Op::ALL.into_iter().find(|op| op.name() == o.operation)?;
            (bytes > 0).then(|| (op, o.operations as f64 / bytes as f64, o.gop_per_s))
        })
        .collect();
    let low = |of: fn(&(Op, f64, f64)) -> f64, least: f64| dots.iter().map(of).fold(least, f64::min);
    let high = |of: fn(&(Op, f64, f64)) -> f64, most: f64| dots.iter().map(of).fold(most, f64::max);
    let x = low(|d| d.1, 0.5) / 2.0..high(|d| d.1, limits.narrow / limits.memory) * 4.0;
    let y =
        low(|d| d.2, limits.memory * x.start / 1e9) / 2.0..high(|d| d.2, limits.narrow.max(limits.signed) / 1e9) * 2.0;
    svg(460, |root| {
        let (plot, side) = root.split_horizontally(790);
        let mut chart = ChartBuilder::on(&plot)
            .margin(12)
            .x_label_area_size(46)
            .y_label_area_size(84)
            .build_cartesian_2d(x.clone().log_scale(), y.clone().log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GREY.mix(0.22))
            .axis_style(GREY)
            .label_style(ink(13))
            .axis_desc_style(ink(14))
            .x_desc("operations per byte")
            .y_desc("Gop/s")
            .x_label_formatter(&|v| speed_axis(*v))
            .y_label_formatter(&|v| speed_axis(*v))
            .draw()?;
        let slopes = [("memory", limits.memory, INK.mix(1.0)), ("caches", limits.cache, GREY.mix(1.0))];
        let roofs = [("8-bit", limits.narrow), ("8-bit signed", limits.signed), ("f32", limits.float)]
            .map(|r| (r.0, r.1 / 1e9));
        let top = roofs.iter().fold(0.0f64, |m, r| m.max(r.1));
        for (name, rate, style) in slopes {
            let rate = rate / 1e9;
            let ends = [x.start.max(y.start / rate), (top / rate).min(x.end)];
            chart.draw_series([PathElement::new(ends.map(|x| (x, x * rate)), style.stroke_width(2))])?;
            // No dot is above the caches' line, and hardly one to the right of the other's end.
            let part = if name == "memory" { 0.9 } else { 0.85 };
            let x = ends[0] * (ends[1] / ends[0]).powf(part);
            let (px, py) = chart.backend_coord(&(x, x * rate));
            let (px, h) = if name == "memory" { (px + 14, HPos::Left) } else { (px - 10, HPos::Right) };
            plot.draw(&Text::new(format!("{name} {} GB/s", speed(rate)), (px, py), anchored(13, h, VPos::Center)))?;
        }
        let mut roofs = roofs;
        roofs.sort_by(|a, b| b.1.total_cmp(&a.1));
        // Those that nearly coincide share a label.
        for near in roofs.chunk_by(|a, b| a.1 < 1.15 * b.1) {
            let from = near[0].1 / (limits.cache / 1e9);
            for (_, roof) in near.iter().filter(|_| from < x.end) {
                chart.draw_series([PathElement::new(
                    [(roof / (limits.cache / 1e9), *roof), (x.end, *roof)],
                    INK.stroke_width(2),
                )])?;
            }
            let all: Vec<String> = near.iter().map(|(name, roof)| format!("{name} {}", speed(*roof))).collect();
            let (px, py) = chart.backend_coord(&(from.clamp(x.start, x.end), near[0].1));
            let label = all.join(", ") + " Gop/s";
            plot.draw(&Text::new(label, (px + 32, py - 4), anchored(13, HPos::Left, VPos::Bottom)))?;
        }
        // Names stand in a column beside the plot, in the order of the dots, and lines lead to them.
        let mut places: Vec<(i32, i32, Op)> =
            dots.iter().map(|d| chart.backend_coord(&(d.1, d.2))).zip(&dots).map(|((x, y), d)| (x, y, d.0)).collect();
        places.sort_by_key(|p| p.1);
        let gap = 24;
        let start = (230 - gap * places.len() as i32 / 2).max(24);
        for (i, (px, py, op)) in places.iter().enumerate() {
            let at = start + gap * i as i32;
            let line = [(*px, *py), (788, at), (800, at)];
            root.draw(&PathElement::new(line, colour(*op).mix(0.55).stroke_width(1)))?;
            side.draw(&Text::new(op.name(), (14, at), anchored(14, HPos::Left, VPos::Center)))?;
        }
        for (px, py, op) in &places {
            root.draw(&Circle::new((*px, *py), 6, colour(*op).filled()))?;
            root.draw(&Circle::new((*px, *py), 6, INK.stroke_width(1)))?;
        }
        Ok(())
    })
}

fn speed_axis(v: f64) -> String {
    if v >= 1.0 { format!("{v:.0}") } else { format!("{v}") }
}

/// Time by layer, stacked by operation, of an average step.
pub fn layers(p: &Phase) -> Result<String, Box<dyn std::error::Error>> {
    let steps = p.steps.max(1) as f64;
    let rows: Vec<_> = p.layers.iter().filter_map(|l| Some((l.layer?, l))).collect();
    let longest = rows.iter().map(|r| r.1.seconds / steps).fold(1e-9, f64::max);
    let (unit, scale) = unit(longest);
    let digits = if longest * scale < 10.0 { 1 } else { 0 };
    svg(300, |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(84)
            .build_cartesian_2d(-0.6..rows.len() as f64 - 0.4, 0.0..longest * scale * 1.08)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GREY.mix(0.22))
            .axis_style(GREY)
            .label_style(ink(13))
            .axis_desc_style(ink(14))
            .x_labels(rows.len().min(32))
            .x_desc("layer")
            .y_desc(format!("{unit} a step"))
            .y_label_formatter(&|v| format!("{v:.digits$}"))
            .x_label_formatter(&|v| if v.fract() == 0.0 { format!("{v:.0}") } else { String::new() })
            .draw()?;
        for (x, l) in rows {
            let mut from = 0.0;
            for op in Op::ALL {
                let Some(seconds) = l.operations.get(op.name()) else { continue };
                let to = from + seconds / steps * scale;
                let corners = [(x as f64 - 0.38, from), (x as f64 + 0.38, to)];
                chart.draw_series([Rectangle::new(corners, colour(op).filled())])?;
                from = to;
            }
        }
        Ok(())
    })
}

fn unit(seconds: f64) -> (&'static str, f64) {
    if seconds < 5e-4 { ("us", 1e6) } else { ("ms", 1e3) }
}

/// What every thread does in two layers in the middle of a step of median length.
pub fn timeline(run: &PhaseRun, threads: usize, layers: usize) -> Result<String, Box<dyn std::error::Error>> {
    let mut steps: Vec<&StepEvent> = run.recording.steps.iter().collect();
    steps.sort_by_key(|s| s.end - s.start);
    let busy = sorted(&run.recording);
    let all = works(&run.recording, &busy);
    let first = (layers / 2).min(layers.saturating_sub(2));
    let shown: Vec<&Work<'_>> = steps.get(steps.len() / 2).map_or(Vec::new(), |step| {
        let here = |w: &&Work<'_>| step.start <= w.event.start && w.event.end <= step.end;
        let layer = |w: &&Work<'_>| w.event.layer.is_some_and(|l| l == first || l == first + 1);
        all.iter().filter(|w| here(w) && layer(w)).collect()
    });
    let (Some(from), Some(to)) = (shown.first().map(|w| w.event.start), shown.last().map(|w| w.event.end)) else {
        return svg(40, |_| Ok(()));
    };
    let (left, right, row) = (112, WIDTH as i32 - 16, 34);
    let length = (to - from).as_secs_f64();
    let (unit, scale) = unit(length);
    let x = |t: Instant| {
        let part = t.saturating_duration_since(from).as_secs_f64() / length;
        left + ((right - left) as f64 * part).round() as i32
    };
    let height = 24 + row * (threads as i32 + 1) + 48;
    svg(height as u32, |root| {
        let bottom = 24 + row * (threads as i32 + 1);
        for (value, label) in ticks(length * scale) {
            let at = left + ((right - left) as f64 * value / (length * scale)).round() as i32;
            root.draw(&PathElement::new([(at, 14), (at, bottom)], GREY.mix(0.3)))?;
            root.draw(&Text::new(label, (at, bottom + 6), anchored(13, HPos::Center, VPos::Top)))?;
        }
        let name = format!("{unit} since the beginning of layer {first}");
        root.draw(&Text::new(name, ((left + right) / 2, bottom + 26), anchored(14, HPos::Center, VPos::Top)))?;
        for i in 0..=threads {
            let name = if i == 0 { "operation".to_owned() } else { format!("thread {}", i - 1) };
            let y = 14 + row * i as i32;
            root.draw(&Text::new(name, (left - 10, y + row / 2), anchored(14, HPos::Right, VPos::Center)))?;
            root.draw(&Rectangle::new([(left, y + 4), (right, y + row - 4)], GREY.mix(0.12).filled()))?;
        }
        let bar = |track: usize, start: Instant, end: Instant, op: Op| {
            let y = 14 + row * track as i32;
            let (a, b) = (x(start), x(end));
            root.draw(&Rectangle::new([(a, y + 4), (b.max(a + 1), y + row - 4)], colour(op).filled()))
        };
        for w in &shown {
            let e = w.event;
            bar(0, e.start, e.end, e.op)?;
            for b in w.busy.iter().filter(|b| b.worker < threads) {
                bar(b.worker + 1, b.start, b.end, e.op)?;
            }
            // Outside of regions the leader works alone.
            let mut at = e.start;
            for &(start, end) in w.regions.iter().chain([&(e.end, e.end)]) {
                if start > at {
                    bar(1, at, start, e.op)?;
                }
                at = end;
            }
        }
        Ok(())
    })
}

/// Round values from 0 to `most`, about eight.
fn ticks(most: f64) -> Vec<(f64, String)> {
    let rough = most / 8.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(power * 10.0);
    let digits = (-step.log10().floor()).max(0.0) as usize;
    (0..=16).map(|i| f64::from(i) * step).take_while(|v| *v <= most).map(|v| (v, format!("{v:.digits$}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let labels = |most| ticks(most).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(labels(7.3), ["0", "1", "2", "3", "4", "5", "6", "7"]);
        assert_eq!(labels(0.9).last().unwrap(), "0.8");
        assert_eq!(labels(1234.0)[1], "200");
    }
}
