//! A second decoder to test against: f64, no quantized activations, no cache, the textbook loops.

use crate::tiny::Tiny;
use hewn_kernels::op::rope::Pairing;

/// `[tokens, vocab]` logits of the model described by `m`; `half_kv` rounds keys and
/// values to half precision, as an f16 cache does.
pub fn logits(m: &Tiny, tokens: &[u32], half_kv: bool) -> Vec<f64> {
    let (n, c) = (tokens.len(), &m.shape);
    let mut x: Vec<Vec<f64>> = tokens.iter().map(|t| m.row("token_embd.weight", *t as usize)).collect();
    for l in 0..c.layers {
        let name = |part: &str| format!("blk.{l}.{part}");
        let h: Vec<_> = x.iter().map(|x| norm(x, &m.vector(&name("attn_norm.weight")), c.eps)).collect();
        let project = |part: &str, turn: bool| -> Vec<Vec<f64>> {
            let project_one = |(p, h): (usize, &Vec<f64>)| {
                let mut y = m.times(&name(&format!("{part}.weight")), h);
                if c.qkv_bias {
                    y.iter_mut().zip(m.vector(&name(&format!("{part}.bias")))).for_each(|(y, b)| *y += b);
                }
                if turn && c.head_norm {
                    let w = m.vector(&name(&format!("{part}_norm.weight")));
                    y.chunks_mut(c.head_dim).for_each(|head| head.copy_from_slice(&norm(head, &w, c.eps)));
                }
                if turn {
                    y.chunks_mut(c.head_dim).for_each(|head| rotate(head, p as f64, c.rope_base, c.pairing));
                }
                y
            };
            h.iter().enumerate().map(project_one).collect()
        };
        let (q, k, v) = (project("attn_q", true), project("attn_k", true), project("attn_v", false));
        let round = |v: &f64| if half_kv { half::f16::from_f64(*v).to_f64() } else { *v };
        let [k, v] = [k, v].map(|x| x.iter().map(|x| x.iter().map(round).collect()).collect::<Vec<Vec<f64>>>());
        for p in 0..n {
            let mut att = Vec::new();
            for head in 0..c.heads {
                let d = c.head_dim;
                let kv = head / (c.heads / c.kv_heads) * d;
                let score = |j: usize| dot(&q[p][head * d..][..d], &k[j][kv..][..d]) / (d as f64).sqrt();
                let seen = c.window.map_or(0, |w| (p + 1).saturating_sub(w))..=p;
                let scores: Vec<f64> = seen.clone().map(score).collect();
                let top = scores.iter().fold(f64::NEG_INFINITY, |m, s| m.max(*s));
                let e: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                let sum: f64 = e.iter().sum();
                att.extend((0..d).map(|i| seen.clone().zip(&e).map(|(j, e)| e / sum * v[j][kv + i]).sum::<f64>()));
            }
            let o = m.times(&name("attn_output.weight"), &att);
            x[p].iter_mut().zip(o).for_each(|(x, o)| *x += o);
        }
        for x in &mut x {
            let h = norm(x, &m.vector(&name("ffn_norm.weight")), c.eps);
            let act = |gate: Vec<f64>, up: Vec<f64>| -> Vec<f64> {
                gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect()
            };
            let Some([n, used]) = c.experts else {
                let act = act(m.times(&name("ffn_gate.weight"), &h), m.times(&name("ffn_up.weight"), &h));
                x.iter_mut().zip(m.times(&name("ffn_down.weight"), &act)).for_each(|(x, d)| *x += d);
                continue;
            };
            // Weights that sum to 1 are a softmax over the chosen.
            let mut scores: Vec<(usize, f64)> =
                m.times(&name("ffn_gate_inp.weight"), &h).into_iter().enumerate().collect();
            assert_eq!(scores.len(), n);
            scores.sort_by(|a, b| b.1.total_cmp(&a.1));
            let sum: f64 = scores[..used].iter().map(|s| (s.1 - scores[0].1).exp()).sum();
            for &(e, score) in &scores[..used] {
                let one = |part: &str, rows: usize, x: &[f64]| m.times_one_of(&name(part), e, rows, x);
                let act = act(one("ffn_gate_exps.weight", c.ff, &h), one("ffn_up_exps.weight", c.ff, &h));
                let weight = (score - scores[0].1).exp() / sum;
                let down = one("ffn_down_exps.weight", c.dim, &act);
                x.iter_mut().zip(down).for_each(|(x, d)| *x += weight * d);
            }
        }
    }
    let output = if c.tied { "token_embd.weight" } else { "output.weight" };
    x.iter().flat_map(|x| m.times(output, &norm(x, &m.vector("output_norm.weight"), c.eps))).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(x: &[f64], w: &[f64], eps: f64) -> Vec<f64> {
    let mean = dot(x, x) / x.len() as f64;
    x.iter().zip(w).map(|(x, w)| x / (mean + eps).sqrt() * w).collect()
}

fn rotate(head: &mut [f64], p: f64, base: f64, pairing: Pairing) {
    let d = head.len();
    for i in 0..d / 2 {
        let (a, b) = match pairing {
            Pairing::Neighbours => (2 * i, 2 * i + 1),
            Pairing::Halves => (i, i + d / 2),
        };
        let t = p * base.powf(-2.0 * i as f64 / d as f64);
        (head[a], head[b]) = (head[a] * t.cos() - head[b] * t.sin(), head[b] * t.cos() + head[a] * t.sin());
    }
}
