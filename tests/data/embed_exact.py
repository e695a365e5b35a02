"""Rows and vectors of texts in f64: what make_embed.py compares with. llama.cpp looks the Gaussian error linear unit up, by its
formula with a hyperbolic tangent, where the authors of these models have the unit itself; and all tokens are of the first kind."""
import math
import numpy as np
from exact import gelu as gelu_tanh, layer_norm, rms_norm, silu, slopes, softmax

erf = np.vectorize(math.erf)


def gelu(x):
    return x / 2 * (1 + erf(x / np.sqrt(2)))


ACTS = {'gelu': gelu, 'silu': silu, 'gelu_tanh': gelu_tanh, 'tanh': np.tanh}


def turn(x, pairs, theta):
    """`x` is `[tokens, heads, hd]`."""
    half = x.shape[-1] // 2
    angle = np.arange(len(x))[:, None, None] * theta ** (-np.arange(half) / half)
    cos, sin = np.cos(angle), np.sin(angle)
    a, b = (x[..., :half], x[..., half:]) if pairs == 'halves' else (x[..., ::2], x[..., 1::2])
    out = np.empty_like(x)
    if pairs == 'halves':
        out[..., :half], out[..., half:] = a * cos - b * sin, b * cos + a * sin
    else:
        out[..., ::2], out[..., 1::2] = a * cos - b * sin, b * cos + a * sin
    return out


class Encoder:
    def __init__(self, s, values):
        self.s, self.w = s, {name: x.astype(np.float64) for name, x in values}

    def norm(self, name, x):
        w = self.w[name + '.weight']
        return rms_norm(x, w, self.s['eps']) if self.s['rms'] else layer_norm(x, w, self.w.get(name + '.bias', 0.0), self.s['eps'])

    def linear(self, name, x):
        return x @ self.w[name + '.weight'].T + self.w.get(name + '.bias', 0.0)

    def attention(self, i, h):
        s, n, p = self.s, len(h), f'blk.{i}.'
        q_width, kv_width = s['heads'] * s['hd'], s['kv'] * s['hd']
        if s['fused_qkv']:
            q, k, v = np.split(self.linear(p + 'attn_qkv', h), [q_width, q_width + kv_width], 1)
        else:
            q, k, v = (self.linear(p + f'attn_{x}', h) for x in 'qkv')
        if s['head_norm'] == 'whole':
            q, k = (layer_norm(x, self.w[p + f'attn_{c}_norm.weight'], self.w[p + f'attn_{c}_norm.bias'], s['eps'])
                    for x, c in ((q, 'q'), (k, 'k')))
        q, k, v = (x.reshape(n, -1, s['hd']) for x in (q, k, v))
        if s['head_norm'] == 'each':
            q, k = (rms_norm(x, self.w[p + f'attn_{c}_norm.weight'], s['eps']) for x, c in ((q, 'q'), (k, 'k')))
        local = s['window'] and i not in s['full']
        if s['turn']:
            theta = s['local_theta'] if local and s['local_theta'] else s['theta']
            q, k = (turn(x, s['turn'], theta) for x in (q, k))
        k, v = (np.repeat(x, s['heads'] // s['kv'], 1) for x in (k, v))
        scores = np.einsum('qhd,khd->hqk', q, k) / np.sqrt(s['hd'])
        away = np.arange(n)[:, None] - np.arange(n)
        if s['alibi']:
            scores = scores - slopes(s['heads'], s['alibi'])[:, None, None] * np.abs(away)
        seen = (away >= 0) if s['causal'] else np.ones((n, n), bool)
        if local:
            seen = seen & (np.abs(away) <= s['window'] // 2)
        out = np.einsum('hqk,khd->qhd', softmax(np.where(seen, scores, -np.inf)), v).reshape(n, -1)
        return self.linear(p + 'attn_output', out)

    def feed_forward(self, i, h):
        s, p, act = self.s, f'blk.{i}.', ACTS[self.s['act']]
        e = s['experts']
        if e and i % e['every'] == 1:
            probs = softmax(h @ self.w[p + 'ffn_gate_inp.weight'].T)
            out = np.zeros_like(h)
            for r, row in enumerate(h):
                for x in np.argsort(-probs[r])[:e['used']]:
                    out[r] += probs[r, x] * (self.w[p + 'ffn_down_exps.weight'][x] @ act(self.w[p + 'ffn_up_exps.weight'][x] @ row))
            return out
        up = self.linear(p + 'ffn_up', h)
        if s['gate'] == 'fused':
            gate, up = np.split(up, 2, 1)
            return self.linear(p + 'ffn_down', act(gate) * up)
        return self.linear(p + 'ffn_down', act(self.linear(p + 'ffn_gate', h)) * up if s['gate'] else act(up))

    def rows(self, tokens, second=None):
        s = self.s
        x = self.w['token_embd.weight'][tokens] * s['scale']
        if s['kinds']:
            kind = (np.arange(len(tokens)) >= second).astype(int) if second is not None else np.zeros(len(tokens), int)
            x = x + self.w['token_types.weight'][kind]
        if s['positions']:
            x = x + self.w['position_embd.weight'][:len(tokens)]
        if s['embed_norm']:
            x = self.norm('token_embd_norm', x)
        for i in range(s['layers']):
            p = f'blk.{i}.'
            if s['norms'] == 'post':
                a = self.norm(p + 'attn_output_norm', x + self.attention(i, x))
                if s.get('again'):
                    a = self.norm(p + 'attn_norm_2', a + x)
                x = self.norm(p + 'layer_output_norm', a + self.feed_forward(i, a))
                continue
            around = s['norms'] == 'around'
            h = x if s['first_unnormed'] and i == 0 else self.norm(p + 'attn_norm', x)
            part = self.attention(i, h)
            x = x + (self.norm(p + 'post_attention_norm', part) if around else part)
            part = self.feed_forward(i, self.norm(p + 'ffn_norm', x))
            x = x + (self.norm(p + 'post_ffw_norm', part) if around else part)
        return self.norm(s['out_norm'], x) if s['out_norm'] else x

    def vector(self, rows):
        s = self.s
        if s['labels']:
            ranked = -1 if s['causal'] else 0
            x = rows.mean(0) if s['inner'] == 'gelu' else rows[ranked]
            if s['inner']:
                x = ACTS[s['inner']](self.linear('cls', x))
            if s['inner'] == 'gelu':
                x = self.norm('cls.norm', x)
            x = self.linear('cls.output', x)
            return softmax(x) if s['causal'] else x
        x = {1: rows.mean(0), 2: rows[0], 3: rows[-1]}[s['pooling']]
        for i in range(len(s['dense'])):
            x = self.linear(f'dense_{i + 2}', x)
        return x
