#!/usr/bin/env python3
"""Make tiny random-weight models that give vectors of texts, and reference rows and vectors for them.

usage: make_embed.py OUT_DIR [NAME ...]        Needs: pip install gguf numpy llama-cpp-python

Writes NAME.gguf (matrices in F16), NAME.json (texts as tokens, pooling, width, and how far llama.cpp's rows are) and NAME.f32: the rows
of all texts behind each other, `[tokens, dim]`, then the vector of each text before it is normed, `[texts, width]`. They come from
embed_exact.py; llama.cpp computes the same in float32, but for what is said there. The files have no vocabulary. embed_specs.py lists
the models.
"""
import json, pathlib, sys, tempfile
import gguf
import numpy as np
import llama_cpp as L
from embed_exact import Encoder
from embed_specs import BASE, SPECS
from make_arch import start

VOCAB = 96


def tensors(s, rng):
    """Names and values; matrices rounded to F16."""
    out = []
    D, H, K, F = s['dim'], s['heads'] * s['hd'], s['kv'] * s['hd'], s['ff']

    def mat(name, *shape, std=0.15):
        out.append((name + '.weight', (rng.standard_normal(shape) * std).astype(np.float16).astype(np.float32)))

    def vec(name, *shape, base=0.0, std=0.1):
        out.append((name, (base + rng.standard_normal(shape) * std).astype(np.float32)))

    def norm(name, n=D):
        vec(name + '.weight', n, base=1.0)
        if s['norm_bias'] and not s['rms']:
            vec(name + '.bias', n)

    def linear(name, rows, cols, std=0.3, bias=True):
        mat(name, rows, cols, std=std)
        if bias:
            vec(name + '.bias', rows)

    mat('token_embd', VOCAB, D, std=0.5)
    if s['kinds']:
        mat('token_types', s['kinds'], D, std=0.5)
    if s['positions']:
        mat('position_embd', s['ctx'], D, std=0.5)
    if s['embed_norm']:
        norm('token_embd_norm')
    if s['out_norm']:
        norm(s['out_norm'])
    biased, qkv_biased = s['biases'] is True, bool(s['biases'])
    for i in range(s['layers']):
        p = f'blk.{i}.'
        names = {'post': ['attn_output_norm', 'layer_output_norm'], 'pre': ['attn_norm', 'ffn_norm'],
                 'around': ['attn_norm', 'post_attention_norm', 'ffn_norm', 'post_ffw_norm']}[s['norms']]
        for name in names + (['attn_norm_2'] if s.get('again') else []):
            if not (s['first_unnormed'] and i == 0 and name == 'attn_norm'):
                norm(p + name)
        for name, rows in [('qkv', H + 2 * K)] if s['fused_qkv'] else [('q', H), ('k', K), ('v', K)]:
            linear(p + f'attn_{name}', rows, D, bias=qkv_biased)
        linear(p + 'attn_output', D, H, bias=biased)
        if s['head_norm']:
            for c, n in ('q', H), ('k', K):
                vec(p + f'attn_{c}_norm.weight', s['hd'] if s['head_norm'] == 'each' else n, base=1.0)
                if s['head_norm'] == 'whole':
                    vec(p + f'attn_{c}_norm.bias', n)
        e = s['experts']
        if e and i % e['every'] == 1:
            vec(p + 'ffn_gate_inp.weight', e['n'], D, std=0.5)
            mat(p + 'ffn_up_exps', e['n'], F, D, std=0.3); mat(p + 'ffn_down_exps', e['n'], D, F, std=0.5)
            continue
        linear(p + 'ffn_up', F * (2 if s['gate'] == 'fused' else 1), D, bias=biased and not s['gate'])
        if s['gate'] == 'split':
            linear(p + 'ffn_gate', F, D, bias=False)
        linear(p + 'ffn_down', D, F, bias=biased)
    width = D
    for i, rows in enumerate(s['dense']):
        linear(f'dense_{i + 2}', rows, width, bias=False)
        width = rows
    if s['inner']:
        linear('cls', D, D, bias=s['inner'] == 'tanh')
        if s['inner'] == 'gelu':
            norm('cls.norm')
    if s['labels']:
        linear('cls.output', s['labels'], D, bias=not s['causal'])
    return out


def write(path, s, values, half):
    w = gguf.GGUFWriter(str(path), s['arch'])
    a = s['arch']
    w.add_name('tiny random weights')
    ints = {'context_length': s['ctx'], 'embedding_length': s['dim'], 'block_count': s['layers'], 'feed_forward_length': s['ff'],
            'attention.head_count': s['heads'], 'attention.head_count_kv': s['kv'], 'vocab_size': VOCAB,
            'attention.key_length': s['hd'], 'attention.value_length': s['hd'], 'pooling_type': s['pooling']}
    if s['window']:
        ints['attention.sliding_window'] = s['window']
    if s['experts']:
        ints.update({'expert_count': s['experts']['n'], 'expert_used_count': s['experts']['used'],
                     'moe_every_n_layers': s['experts']['every']})
    for i, (rows, width) in enumerate(zip(s['dense'], [s['dim'], *s['dense']])):
        ints.update({f'dense_{i + 2}_feat_in': width, f'dense_{i + 2}_feat_out': rows})
    for k, v in ints.items():
        w.add_uint32(f'{a}.{k}', v)
    w.add_float32(f'{a}.attention.layer_norm_{"rms_" if s["rms"] else ""}epsilon', s['eps'])
    if s['turn']:
        w.add_float32(f'{a}.rope.freq_base', s['theta'])
        if s['local_theta']:
            w.add_float32(f'{a}.rope.freq_base_swa', s['local_theta'])
    if not s['causal'] and 'attention.causal' not in s['keys']:
        w.add_bool(f'{a}.attention.causal', False)
    for k, v in s['keys'].items():
        {bool: w.add_bool, int: w.add_uint32, str: w.add_string}[type(v)](f'{a}.{k}', v)
    if s['labels'] > 1:
        w.add_array(f'{a}.classifier.output_labels', ['yes', 'no'][:s['labels']])
    w.add_tokenizer_model('none')
    if s['kinds']:
        w.add_uint32('tokenizer.ggml.token_type_count', s['kinds'])
    for name, x in values:
        matrix = x.ndim > 1 and 'ffn_gate_inp' not in name and 'token_types' not in name
        w.add_tensor(name, x.astype(np.float16) if half and matrix else x)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def peer(path, s, texts, pooling):
    """Of each text what llama.cpp gives: its rows without pooling, otherwise its vector."""
    model = L.llama_model_load_from_file(str(path).encode(), L.llama_model_default_params())
    assert model, f'cannot load {path}'
    cp = L.llama_context_default_params()
    cp.n_ctx, cp.n_batch, cp.n_ubatch, cp.n_threads, cp.n_threads_batch = s['ctx'], 512, 512, 1, 1
    cp.embeddings, cp.pooling_type, cp.flash_attn_type = True, pooling, 0
    cp.type_k = cp.type_v = 0
    c, out = L.llama_init_from_model(model, cp), []
    width = {0: s['dim'], 4: s['labels']}.get(pooling, [s['dim'], *s['dense']][-1])
    for tokens in texts:
        n = len(tokens)
        b = L.llama_batch_init(n, 0, 1)
        b.n_tokens = n
        for i, t in enumerate(tokens):
            b.token[i] = t; b.pos[i] = i; b.n_seq_id[i] = 1; b.seq_id[i][0] = 0; b.logits[i] = 1
        L.llama_memory_clear(L.llama_get_memory(c), True) if L.llama_get_memory(c) else None
        assert L.llama_decode(c, b) == 0
        if pooling:
            out.append(np.ctypeslib.as_array(L.llama_get_embeddings_seq(c, 0), (width,)).copy())
        else:
            out.append(np.stack([np.ctypeslib.as_array(L.llama_get_embeddings_ith(c, i), (width,)).copy() for i in range(n)]))
        L.llama_batch_free(b)
    L.llama_free(c); L.llama_model_free(model)
    return out


def nmse(x, r):
    x, r = np.concatenate([v.ravel() for v in x]).astype(np.float64), np.concatenate([v.ravel() for v in r])
    return float(((x - r) ** 2).sum() / ((r - r.mean()) ** 2).sum())


def main():
    out = pathlib.Path(sys.argv[1]); out.mkdir(exist_ok=True)
    keep = start()
    for name, spec in SPECS.items():
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        s = {**BASE, **spec}
        s['kv'] = s['kv'] or s['heads']
        rng = np.random.default_rng(s['seed'])
        values = tensors(s, rng)
        texts = [[int(t) for t in rng.integers(0, VOCAB, n)] for n in s['texts']]
        write(out / f'{name}.gguf', s, values, True)
        encoder = Encoder(s, values)
        rows = [encoder.rows(t) for t in texts]
        vectors = [encoder.vector(r) for r in rows]
        with tempfile.TemporaryDirectory() as tmp:
            path = pathlib.Path(tmp) / 'f32.gguf'
            write(path, s, values, False)
            given = peer(path, s, texts, 0) if not s['dense'] else None
            pooled = peer(path, s, texts, s['pooling'])
        far = [nmse(given, rows) if given else 0.0, nmse(pooled, vectors)]
        second = encoder.vector(encoder.rows(texts[0], s['second'])) if s['second'] else []
        all_values = np.concatenate([*(r.ravel() for r in rows), *(np.ravel(v) for v in vectors), np.ravel(second)])
        all_values.astype('<f4').tofile(out / f'{name}.f32')
        facts = dict(model=f'{name}.gguf', texts=texts, width=len(vectors[0]), pooling=s['pooling'], second=s['second'], peer_nmse=far)
        (out / f'{name}.json').write_text(json.dumps(facts) + '\n')
        print(f'{name}: {(out / f"{name}.gguf").stat().st_size} bytes, std {np.concatenate(rows).std():.3f}, peer {far}')


if __name__ == '__main__':
    main()
