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

fn distribution(o: SamplerOptions, logits: &[f32]) -> Vec<(u32, f64)> {
    Sampler::new(o, logits.len(), 0).unwrap().distribution(logits, &[]).unwrap()
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
fn a_seed_means_these_tokens() {
    // Computed with an independent ChaCha8: another generator, key or order of sums would break saved seeds.
    let logits: Vec<f32> = (0..1000).map(|i| ((i * 37) % 101) as f32 / 16.0).collect();
    let run = |o: SamplerOptions| {
        let mut s = Sampler::new(o, 1000, 1234).unwrap();
        (0..8).map(|_| s.sample(&logits, &[]).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(run(plain()), [906, 917, 843, 717, 914, 329, 638, 646]);
    assert_eq!(run(SamplerOptions::default()), [322, 423, 120, 595, 423, 161, 292, 393]);
    assert_eq!(Sampler::new(SamplerOptions { seed: Some(5), ..plain() }, 1, 1234).unwrap().seed(), 5);
}

#[test]
fn each_step_alone() {
    let logits = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
    let kept = |o| {
        let mut ids: Vec<u32> = distribution(o, &logits).iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    };
    let all = [0, 1, 2, 3];
    assert_eq!(kept(plain()), all);
    assert_eq!(kept(SamplerOptions { top_k: 1, ..plain() }), [0]);
    assert_eq!(kept(SamplerOptions { top_k: 2, ..plain() }), [0, 1]);
    assert_eq!(kept(SamplerOptions { top_k: 4, ..plain() }), all);
    assert_eq!(kept(SamplerOptions { top_k: usize::MAX / 4, ..plain() }), all);
    assert_eq!(kept(SamplerOptions { top_p: 0.65, ..plain() }), [0, 1]);
    assert_eq!(kept(SamplerOptions { top_p: 0.01, ..plain() }), [0]);
    assert_eq!(kept(SamplerOptions { top_p: 0.999, ..plain() }), all);
    assert_eq!(kept(SamplerOptions { min_p: 0.45, ..plain() }), [0, 1, 2]);
    assert_eq!(kept(SamplerOptions { min_p: 1.0, ..plain() }), [0]);
    // One token, whatever the settings.
    for o in [plain(), SamplerOptions::default(), SamplerOptions { temperature: 0.0, ..plain() }] {
        assert_eq!(distribution(o, &[-3.0]), [(0, 1.0)]);
    }
}

#[test]
fn probabilities_are_those_of_what_is_left() {
    let logits = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
    let close = |o, want: &[f64]| {
        let got: Vec<f64> = distribution(o, &logits).iter().map(|(_, p)| *p).collect();
        assert!(got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?} {want:?}");
    };
    close(plain(), &[0.4, 0.3, 0.2, 0.1]);
    close(SamplerOptions { top_k: 2, ..plain() }, &[4.0 / 7.0, 3.0 / 7.0]);
    // At temperature 1/2 probabilities are squared.
    close(SamplerOptions { temperature: 0.5, ..plain() }, &[16.0 / 30.0, 9.0 / 30.0, 4.0 / 30.0, 1.0 / 30.0]);
    // Top-p looks at temperature 1: the order of the steps.
    close(SamplerOptions { temperature: 100.0, top_p: 0.65, ..plain() }, &[0.50072, 0.49928]);
    // Top-p looks at what top-k left: 4/7 is enough for 0.5.
    close(SamplerOptions { top_k: 2, top_p: 0.5, ..plain() }, &[1.0]);
}

#[test]
fn large_vocabularies_equal_the_plain_way() {
    let mut rng = testing::Lcg(9);
    for round in 0..60 {
        let n = [50, 1000, 20_000][round % 3];
        // Many equals, so that ties are decided too; some spread, some flat.
        let scale = [1.0, 0.01, 20.0][round / 3 % 3];
        let logits: Vec<f32> = (0..n).map(|_| (rng.next() % 200) as f32 / 50.0 * scale - 2.0).collect();
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
        let ids = |o| distribution(o, &logits).iter().map(|(id, _)| *id).collect::<Vec<_>>();

        let k = 1 + rng.next() as usize % (2 * n);
        assert_eq!(ids(SamplerOptions { top_k: k, ..plain() }), order[..k.min(n)]);

        let p = (rng.next() % 999 + 1) as f32 / 1000.0;
        let weight = |id: &u32| (f64::from(logits[*id as usize]) - f64::from(logits[order[0] as usize])).exp();
        let total: f64 = order.iter().map(weight).sum();
        let got = ids(SamplerOptions { top_p: p, ..plain() });
        assert_eq!(got, order[..got.len()]);
        let sum = |ids: &[u32]| ids.iter().map(weight).sum::<f64>() / total;
        assert!(sum(&got) > f64::from(p) - 1e-9 && sum(&got[..got.len() - 1]) < f64::from(p) + 1e-9);
    }
}

#[test]
fn infinities_have_a_meaning() {
    let inf = f32::INFINITY;
    assert_eq!(distribution(plain(), &[1.0, inf, -inf, inf]), [(0, 0.0), (1, 0.5), (3, 0.5)]);
    let banned = SamplerOptions { logit_bias: vec![(1, -inf)], ..plain() };
    assert_eq!(distribution(banned, &[1.0, inf, -inf, 1.0]), [(0, 0.5), (3, 0.5)]);
    assert_eq!(distribution(SamplerOptions { temperature: 1e-30, ..plain() }, &[1.0, 1.5]), [(0, 0.0), (1, 1.0)]);
    let zeros = SamplerOptions { temperature: 0.0, ..plain() };
    assert_eq!(distribution(zeros, &[-0.0, 0.0]), [(0, 1.0)]);
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
    let none = SamplerOptions { repeat_last_n: 0, ..presence.clone() };
    let all = SamplerOptions { repeat_last_n: usize::MAX, ..presence };
    assert_eq!((best(&none, &[0]), best(&all, &[0, 2, 2, 999_999])), (0, 1));
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
        assert_eq!(s.sample(&[0.0], &[]), Err(SamplerError::Length { have: 1, vocab: 2 }));
    }
}
