"""Logits in f64 of an architecture that llama.cpp computes otherwise than its authors: what make_arch.py compares with there.

`phimoe` (Phi 3.5 MoE, Phi mini MoE): its norms take the mean off, and the weights of its two experts are those of the
authors' sparse mixer (arXiv 2409.12136; `modeling_phimoe.py` of transformers, `phimoe.py` of vLLM); llama.cpp has norms by the
mean square, and weights that are made to sum to 1.
"""
import numpy as np


def layer_norm(x, w, b, eps):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w + b


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sparse_mixer(scores, jitter=0.01):
    """The two experts of a row and their weights."""
    open_ = np.ones(len(scores), bool)
    chosen = []
    for _ in range(2):
        best = int(np.where(open_, scores, -np.inf).argmax())
        top = scores[best]
        near = open_ & ~((top - scores) / np.maximum(np.abs(scores), top) > 2 * jitter)
        chosen.append((best, softmax(np.where(near, scores, -np.inf))[best]))
        open_[best] = False
    return chosen


def turn(x, s, divisors):
    """Rotates pairs of the first and the second half of each head's channels; `x` is `[tokens, heads, hd]`."""
    half = s['hd'] // 2
    freqs = s['theta'] ** (-np.arange(half) / half) / divisors
    angle = np.arange(len(x))[:, None, None] * freqs
    factor = s['keys']['rope.scaling.attn_factor']
    cos, sin, (a, b) = np.cos(angle) * factor, np.sin(angle) * factor, (x[..., :half], x[..., half:])
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def phimoe(s, values, tokens):
    """`[tokens, vocab]`; the context is longer than that of the pre-training."""
    w = {name: x.astype(np.float64) for name, x in values}
    heads, kv, hd, eps, n = s['heads'], s['kv'], s['hd'], s['eps'], len(tokens)
    x = w['token_embd.weight'][tokens]
    for i in range(s['layers']):
        of = lambda name: w[f'blk.{i}.{name}']
        normed = lambda name, x: layer_norm(x, of(name + '.weight'), of(name + '.bias'), eps)
        linear = lambda name, x: x @ of(name + '.weight').T + of(name + '.bias')
        h = normed('attn_norm', x)
        q, k, v = (linear(f'attn_{p}', h).reshape(n, -1, hd) for p in 'qkv')
        q, k = (turn(y, s, w['rope_factors_long.weight']) for y in (q, k))
        k, v = (np.repeat(y, heads // kv, 1) for y in (k, v))
        scores = np.einsum('qhd,khd->hqk', q, k) / np.sqrt(hd)
        scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
        x = x + linear('attn_output', np.einsum('hqk,khd->qhd', softmax(scores), v).reshape(n, -1))
        h = normed('ffn_norm', x)
        out = np.zeros_like(x)
        for t, scores in enumerate(h @ of('ffn_gate_inp.weight').T):
            for expert, weight in sparse_mixer(scores):
                gate, up = (of(f'ffn_{p}_exps.weight')[expert] @ h[t] for p in ('gate', 'up'))
                out[t] += weight * (of('ffn_down_exps.weight')[expert] @ (gate / (1 + np.exp(-gate)) * up))
        x = x + out
    x = layer_norm(x, w['output_norm.weight'], w['output_norm.bias'], eps)
    return x @ w['output.weight'].T + w['output.bias']
