//! Attention and its cache.

use crate::testing::Lcg;
use crate::{emulated, teams};
use hewn_kernels::op::attention::{Chosen, Far, Query, Rules, Window, attention};
use hewn_kernels::{CpuIsa, KvLayer, KvShape, KvType, Team, reference};

/// Keys and values of one sequence, and its cache.
struct Cached {
    shape: KvShape,
    /// `[len, heads]`: as the cache holds them.
    keys: Vec<(Vec<f32>, Vec<f32>)>,
    values: Vec<(Vec<f32>, Vec<f32>)>,
    kv: KvLayer,
    /// Whether queries see what follows them, too.
    whole: bool,
}

impl Cached {
    fn new(rng: &mut Lcg, shape: KvShape, len: usize) -> Self {
        let (kw, vw) = (shape.heads * shape.k_dim, shape.heads * shape.v_dim);
        let (k, v) = (rng.floats(len * kw), rng.floats(len * vw));
        let mut kv = KvLayer::new(shape);
        let cut = len / 2;
        kv.append(CpuIsa::best(), &k[..cut * kw], &v[..cut * vw]).unwrap();
        kv.append(CpuIsa::best(), &k[cut * kw..], &v[cut * vw..]).unwrap();
        let cached = |x: &[f32], dim: usize| x.chunks(dim).map(|x| reference::cached(shape.kind, x)).collect();
        Self { shape, keys: cached(&k, shape.k_dim), values: cached(&v, shape.v_dim), kv, whole: false }
    }

    fn query(&self, pos: usize) -> Query<'_> {
        if self.whole { Query::whole(&self.kv, pos) } else { Query::all(&self.kv, pos) }
    }

    /// The oracle's answer for one head at one position.
    fn want(&self, q: &[f32], pos: usize, head: usize, rules: &Rules<'_>, chosen: Option<&[u64]>) -> Vec<f32> {
        let s = self.shape;
        reference::attention(
            [pos, if self.whole { self.kv.len() } else { pos + 1 }],
            s.v_dim,
            rules,
            |p| chosen.is_none_or(|c| c[p / 64] >> (p % 64) & 1 == 1),
            |p| self.score(q, p, head),
            |p, c| self.value(p, head, c),
        )
    }

    fn score(&self, q: &[f32], p: usize, head: usize) -> f32 {
        let KvShape { kind, heads, .. } = self.shape;
        reference::score(kind, q, &self.keys[p * heads + head])
    }

    fn value(&self, p: usize, head: usize, c: usize) -> [f32; 2] {
        let (v, scales) = &self.values[p * self.shape.heads + head];
        [v[c], scales.get(c / 32).copied().unwrap_or(1.0)]
    }
}

/// Every team gives the oracle's bits for `(sequence, position)` queries.
fn check_attention(rng: &mut Lcg, seqs: &[Cached], group: usize, at: &[(usize, usize)], teams: &[Team]) {
    check_rules(rng, seqs, group, at, teams, Rules::plain(0.3));
}

fn check_rules(rng: &mut Lcg, seqs: &[Cached], group: usize, at: &[(usize, usize)], teams: &[Team], rules: Rules<'_>) {
    check_chosen(rng, seqs, group, at, teams, rules, &[]);
}

/// The same where queries see chosen positions only, as far as there are some for them: all heads the same, or each KV head its
/// own, where there are words for each.
fn check_chosen(
    rng: &mut Lcg,
    seqs: &[Cached],
    group: usize,
    at: &[(usize, usize)],
    teams: &[Team],
    rules: Rules<'_>,
    chosen: &[Option<Vec<u64>>],
) {
    let shape = seqs[0].shape;
    let chosen = |i: usize| {
        let words = chosen.get(i).and_then(Option::as_deref)?;
        let needed = at[i].1 / 64 + 1;
        Some(Chosen { words, stride: if words.len() == needed { 0 } else { words.len() / shape.heads } })
    };
    let heads = shape.heads * group;
    let q: Vec<f32> = rng.floats(at.len() * heads * shape.k_dim).iter().map(|x| x * 4.0).collect();
    let want: Vec<u32> = (0..at.len() * heads)
        .flat_map(|i| {
            let (seq, pos) = at[i / heads];
            let of_head = |all: Option<&'_ [f32]>| all.map(|all| [all[i % heads]]);
            let (sink, slope) = (of_head(rules.sinks), of_head(rules.slopes));
            let factor = rules.factors.map(|all| [all[i / heads]]);
            let [sinks, slopes, factors] = [&sink, &slope, &factor].map(|one| one.as_ref().map(|s| &s[..]));
            let rules = Rules { sinks, slopes, factors, ..rules };
            let head = i % heads / group;
            let chosen = chosen(i / heads).map(|c| &c.words[head * c.stride..]);
            seqs[seq].want(&q[i * shape.k_dim..][..shape.k_dim], pos, head, &rules, chosen)
        })
        .map(f32::to_bits)
        .collect();
    let query = |(i, &(seq, pos)): (usize, &(usize, usize))| Query { chosen: chosen(i), ..seqs[seq].query(pos) };
    let queries: Vec<Query<'_>> = at.iter().enumerate().map(query).collect();
    for team in teams {
        // Twice: what the first call leaves behind must not matter.
        for _ in 0..if emulated() { 1 } else { 2 } {
            let mut out = vec![f32::NAN; at.len() * heads * shape.v_dim];
            team.step(|crew| attention(crew, &queries, heads, &rules, &q, &mut out)).unwrap();
            let got: Vec<u32> = out.iter().map(|x| x.to_bits()).collect();
            assert!(got == want, "{shape:?} group {group} {rules:?} {} t={}", team.isa().kind(), team.threads());
        }
    }
}

#[test]
fn attention_equals_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(31);
    for (heads, group, k_dim, v_dim) in [
        (1, 1, 8, 8),
        (2, 3, 64, 64),
        (2, 6, 128, 128),
        (1, 5, 96, 80),
        (3, 4, 16, 208),
        (1, 13, 24, 48),
        (2, 2, 33, 15),
    ] {
        for kind in KvType::ALL {
            let seqs = [Cached::new(&mut rng, KvShape { kind, heads, k_dim, v_dim }, 150)];
            let at = [0, 1, 62, 63, 64, 65, 127, 128, 149].map(|pos| (0, pos));
            check_attention(&mut rng, &seqs, group, &at, &teams);
        }
    }
}

#[test]
fn long_contexts_are_split_over_threads() {
    let teams = teams();
    let mut rng = Lcg(37);
    for (heads, group, k_dim, v_dim) in [(2, 6, 32, 32), (1, 1, 16, 40)] {
        for kind in KvType::ALL {
            let shape = KvShape { kind, heads, k_dim, v_dim };
            let seqs = [1400, 700, 64].map(|len| Cached::new(&mut rng, shape, len));
            check_attention(&mut rng, &seqs, group, &[(0, 1399)], &teams);
            // A batch of sequences, one of them with several queries around a tile's edge.
            let at = [(1, 699), (0, 1340), (0, 1341), (0, 1343), (0, 1344), (0, 1399), (2, 0), (2, 63)];
            check_attention(&mut rng, &seqs, group, &at, &teams);
        }
    }
}

#[test]
fn windows_bounds_sinks_and_slopes_equal_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(43);
    let shape = KvShape { kind: KvType::F16, heads: 2, k_dim: 32, v_dim: 24 };
    let seqs = [1400, 300].map(|len| Cached::new(&mut rng, shape, len));
    let sinks = rng.floats(6);
    let slopes = [0.5, 0.25, 0.0, 1.0, 0.001953125, 0.3];
    let factors = [1.0, 1.25, 0.5, 1.0, 3.0, 1.1, 1.2, 1.3, 1.4, 1.5];
    let plain = Rules::plain(0.3);
    let some = [(0, 0), (0, 1), (0, 63), (0, 64), (0, 127), (0, 128), (0, 129), (0, 130), (0, 200), (1, 299)];
    let late = [(1, 290), (0, 1340), (0, 1341), (0, 1343), (0, 1344), (0, 1399)];
    for at in [&some[..], &late, &[(0, 1399)]] {
        for rules in [
            Rules { cap: Some(2.0), ..plain },
            Rules { sinks: Some(&sinks), ..plain },
            Rules { window: Some(Window::Last(1)), ..plain },
            Rules { window: Some(Window::Last(3)), ..plain },
            Rules { window: Some(Window::Last(64)), ..plain },
            Rules { window: Some(Window::Last(65)), cap: Some(5.0), sinks: Some(&sinks), ..plain },
            Rules { window: Some(Window::Last(900)), sinks: Some(&sinks), ..plain },
            Rules { window: Some(Window::Last(4096)), ..plain },
            Rules { window: Some(Window::Chunk(1)), ..plain },
            Rules { window: Some(Window::Chunk(30)), ..plain },
            Rules { window: Some(Window::Chunk(64)), ..plain },
            Rules { window: Some(Window::Chunk(200)), cap: Some(5.0), sinks: Some(&sinks), ..plain },
            Rules { window: Some(Window::Chunk(4096)), ..plain },
            Rules { slopes: Some(&slopes), ..plain },
            Rules {
                window: Some(Window::Last(65)),
                cap: Some(5.0),
                sinks: Some(&sinks),
                slopes: Some(&slopes),
                ..plain
            },
            Rules { window: Some(Window::Chunk(200)), slopes: Some(&slopes), ..plain },
            Rules { factors: Some(&factors[..at.len()]), ..plain },
            Rules { cap: Some(2.0), factors: Some(&factors[..at.len()]), slopes: Some(&slopes), ..plain },
        ] {
            check_rules(&mut rng, &seqs, 3, at, &teams, rules);
        }
    }
}

/// Texts of which every position sees every other, or those around it.
#[test]
fn whole_texts_equal_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(67);
    let slopes = [0.5, 0.25, 0.0, 1.0, 0.001953125, 0.3];
    let plain = Rules::plain(0.3);
    for (kind, group) in [(KvType::F32, 1), (KvType::F16, 3), (KvType::Q8_0, 3)] {
        let shape = KvShape { kind, heads: 2, k_dim: 24, v_dim: 40 };
        let mut seqs = [1, 40, 64, 65, 300, 1400].map(|len| Cached::new(&mut rng, shape, len));
        seqs.iter_mut().for_each(|s| s.whole = true);
        // A long one alone, in spans; otherwise whole texts side by side, and a few rows of long ones.
        let whole = |seq: usize, len: usize| (0..len).map(move |pos| (seq, pos));
        let texts: Vec<_> = whole(0, 1).chain(whole(1, 40)).chain(whole(2, 64)).chain(whole(3, 65)).collect();
        let some: Vec<_> = [0, 1, 62, 63, 64, 65, 127, 128, 290, 299].map(|pos| (4, pos)).into();
        let one = vec![(5, 0), (5, 700), (5, 1399)];
        for at in [texts, some, one] {
            for rules in [
                plain,
                Rules { slopes: Some(&slopes[..2 * group]), ..plain },
                Rules { window: Some(Window::Around(1)), ..plain },
                Rules { window: Some(Window::Around(31)), slopes: Some(&slopes[..2 * group]), ..plain },
                Rules { window: Some(Window::Around(64)), ..plain },
                Rules { window: Some(Window::Around(500)), ..plain },
                Rules { window: Some(Window::Around(4096)), ..plain },
            ] {
                check_rules(&mut rng, &seqs, group, &at, &teams, rules);
            }
        }
    }
}

#[test]
fn chosen_positions_equal_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(59);
    let shape = KvShape { kind: KvType::F32, heads: 2, k_dim: 32, v_dim: 24 };
    let seqs = [1400, 300].map(|len| Cached::new(&mut rng, shape, len));
    let sinks = rng.floats(6);
    let some = [(0, 0), (0, 1), (0, 63), (0, 64), (0, 127), (0, 128), (0, 129), (0, 130), (0, 200), (1, 299)];
    let late = [(1, 290), (0, 1340), (0, 1341), (0, 1343), (0, 1344), (0, 1399)];
    for at in [&some[..], &late, &[(0, 1399)]] {
        for (density, rules) in [
            (1, Rules::plain(0.3)),
            (30, Rules::plain(0.3)),
            (200, Rules { sinks: Some(&sinks), ..Rules::plain(0.3) }),
            (5000, Rules::plain(0.3)),
        ] {
            let mut pick = |(i, &(_, pos)): (usize, &(usize, usize))| {
                let mut words = vec![0u64; pos / 64 + 1];
                // The last one in any case, of the others one of so many; every third query sees all.
                words[pos / 64] |= 1 << (pos % 64);
                let all = 0..=pos;
                all.filter(|_| (((rng.float() + 1.0) * 1e6) as u64).is_multiple_of(density))
                    .for_each(|p| words[p / 64] |= 1 << (p % 64));
                (i % 3 != 2).then_some(words)
            };
            let alike: Vec<_> = at.iter().enumerate().map(&mut pick).collect();
            // Each head its own, a word apart from those of the other.
            let of_each = |words: [Vec<u64>; 2]| [words[0].as_slice(), &[u64::MAX], &words[1], &[u64::MAX]].concat();
            let each: Vec<_> = at.iter().enumerate().map(|i| Some(of_each([pick(i)?, pick(i)?]))).collect();
            check_chosen(&mut rng, &seqs, 3, at, &teams, rules, &alike);
            check_chosen(&mut rng, &seqs, 3, at, &teams, rules, &each);
        }
    }
}

#[test]
fn entries_of_a_second_cache_equal_the_oracle() {
    let teams = teams();
    let mut rng = Lcg(61);
    let kinds = [(KvType::F32, Some(100)), (KvType::F16, None), (KvType::F32, Some(1)), (KvType::Q8_0, Some(100))];
    for (kind, window) in kinds {
        let shape = KvShape { kind, heads: 2, k_dim: 24, v_dim: 40 };
        let (near, far) = (Cached::new(&mut rng, shape, 900), Cached::new(&mut rng, shape, 700));
        let (sinks, heads) = (rng.floats(6), 6);
        // What each query sees of the second cache: nothing yet, a part of a tile, whole ones; then fewer, of another text.
        let at = [(0, 0), (3, 0), (4, 1), (63, 15), (64, 64), (65, 65), (255, 128), (256, 129), (899, 700), (300, 75)];
        for density in [0, 1, 20, 3000] {
            let mut pick = |(i, &(_, len)): (usize, &(usize, usize))| {
                let mut words = vec![0u64; usize::div_ceil(len, 64)];
                let one = |rng: &mut Lcg| (((rng.float() + 1.0) * 1e6) as u64).is_multiple_of(density);
                (0..len).filter(|_| one(&mut rng)).for_each(|p| words[p / 64] |= 1 << (p % 64));
                (density > 0 && i % 3 != 2).then_some(words)
            };
            let chosen: Vec<_> = at.iter().enumerate().map(&mut pick).collect();
            let rules = Rules { window: window.map(Window::Last), sinks: Some(&sinks), ..Rules::plain(0.3) };
            let q: Vec<f32> = rng.floats(at.len() * heads * shape.k_dim).iter().map(|x| x * 4.0).collect();
            let mut want = Vec::new();
            for (i, &(pos, len)) in at.iter().enumerate() {
                for h in 0..heads {
                    // The same as one cache, of which what lies between is not seen.
                    let (behind, first) =
                        (usize::div_ceil(len, 64) * 64, window.map_or(0, |n| (pos + 1).saturating_sub(n)));
                    let seen = |p: usize| match p.checked_sub(behind) {
                        None => p < len && chosen[i].as_ref().is_none_or(|c| c[p / 64] >> (p % 64) & 1 == 1),
                        Some(p) => p >= first,
                    };
                    let of = |p: usize| p.checked_sub(behind).map_or((&far, p), |p| (&near, p));
                    let q = &q[(i * heads + h) * shape.k_dim..][..shape.k_dim];
                    want.extend(reference::attention(
                        [behind + pos, behind + pos + 1],
                        shape.v_dim,
                        &Rules { window: None, sinks: Some(&sinks[h..=h]), ..rules },
                        seen,
                        |p| of(p).0.score(q, of(p).1, h / 3),
                        |p, c| of(p).0.value(of(p).1, h / 3, c),
                    ));
                }
            }
            let query = |(i, &(pos, len)): (usize, &(usize, usize))| Query {
                far: Some(Far { kv: &far.kv, len, chosen: chosen[i].as_deref() }),
                ..Query::all(&near.kv, pos)
            };
            let queries: Vec<Query<'_>> = at.iter().enumerate().map(query).collect();
            for team in &teams {
                // All at once, and the one that sees most alone, in spans.
                for part in [0..at.len(), 8..9] {
                    let mut out = vec![f32::NAN; part.len() * heads * shape.v_dim];
                    let q = &q[part.start * heads * shape.k_dim..part.end * heads * shape.k_dim];
                    team.step(|crew| attention(crew, &queries[part.clone()], heads, &rules, q, &mut out)).unwrap();
                    let want = &want[part.start * heads * shape.v_dim..part.end * heads * shape.v_dim];
                    let same = out.iter().zip(want).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{shape:?} {density} {part:?} {} t={}", team.isa().kind(), team.threads());
                }
            }
        }
    }
}

#[test]
fn a_window_does_not_look_outside() {
    KvType::ALL.into_iter().for_each(look_outside);
}

fn look_outside(kind: KvType) {
    let shape = KvShape { kind, heads: 1, k_dim: 16, v_dim: 16 };
    let mut rng = Lcg(47);
    let (mut k, mut v) = (rng.floats(200 * 16), rng.floats(200 * 16));
    let team = Team::new(1, CpuIsa::best()).unwrap();
    let q = rng.floats(16);
    let run = |window, k: &[f32], v: &[f32]| {
        let mut kv = KvLayer::new(shape);
        kv.append(CpuIsa::best(), k, v).unwrap();
        let (mut out, rules) = (vec![f32::NAN; 16], Rules { window: Some(window), ..Rules::plain(0.25) });
        team.step(|crew| attention(crew, &[Query::all(&kv, 199)], 1, &rules, &q, &mut out)).unwrap();
        out
    };
    let windows = [Window::Last(70), Window::Chunk(130)];
    let want = windows.map(|w| run(w, &k, &v));
    assert_eq!(want[0], want[1]);
    k[..130 * 16].fill(f32::NAN);
    v[..130 * 16].fill(f32::INFINITY);
    assert_eq!(windows.map(|w| run(w, &k, &v)), want);
}

#[test]
fn a_truncated_cache_is_as_if_never_filled() {
    KvType::ALL.into_iter().for_each(truncate);
}

fn truncate(kind: KvType) {
    let shape = KvShape { kind, heads: 2, k_dim: 16, v_dim: 16 };
    let mut rng = Lcg(41);
    let (k, v) = (rng.floats(200 * 32), rng.floats(200 * 32));
    let mut kv = KvLayer::new(shape);
    kv.append(CpuIsa::best(), &k[..130 * 32], &v[..130 * 32]).unwrap();
    kv.truncate(70);
    assert_eq!((kv.len(), kv.bytes()), (70, 2 * shape.tile_bytes()));
    kv.append(CpuIsa::best(), &k[150 * 32..], &v[150 * 32..]).unwrap();
    let mut fresh = KvLayer::new(shape);
    fresh.append(CpuIsa::best(), &k[..70 * 32], &v[..70 * 32]).unwrap();
    fresh.append(CpuIsa::best(), &k[150 * 32..], &v[150 * 32..]).unwrap();
    let q = rng.floats(4 * 16);
    let team = Team::new(1, CpuIsa::best()).unwrap();
    let run = |kv: &KvLayer| {
        let mut out = vec![f32::NAN; 4 * 16];
        team.step(|crew| attention(crew, &[Query::all(kv, 119)], 4, &Rules::plain(0.25), &q, &mut out)).unwrap();
        out
    };
    assert_eq!(run(&kv), run(&fresh));
    let twin = kv.try_clone().unwrap();
    kv.truncate(3);
    kv.append(CpuIsa::best(), &k[..120 * 32], &v[..120 * 32]).unwrap();
    assert_eq!(run(&twin), run(&fresh));
    assert_ne!(run(&kv), run(&fresh));
}
