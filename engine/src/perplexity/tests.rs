use super::*;
use crate::{LoadOptions, Model, RunnerOptions, Team};
use hewn_kernels::CpuIsa;
use std::path::Path;
use std::sync::Arc;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny-random.gguf");

fn runner(threads: usize) -> Runner {
    let model = Arc::new(Model::open(Path::new(TINY), &LoadOptions::default()).unwrap());
    Runner::new(model, Arc::new(Team::new(threads, CpuIsa::best()).unwrap()), &RunnerOptions::default()).unwrap()
}

fn text(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| (i * i * 31 + i * 7) % 256).collect()
}

fn options(ctx: usize) -> PerplexityOptions {
    PerplexityOptions { ctx, kv: KvType::F16, begin: None }
}

fn run(o: &PerplexityOptions, tokens: &[u32], threads: usize) -> Result<PerplexityReport, PerplexityError> {
    perplexity(&mut runner(threads), tokens, o, None, None, &CancelToken::new(), &mut |_, _, _| {})
}

fn save(o: &PerplexityOptions, tokens: &[u32]) -> (PerplexityReport, Vec<u8>) {
    let mut file = Vec::new();
    let mut writer = LogitsWriter::new(&mut file);
    let none = &mut |_, _, _| {};
    let report = perplexity(&mut runner(1), tokens, o, Some(&mut writer), None, &CancelToken::new(), none).unwrap();
    (report, file)
}

fn compare(o: &PerplexityOptions, tokens: &[u32], file: &[u8]) -> Result<DivergenceReport, PerplexityError> {
    let mut input = file;
    let mut reader = LogitsReader::open(&mut input, file.len() as u64)?;
    let none = &mut |_, _, _| {};
    let report = perplexity(&mut runner(2), tokens, o, None, Some(&mut reader), &CancelToken::new(), none)?;
    Ok(report.divergence.unwrap())
}

/// The definition, from the logits of whole windows.
#[test]
fn the_figures_are_those_of_the_definition() {
    let (ctx, tokens, begin) = (32, text(32 * 3 + 5), Some(270));
    let o = PerplexityOptions { begin, ..options(ctx) };
    let mut r = runner(1);
    let vocab = r.model().config().vocab;
    let mut losses = Vec::new();
    for window in tokens.chunks_exact(ctx) {
        let mut window = window.to_vec();
        window[0] = 270;
        let mut seq = Sequence::new(r.model(), &SequenceOptions::default()).unwrap();
        let work = Work { seq: &mut seq, tokens: &window, logits: Logits::All };
        let logits = r.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).unwrap();
        for i in 16..31 {
            let row = &logits[i * vocab..(i + 1) * vocab];
            let sum: f64 = row.iter().map(|v| f64::from(*v).exp()).sum();
            losses.push(sum.ln() - f64::from(row[window[i + 1] as usize]));
        }
    }
    let n = losses.len() as f64;
    let mean = losses.iter().sum::<f64>() / n;
    let variance = losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let report = run(&o, &tokens, 1).unwrap();
    assert_eq!((report.windows, report.scored, o.scored()), (3, 45, 15));
    assert!((report.nll.mean - mean).abs() < 1e-12 && (report.nll.error - (variance / n).sqrt()).abs() < 1e-12);
    assert!((report.perplexity.mean - mean.exp()).abs() < 1e-9);
    assert_eq!(report.perplexity.error, report.perplexity.mean * report.nll.error);
    // Neither threads nor the size of a step change a bit.
    assert_eq!(run(&o, &tokens, 2).unwrap(), report);
    assert_ne!(run(&options(ctx), &tokens, 2).unwrap(), report, "the begin token has an effect");
}

#[test]
fn a_model_is_at_no_distance_from_itself() {
    let (o, tokens) = (options(64), text(200));
    let (report, file) = save(&o, &tokens);
    assert_eq!(file.len(), 40 + 4 * 192 + 4 * 3 * 31 * 273);
    let d = compare(&o, &tokens, &file).unwrap();
    assert_eq!((d.kl.mean, d.max, d.same_top.mean), (0.0, 0.0, 1.0));
    assert!((d.base_perplexity - report.perplexity.mean).abs() < 1e-9);
    // The cache's format makes a small difference.
    let d = compare(&PerplexityOptions { kv: KvType::F32, ..o }, &tokens, &file).unwrap();
    assert!(d.kl.mean > 0.0 && d.kl.mean < 1e-3 && d.median <= d.p99 && d.p99 <= d.max, "{d:?}");
}

/// Made-up logits: the divergence of a row from its definition.
#[test]
fn the_divergence_is_that_of_the_definition() {
    let team = Team::new(2, CpuIsa::best()).unwrap();
    let (p, q) = ([1.0f32, 2.0, 0.5, -1.0, 3.0, 3.0], [0.0f32, 2.5, 0.5, 1.0, 2.0, -4.0]);
    let targets = [2, 0];
    let (a, b) = (score(&team, &p, 3, &targets).unwrap(), score(&team, &q, 3, &targets).unwrap());
    assert_eq!((a[0].top, a[1].top, b[0].top, b[1].top), (1, 1, 1, 1));
    let got = divergence(&team, &p, &a, &q, &b, 3).unwrap();
    let softmax = |x: &[f32]| {
        let e: Vec<f64> = x.iter().map(|v| f64::from(*v).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|v| v / sum).collect::<Vec<_>>()
    };
    for (i, got) in got.iter().enumerate() {
        let (p, q) = (softmax(&p[3 * i..3 * i + 3]), softmax(&q[3 * i..3 * i + 3]));
        let want: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        assert!((got - want).abs() < 1e-12 && *got > 0.01);
        assert!((a[i].loss() + p[targets[i] as usize].ln()).abs() < 1e-12);
    }
}

#[test]
fn quantiles_interpolate() {
    let v = [1.0, 2.0, 4.0, 8.0];
    assert_eq!([0.0, 0.5, 0.75, 1.0].map(|p| quantile(&v, p)), [1.0, 3.0, 5.0, 8.0]);
    assert_eq!(quantile(&[7.0], 0.99), 7.0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (o, tokens) = (options(64), text(200));
    let (_, file) = save(&o, &tokens);
    let refused = |o: &PerplexityOptions, tokens: &[u32], file: &[u8]| compare(o, tokens, file).unwrap_err();
    let mut other = tokens.clone();
    other[70] += 1;
    assert!(matches!(refused(&o, &other, &file), PerplexityError::Mismatch(w) if w.contains("other tokens")));
    assert!(matches!(refused(&o, &tokens[..150], &file), PerplexityError::Mismatch(_)));
    assert!(matches!(refused(&options(32), &tokens, &file), PerplexityError::Mismatch(w) if w.contains("64")));
    let begin = PerplexityOptions { begin: Some(1), ..o };
    assert!(matches!(refused(&begin, &tokens, &file), PerplexityError::Mismatch(w) if w.contains("began")));
    for n in [0, 39, 40, 100, file.len() - 1] {
        assert!(matches!(refused(&o, &tokens, &file[..n]), PerplexityError::Damaged(_)), "{n}");
    }
    let changed = |at: usize, v: u8| {
        let mut f = file.clone();
        f[at] = v;
        f
    };
    for (at, v) in [(0, 0), (8, 2), (12, 0), (24, 0), (24, 3), (24, 65), (32, 0), (32, 191), (39, 0xff), (36, 1)] {
        let e = refused(&o, &tokens, &changed(at, v));
        assert!(matches!(e, PerplexityError::Damaged(_)), "{at}: {e}");
    }
    assert!(matches!(refused(&o, &tokens, &changed(16, file[16] ^ 1)), PerplexityError::Mismatch(_)));
    // The top byte of a logit: an infinity or a NaN.
    let at = 40 + 4 * 192;
    let mut bad = changed(at + 3, 0x7f);
    bad[at + 2] = 0x80;
    assert!(matches!(refused(&o, &tokens, &bad), PerplexityError::Damaged(_)));
}

#[test]
fn too_little_too_much_and_stopped() {
    assert!(matches!(run(&options(64), &text(63), 1), Err(PerplexityError::TooShort { have: 63, need: 64 })));
    assert!(matches!(run(&options(3), &text(63), 1), Err(PerplexityError::Window { ctx: 3 })));
    let long = run(&options(1024), &text(2000), 1);
    assert!(matches!(long, Err(PerplexityError::Engine(EngineError::Option { name: "ctx", .. }))));
    let cancel = CancelToken::new();
    let (mut seen, tokens, o) = (Vec::new(), text(64 * 4), options(64));
    let progress = &mut |done, all, value: f64| {
        seen.push((done, all, value.is_finite()));
        if done == 2 {
            cancel.cancel();
        }
    };
    let stopped = perplexity(&mut runner(1), &tokens, &o, None, None, &cancel, progress);
    assert!(matches!(stopped, Err(PerplexityError::Engine(EngineError::Cancelled))));
    assert_eq!(seen, [(1, 4, true), (2, 4, true)]);
}
