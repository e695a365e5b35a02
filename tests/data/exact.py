"""Logits in f64 of architectures that llama.cpp computes otherwise than their authors, or with tables in half precision: what
make_arch.py compares with there.

`phimoe` (Phi 3.5 MoE, Phi mini MoE): its norms take the mean off, and the weights of its two experts are those of the
authors' sparse mixer (arXiv 2409.12136; `modeling_phimoe.py` of transformers, `phimoe.py` of vLLM); llama.cpp has norms by the
mean square, and weights that are made to sum to 1.
`grok`: the router's scores are bounded, and the weights of the chosen experts are not made to sum to 1 (`grok.py` of SGLang,
which the authors name for running it). `grove` (GroveMoE): the smaller experts read what the others read, each with the weight
of the one that was chosen (its authors' `modeling_grove_moe.py`); llama.cpp has them read what the others gave, with weights of
other experts.
Of Grok 2, llama.cpp leaves out that bounded scores grow with the logarithm of the query's position, and stretches positions, which
its authors do not (`rope_type` is `original`).
`plamo2`: llama.cpp does not come back from it.
`minimax_m3`: llama.cpp chooses blocks with flash attention only, which rounds more; and it agrees.
`chameleon`: llama.cpp takes a vocabulary with the tokens of images for granted.
`neox` (Phi 2, GPT-NeoX, CodeShell, GPT-2, StarCoder, BLOOM, MPT) and `spark` (Spark X 2.5): llama.cpp looks the Gaussian error
linear unit up. `rwkv7` (RWKV 7, ARWKV): it takes heads of 64 channels for granted, with which it agrees.
"""
import numpy as np


class Layer:
    """The parts that both have, by the names of a layer's tensors."""

    def __init__(self, s, w, i):
        self.s, self.i, self.of = s, i, lambda name: w[f'blk.{i}.{name}']
        self.bias = lambda name: w.get(f'blk.{i}.{name}.bias', 0.0)

    def normed(self, name, x):
        return layer_norm(x, self.of(name + '.weight'), self.bias(name), self.s['eps'])

    def linear(self, name, x):
        return x @ self.of(name + '.weight').T + self.bias(name)

    def grouped(self, h, scale, cap=None, normed=False, heat=None):
        """Attention by the names of projections without biases, whose scores may be bounded and whose heads normed."""
        s, n = self.s, len(h)
        q, k, v = ((h @ self.of(f'attn_{p}.weight').T).reshape(n, -1, s['hd']) for p in 'qkv')
        if normed:
            q, k = (rms_norm(x, self.of(f'attn_{p}_norm.weight'), s['eps']) for x, p in ((q, 'q'), (k, 'k')))
        q, k = (turn(x, s, 1.0) for x in (q, k))
        k, v = (np.repeat(x, s['heads'] // s['kv'], 1) for x in (k, v))
        scores = np.einsum('qhd,khd->hqk', q, k) * scale
        scores = cap * np.tanh(scores / cap) if cap else scores
        if heat:
            at = np.arange(n)
            scores = scores * np.where(at > heat, np.log(np.maximum(at, 1)) / np.log(heat), 1.0)[:, None]
        scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
        return np.einsum('hqk,khd->qhd', softmax(scores), v).reshape(n, -1) @ self.of('attn_output.weight').T

    def expert(self, i, x, act, kind='exps'):
        gate, up = (self.of(f'ffn_{p}_{kind}.weight')[i] @ x for p in ('gate', 'up'))
        return self.of(f'ffn_down_{kind}.weight')[i] @ (act(gate) * up)

    def attention(self, q, k, v, divisors=1.0):
        """Of heads side by side, `[tokens, heads * hd]`."""
        s, n = self.s, len(q)
        q, k, v = (x.reshape(n, -1, s['hd']) for x in (q, k, v))
        if not s['positions'] and not s['alibi']:
            q, k = (turn(x, s, divisors) for x in (q, k))
        k, v = (np.repeat(x, s['heads'] // s['kv'], 1) for x in (k, v))
        scores = np.einsum('qhd,khd->hqk', q, k) / np.sqrt(s['hd'])
        if s['alibi']:
            away = np.arange(n)[:, None] - np.arange(n)
            scores = scores - slopes(s['heads'], s['alibi'])[:, None, None] * away
        scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
        return self.linear('attn_output', np.einsum('hqk,khd->qhd', softmax(scores), v).reshape(n, -1))


def slopes(heads, most):
    """What each position further away costs a score (arXiv 2108.12409)."""
    power = 2 ** int(np.log2(heads))
    return np.array([2 ** (-most * (h + 1) / power) if h < power else 2 ** (-most / 2 * (2 * (h - power) + 1) / power)
                     for h in range(heads)])


def layer_norm(x, w, b, eps):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w + b


def rms_norm(x, w, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))


def silu(x):
    return x / (1 + np.exp(-x))


def turn(x, s, divisors):
    """Rotates pairs of the first and the second half of each head's turned channels; `x` is `[tokens, heads, hd]`."""
    turned = s['rope'] or s['hd']
    half = turned // 2
    freqs = s['theta'] ** (-np.arange(half) / half) / divisors
    angle = np.arange(len(x))[:, None, None] * freqs
    factor = s['keys'].get('rope.scaling.attn_factor', 1.0)
    cos, sin, (a, b) = np.cos(angle) * factor, np.sin(angle) * factor, (x[..., :half], x[..., half:turned])
    return np.concatenate([a * cos - b * sin, b * cos + a * sin, x[..., turned:]], -1)


def sparse_mixer(scores, jitter=0.01):
    """The two experts of a row and their weights."""
    left = np.ones(len(scores), bool)
    chosen = []
    for _ in range(2):
        best = int(np.where(left, scores, -np.inf).argmax())
        top = scores[best]
        near = left & ~((top - scores) / np.maximum(np.abs(scores), top) > 2 * jitter)
        chosen.append((best, softmax(np.where(near, scores, -np.inf))[best]))
        left[best] = False
    return chosen


def decoder(s, values, tokens, layer):
    """`[tokens, vocab]`, where `layer` tells what becomes of the stream."""
    w = {name: x.astype(np.float64) for name, x in values}
    x = w['token_embd.weight'][tokens]
    if s['embed_norm']:
        x = layer_norm(x, w['token_embd_norm.weight'], w['token_embd_norm.bias'], s['eps'])
    if s['positions']:
        x = x + w['position_embd.weight'][:len(tokens)]
    for i in range(s['layers']):
        x = layer(Layer(s, w, i), x, w)
    norm, bias = w['output_norm.weight'], w.get('output_norm.bias')
    x = layer_norm(x, norm, 0.0 if bias is None else bias, s['eps']) if s['layer_norm'] else rms_norm(x, norm, s['eps'])
    return x @ w.get('output.weight', w['token_embd.weight']).T + w.get('output.bias', 0.0)


def phimoe(s, values, tokens):
    """The context is longer than that of the pre-training."""
    def layer(l, x, w):
        h = l.normed('attn_norm', x)
        x = x + l.attention(*(l.linear(f'attn_{p}', h) for p in 'qkv'), w['rope_factors_long.weight'])
        h = l.normed('ffn_norm', x)
        out = np.zeros_like(x)
        for t, scores in enumerate(h @ l.of('ffn_gate_inp.weight').T):
            for expert, weight in sparse_mixer(scores):
                gate, up = (l.of(f'ffn_{p}_exps.weight')[expert] @ h[t] for p in ('gate', 'up'))
                out[t] += weight * (l.of('ffn_down_exps.weight')[expert] @ (gate / (1 + np.exp(-gate)) * up))
        return x + out
    return decoder(s, values, tokens, layer)


def neox(s, values, tokens):
    """Without a norm of its own, the feed-forward part reads what the attention reads."""
    q, kv = s['heads'] * s['hd'], s['kv'] * s['hd']

    def layer(l, x, w):
        h = l.normed('attn_norm', x)
        most = s['keys'].get('attention.clamp_kqv', np.inf)
        heads = np.split(l.linear('attn_qkv', h).clip(-most, most), [q, q + kv], -1)
        if s['qk_norm']:
            heads = [l.normed(f'attn_{p}_norm', x) for p, x in zip('qk', heads)] + heads[2:]
        added = l.attention(*heads)
        if not s['keys'].get('use_parallel_residual', s['arch'] == 'phi2'):
            x, added = x + added, 0.0
        h = l.normed('ffn_norm', x) if s['ff_before'] else h
        return x + added + l.linear('ffn_down', gelu(l.linear('ffn_up', h)))
    return decoder(s, values, tokens, layer)


def spark(s, values, tokens):
    """Layers with a window turn more channels, with another base; each head's output is gated."""
    keys, n = s['keys'], len(tokens)
    back = np.arange(n)[:, None] - np.arange(n)

    def layer(l, x, w):
        h = rms_norm(x, l.of('attn_norm.weight'), s['eps'])
        windowed = keys['attention.sliding_window_pattern'][l.i]
        own = {'rope': keys['rope.dimension_count_swa'], 'theta': keys['rope.freq_base_swa']} if windowed else {}
        heads = (h @ l.of('attn_qkv.weight').T).reshape(n, -1, s['hd'])
        q, k, v = np.split(heads, [s['heads'], s['heads'] + s['kv']], 1)
        q, k = (turn(x, {**s, **own}, 1.0) for x in (q, k))
        k, v = (np.repeat(x, s['heads'] // s['kv'], 1) for x in (k, v))
        seen = (back >= 0) & (back < (keys['attention.sliding_window'] if windowed else n))
        scores = np.where(seen, np.einsum('qhd,khd->hqk', q, k) / np.sqrt(s['hd']), -np.inf)
        gates = 1 / (1 + np.exp(-h @ l.of('attn_gate.weight').T))
        out = np.einsum('hqk,khd->qhd', softmax(scores), v) * gates[..., None]
        x = x + out.reshape(n, -1) @ l.of('attn_output.weight').T
        h = rms_norm(x, l.of('ffn_norm.weight'), s['eps'])
        gate, up = (h @ l.of(f'ffn_{p}.weight').T for p in ('gate', 'up'))
        return x + (gelu(gate) * up) @ l.of('ffn_down.weight').T
    return decoder(s, values, tokens, layer)


def grok(s, values, tokens):
    keys = s['keys']
    of = lambda key, otherwise: keys.get(key, otherwise)
    cap = of('router_logit_softcapping', 30.0)

    def layer(l, x, w):
        if l.i == 0:
            x = x * of('embedding_scale', 78.38367176906169)
        norm = lambda name, x: rms_norm(x, l.of(name + '.weight'), s['eps'])
        added = l.grouped(norm('attn_norm', x), of('attention.output_scale', 0.08838834764831845),
                          of('attn_logit_softcapping', 30.0), heat=keys.get('attention.temperature_length'))
        x = x + norm('attn_output_norm', added)
        h, out = norm('ffn_norm', x), np.zeros_like(x)
        for t, scores in enumerate(h @ l.of('ffn_gate_inp.weight').T):
            weights = softmax(cap * np.tanh(scores / cap))
            for i in np.argsort(-weights)[:s['experts']['used']]:
                out[t] += weights[i] * l.expert(i, h[t], gelu)
        if s['experts'].get('dense_too'):
            gate, up = (h @ l.of(f'ffn_{p}.weight').T for p in ('gate', 'up'))
            out = (out + (gelu(gate) * up) @ l.of('ffn_down.weight').T) / np.sqrt(2)
        return x + norm(s['ff_after'], out)
    logits = decoder(s, values, tokens, layer) * of('logit_scale', 0.5773502691896257)
    cap_of_logits = keys.get('final_logit_softcapping')
    return cap_of_logits * np.tanh(logits / cap_of_logits) if cap_of_logits else logits


def chameleon(s, values, tokens):
    behind, n = s['keys'].get('swin_norm', False), len(tokens)

    def turned(l, part, h, heads):
        x = (h @ l.of(f'attn_{part}.weight').T).reshape(n, heads, -1)
        x = layer_norm(x, l.of(f'attn_{part}_norm.weight'), l.bias(f'attn_{part}_norm'), 1e-5)
        # Neighbours are pairs.
        x = turn(np.concatenate([x[..., ::2], x[..., 1::2]], -1), s, 1.0)
        a, b = np.split(x, 2, -1)
        return np.repeat(np.stack([a, b], -1).reshape(x.shape), s['heads'] // heads, 1)

    def layer(l, x, w):
        norm = lambda name, x: rms_norm(x, l.of(name + '.weight'), s['eps'])
        h = x if behind else norm('attn_norm', x)
        q, k = turned(l, 'q', h, s['heads']), turned(l, 'k', h, s['kv'])
        v = np.repeat((h @ l.of('attn_v.weight').T).reshape(n, s['kv'], -1), s['heads'] // s['kv'], 1)
        scores = np.where(np.tri(n, dtype=bool), np.einsum('qhd,khd->hqk', q, k) / np.sqrt(s['hd']), -np.inf)
        added = np.einsum('hqk,khd->qhd', softmax(scores), v).reshape(n, -1) @ l.of('attn_output.weight').T
        x = x + (norm('attn_norm', added) if behind else added)
        h = x if behind else norm('ffn_norm', x)
        gate, up = (h @ l.of(f'ffn_{p}.weight').T for p in ('gate', 'up'))
        added = (silu(gate) * up) @ l.of('ffn_down.weight').T
        return x + (norm('ffn_norm', added) if behind else added)
    return decoder(s, values, tokens, layer)


def minimax_m3(s, values, tokens):
    x_, e, n = s['indexer'], s['experts'], len(tokens)
    clamped = lambda gate, up: np.minimum(gate, 7) / (1 + np.exp(-1.702 * np.minimum(gate, 7))) * (up.clip(-7, 7) + 1)

    def heads(l, h, part, norm):
        x = (h @ l.of(part + '.weight').T).reshape(n, -1, len(l.of(norm + '.weight')))
        return turn(rms_norm(x, l.of(norm + '.weight'), s['eps']), s, 1.0)

    def chosen(l, h):
        q, k = (heads(l, h, f'indexer.{p}_proj', f'indexer.{p}_norm') for p in 'qk')
        seen = np.zeros((s['kv'], n, n), bool)
        for head in range(s['kv']):
            for t in range(n):
                scores = k[:t + 1, 0] @ q[t, head]
                blocks = np.array([scores[i:i + x_['block']].max() for i in range(0, t + 1, x_['block'])])
                blocks[-x_['last']:] = np.inf
                best = np.argsort(-blocks, kind='stable')[:x_['top']]
                seen[head, t, :t + 1] = np.isin(np.arange(t + 1) // x_['block'], best)
        return np.repeat(seen, s['heads'] // s['kv'], 0)

    def part(l, h, i, kind):
        gate, up, down = (l.of(f'ffn_{p}{kind}.weight') for p in ('gate', 'up', 'down'))
        gate, up, down = (w if i is None else w[i] for w in (gate, up, down))
        return clamped(h @ gate.T, h @ up.T) @ down.T

    def layer(l, x, w):
        norm = lambda name, x: rms_norm(x, l.of(name + '.weight'), s['eps'])
        h = norm('attn_norm', x)
        q, k = (heads(l, h, f'attn_{p}', f'attn_{p}_norm') for p in 'qk')
        v = (h @ l.of('attn_v.weight').T).reshape(n, s['kv'], -1)
        k, v = (np.repeat(x, s['heads'] // s['kv'], 1) for x in (k, v))
        seen = np.tri(n, dtype=bool) if l.i < e['first'] else chosen(l, h)
        scores = np.where(seen, np.einsum('qhd,khd->hqk', q, k) / np.sqrt(s['hd']), -np.inf)
        x = x + np.einsum('hqk,khd->qhd', softmax(scores), v).reshape(n, -1) @ l.of('attn_output.weight').T
        h = norm('ffn_norm', x)
        if l.i < e['first']:
            return x + part(l, h, None, '')
        out = part(l, h, None, '_shexp')
        for t, scores in enumerate(h @ l.of('ffn_gate_inp.weight').T):
            scores = 1 / (1 + np.exp(-scores))
            best = np.argsort(-(scores + l.of('exp_probs_b.bias')))[:e['used']]
            for i in best:
                share = scores[i] / scores[best].sum() * s['keys']['expert_weights_scale']
                out[t] += share * part(l, h[t], i, '_exps')
        return x + out
    return decoder(s, values, tokens, layer)


def grove(s, values, tokens):
    keys = s['keys']

    def layer(l, x, w):
        norm = lambda name, x: rms_norm(x, l.of(name + '.weight'), s['eps'])
        x = x + l.grouped(norm('attn_norm', x), s['hd'] ** -0.5, normed=True)
        h, out = norm('ffn_norm', x), np.zeros_like(x)
        for t, scores in enumerate(h @ l.of('ffn_gate_inp.weight').T):
            chosen = np.argsort(-scores)[:s['experts']['used']]
            for i, weight in zip(chosen, softmax(scores[chosen])):
                small = l.expert(i // keys['experts_per_group'], h[t], silu, 'chexps')
                out[t] += weight * (l.expert(i, h[t], silu) + keys['expert_group_scale'] * small)
        return x + out
    return decoder(s, values, tokens, layer)


def plamo2(s, values, tokens):
    m, n = s['told'], len(tokens)
    width, state = m['heads'] * m['dim'], m['state']

    def attention(l, h):
        heads = (h @ l.of('attn_qkv.weight').T).reshape(n, -1, s['hd'])
        kv = s['kv'][l.i]
        q, k, v = np.split(heads, [s['heads'], s['heads'] + kv], 1)
        q, k = (turn(rms_norm(x, l.of(f'attn_{p}_norm.weight'), s['eps']), s, 1.0) for x, p in ((q, 'q'), (k, 'k')))
        k, v = (np.repeat(x, s['heads'] // kv, 1) for x in (k, v))
        scores = np.einsum('qhd,khd->hqk', q, k) / np.sqrt(s['hd'])
        scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
        return np.einsum('hqk,khd->qhd', softmax(scores), v).reshape(n, -1) @ l.of('attn_output.weight').T

    def space(l, h):
        both = (h @ l.of('ssm_in.weight').T).reshape(n, m['heads'], 2, m['dim'])
        z, v = both[:, :, 0], both[:, :, 1].reshape(n, width)
        taps = l.of('ssm_conv1d.weight')
        rows = np.concatenate([np.zeros((taps.shape[1] - 1, width)), v])
        v = silu(sum(rows[t:t + n] * taps[:, t] for t in range(taps.shape[1])))
        told = np.split(v @ l.of('ssm_x.weight').T, [state, 2 * state], -1)
        k, q, step = (rms_norm(x, l.of(f'ssm_{p}_norm'), s['eps']) for x, p in zip(told, ('b', 'c', 'dt')))
        step = np.log1p(np.exp(step @ l.of('ssm_dt.weight').T + l.of('ssm_dt.bias')))
        v, out, matrix = v.reshape(n, m['heads'], -1), np.zeros(z.shape), np.zeros((m['heads'], state, m['dim']))
        for t in range(n):
            matrix = matrix * np.exp(l.of('ssm_a') * step[t])[:, None, None]
            matrix += k[t][None, :, None] * (step[t][:, None] * v[t])[:, None]
            out[t] = np.einsum('s,hsd->hd', q[t], matrix) + l.of('ssm_d')[:, None] * v[t]
        return (silu(z) * out).reshape(n, -1) @ l.of('ssm_out.weight').T

    def layer(l, x, w):
        norm = lambda name, x: rms_norm(x, l.of(name), s['eps'])
        x = x + norm('post_attention_norm', (attention if s['kv'][l.i] else space)(l, norm('attn_norm.weight', x)))
        gate, up = np.split(norm('ffn_norm.weight', x) @ l.of('ffn_up.weight').T, 2, -1)
        return x + norm('post_ffw_norm', (silu(gate) * up) @ l.of('ffn_down.weight').T)
    return decoder(s, values, tokens, layer)


def rwkv7(s, values, tokens):
    head, first = s['rwkv']['head'], []
    logistic = lambda x: 1 / (1 + np.exp(-x))
    same = lambda x: x

    def layer(l, x, w):
        n, dim = x.shape
        normed = l.normed if s['layer_norm'] else lambda name, x: rms_norm(x, l.of(name + '.weight'), s['eps'])
        before = lambda h: np.vstack([np.zeros(dim), h[:-1]])
        of = lambda name: l.of(f'time_mix_{name}.weight')
        low = lambda part, x, inside: inside(x @ of(part + '1').T) @ of(part + '2').T
        heads = lambda x: x.reshape(n, -1, head)
        h = normed('attn_norm', x)
        xr, xw, xk, xv, xa, xg = ([h + (before(h) - h) * share for share in of('lerp_fused').reshape(-1, dim)] + [h])[:6]
        r, k, v = (y @ of(part).T for y, part in [(xr, 'receptance'), (xk, 'key'), (xv, 'value')])
        decay = heads(np.exp(-0.606531 * logistic(low('w', xw, np.tanh) + of('w0'))))
        if l.i == 0:
            first.append(v)
        else:
            v = v + (first[0] - v) * logistic(low('v', xv, same) + of('v0'))
        rate = logistic(low('a', xa, same) + of('a0'))
        at = heads(k * of('k_k'))
        at = at / np.maximum(np.sqrt((at * at).sum(-1, keepdims=True)), 1e-12)
        k = k + k * of('k_a') * (rate - 1)
        r, k, v, rate = map(heads, (r, k, v, rate))
        state, out = np.zeros((dim // head, head, head)), np.zeros_like(v)
        for t in range(n):
            back = np.einsum('hvk,hk->hv', state, -at[t])
            state = state * decay[t][:, None] + v[t][:, :, None] * k[t][:, None] + back[:, :, None] * (at[t] * rate[t])[:, None]
            out[t] = np.einsum('hvk,hk->hv', state, r[t])
        if not s['rwkv'].get('bare'):
            parts = [of('ln').reshape(-1, head), l.of('time_mix_ln.bias').reshape(-1, head)]
            out = layer_norm(out, *parts, 64e-5)
        out = (out + v * (r * k * of('r_k').reshape(-1, head)).sum(-1, keepdims=True)).reshape(n, dim)
        if s['rwkv']['ranks']['gate']:
            out = out * low('g', xg, logistic)
        x = x + out @ of('output').T
        h = normed(s['ff_before'], x)
        if s['rwkv'].get('channel'):
            h = h + (before(h) - h) * l.of('channel_mix_lerp_k.weight')
            return x + np.maximum(h @ l.of('channel_mix_key.weight').T, 0) ** 2 @ l.of('channel_mix_value.weight').T
        gate, up = (h @ l.of(f'ffn_{p}.weight').T for p in ('gate', 'up'))
        return x + (gate * logistic(gate) * up) @ l.of('ffn_down.weight').T
    return decoder(s, values, tokens, layer)
