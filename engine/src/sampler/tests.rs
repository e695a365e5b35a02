use super::*;

fn plain() -> SamplerOptions {
    SamplerOptions { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..Default::default() }
}

fn chosen(o: SamplerOptions, logits: &[f32], history: &[u32], n: usize) -> Vec<usize> {
    let mut s = Sampler::new(o, logits.len(), 42).unwrap();
    let mut counts = vec![0; logits.len()];
    (0..n).for_each(|_| counts[s.sample(logits, history).unwrap() as usize] += 1);
    counts
}

#[test]
fn greedy_takes_the_best_and_the_lower_of_equals() {
    let o = SamplerOptions { temperature: 0.0, ..plain() };
    assert_eq!(chosen(o.clone(), &[1.0, 3.0, 3.0, 2.0], &[], 5), [0, 5, 0, 0]);
    let biased = SamplerOptions { logit_bias: vec![(3, 10.0), (1, f32::NEG_INFINITY)], ..o };
    assert_eq!(chosen(biased, &[1.0, 3.0, 3.0, 2.0], &[], 5), [0, 0, 0, 5]);
}

#[test]
fn the_draw_follows_the_probabilities() {
    let logits = [0.5f32, 0.25, 0.125, 0.125].map(f32::ln);
    let counts = chosen(plain(), &logits, &[], 40_000);
    for (n, p) in counts.iter().zip([0.5, 0.25, 0.125, 0.125]) {
        // Five standard deviations.
        assert!((*n as f64 / 40_000.0 - p).abs() < 5.0 * (p * (1.0 - p) / 40_000.0f64).sqrt(), "{counts:?}");
    }
    let hot = chosen(SamplerOptions { temperature: 100.0, ..plain() }, &logits, &[], 4000);
    assert!(hot.iter().all(|n| (800..1200).contains(n)), "{hot:?}");
}

#[test]
fn the_same_seed_gives_the_same_tokens() {
    let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.7).sin()).collect();
    let run = |seed| {
        let mut s = Sampler::new(SamplerOptions { seed: Some(seed), ..plain() }, 100, 0).unwrap();
        (0..50).map(|_| s.sample(&logits, &[]).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn each_step_alone() {
    let logits = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
    let kept = |o| chosen(o, &logits, &[], 4000).iter().map(|n| *n > 0).collect::<Vec<_>>();
    assert_eq!(kept(SamplerOptions { top_k: 2, ..plain() }), [true, true, false, false]);
    assert_eq!(kept(SamplerOptions { top_k: 9, ..plain() }), [true; 4]);
    assert_eq!(kept(SamplerOptions { top_p: 0.65, ..plain() }), [true, true, false, false]);
    assert_eq!(kept(SamplerOptions { top_p: 0.01, ..plain() }), [true, false, false, false]);
    assert_eq!(kept(SamplerOptions { min_p: 0.45, ..plain() }), [true, true, true, false]);
    assert_eq!(kept(SamplerOptions { min_p: 1.0, ..plain() }), [true, false, false, false]);
}

#[test]
fn penalties_look_at_the_last_tokens() {
    let greedy = SamplerOptions { temperature: 0.0, repeat_last_n: 2, ..plain() };
    let logits = [2.0, 1.5, -1.0];
    let best = |o: &SamplerOptions, h: &[u32]| chosen(o.clone(), &logits, h, 1).iter().position(|n| *n == 1).unwrap();
    let repeat = SamplerOptions { repeat_penalty: 1.5, ..greedy.clone() };
    assert_eq!((best(&repeat, &[0]), best(&repeat, &[0, 1, 2])), (1, 0));
    let frequency = SamplerOptions { frequency_penalty: 0.3, ..greedy.clone() };
    assert_eq!((best(&frequency, &[0]), best(&frequency, &[0, 0])), (0, 1));
    let presence = SamplerOptions { presence_penalty: 0.6, ..greedy };
    assert_eq!((best(&presence, &[0]), best(&presence, &[0, 2, 2])), (1, 0));
}

#[test]
fn bad_settings_and_logits_are_errors() {
    let bad = [
        SamplerOptions { temperature: -1.0, ..plain() },
        SamplerOptions { temperature: f32::NAN, ..plain() },
        SamplerOptions { top_p: 0.0, ..plain() },
        SamplerOptions { top_p: 1.1, ..plain() },
        SamplerOptions { min_p: -0.1, ..plain() },
        SamplerOptions { repeat_penalty: 0.0, ..plain() },
        SamplerOptions { presence_penalty: f32::INFINITY, ..plain() },
        SamplerOptions { logit_bias: vec![(4, 0.0)], ..plain() },
        SamplerOptions { logit_bias: vec![(0, f32::NAN)], ..plain() },
    ];
    for o in bad {
        assert!(Sampler::new(o.clone(), 4, 0).is_err(), "{o:?}");
    }
    for temperature in [0.0, 1.0] {
        let mut s = Sampler::new(SamplerOptions { temperature, ..plain() }, 2, 0).unwrap();
        assert_eq!(s.sample(&[f32::NAN, 0.0], &[]), Err(SamplerError::NotANumber));
        assert_eq!(s.sample(&[f32::NEG_INFINITY; 2], &[]), Err(SamplerError::Nothing));
        assert_eq!(s.sample(&[f32::NEG_INFINITY, -5.0], &[]), Ok(1));
    }
}
