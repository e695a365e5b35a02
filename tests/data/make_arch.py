#!/usr/bin/env python3
"""Make tiny random-weight models of architectures without a shared fixture, and reference logits for them.

usage: make_arch.py OUT_DIR [NAME ...]        Needs: pip install gguf numpy llama-cpp-python

Writes NAME.gguf (matrices in F16), NAME.json and NAME.f32 in the format of the shared fixtures. The reference is computed by
llama.cpp in float32, with an f32 cache, on a copy of the file whose matrices are F32 with the same values: so an engine that
computes F16 weights in float32 agrees but for the order of its sums. Where llama.cpp computes otherwise than the authors, or
cannot run the model (`unrun`), the reference comes from exact.py. The files have no vocabulary. arch_specs.py lists the models.
"""
import ctypes, json, math, pathlib, sys, tempfile
import numpy as np
import llama_cpp as L
from arch_specs import BASE, SPECS
from arch_weights import VOCAB, tensors, write

TOKENS = 80


def as_reference(s, values):
    """The same model in the sizes that the reference takes for granted.

    Inputs of layers are repeated, which changes no mean square; the root of their number, by which the reference multiplies
    a token's row, is taken out again, exactly. The inside of the low-rank part is filled up with zeros.
    """
    if not s['rank']:
        return s, values
    inputs, times, layers = s['inputs'], 256 // s['inputs'], s['layers']
    by_layer = lambda x: np.repeat(x.reshape(layers, inputs, -1)[:, None], times, 1).reshape(layers * 256, -1)
    wider = {
        'per_layer_token_embd.weight': lambda x: by_layer(x.T).T / np.float32(math.sqrt(times)),
        'per_layer_model_proj.weight': by_layer,
        'per_layer_proj_norm.weight': lambda x: np.tile(x, times),
        'inp_gate.weight': lambda x: np.tile(x, (times, 1)),
        'proj.weight': lambda x: np.tile(x, (1, times)) / np.float32(times),
        'laurel_l.weight': lambda x: np.pad(x, ((0, 64 - s['rank']), (0, 0))),
        'laurel_r.weight': lambda x: np.pad(x, ((0, 0), (0, 64 - s['rank']))),
    }
    key = lambda name: name.split('.', 2)[2] if name.startswith('blk.') else name
    return {**s, 'inputs': 256}, [(name, np.ascontiguousarray(wider.get(key(name), lambda x: x)(x))) for name, x in values]


def logits(path, tokens, ctx, start=0, flash=False, adapters=(), params=None):
    """Logits of every token by llama.cpp, `[tokens, vocab]`; the first is at position `start`. `adapters` are paths and scales,
    `params` more parameters of the context."""
    model = L.llama_model_load_from_file(str(path).encode(), L.llama_model_default_params())
    assert model, f'cannot load {path}'
    cp = L.llama_context_default_params()
    cp.n_ctx, cp.n_batch, cp.n_ubatch, cp.n_threads, cp.n_threads_batch = ctx, 512, 512, 1, 1
    cp.flash_attn_type = int(flash)
    cp.type_k = cp.type_v = 0
    cp.swa_full = True
    for name, value in (params or {}).items():
        setattr(cp, name, value)
    c = L.llama_init_from_model(model, cp)
    if adapters:
        loaded = [L.llama_adapter_lora_init(model, str(path).encode()) for path, _ in adapters]
        assert all(loaded), f'an adapter of {path}'
        n, scales = len(loaded), [scale for _, scale in adapters]
        assert L.llama_set_adapters_lora(c, (L.llama_adapter_lora_p_ctypes * n)(*loaded), n, (ctypes.c_float * n)(*scales)) == 0
    n = len(tokens)
    b = L.llama_batch_init(n, 0, 1)
    b.n_tokens = n
    for i, t in enumerate(tokens):
        b.token[i] = t; b.pos[i] = start + i; b.n_seq_id[i] = 1; b.seq_id[i][0] = 0; b.logits[i] = 1
    assert L.llama_decode(c, b) == 0
    rows = [np.ctypeslib.as_array(L.llama_get_logits_ith(c, i), (VOCAB,)).copy() for i in range(n)]
    L.llama_batch_free(b); L.llama_free(c); L.llama_model_free(model)
    return np.stack(rows).astype(np.float64)


def start():
    """Makes llama.cpp ready; what it returns must stay alive."""
    L.llama_backend_init()
    keep = L.llama_log_callback(lambda level, text, data: sys.stderr.write(text.decode()) if level == 4 else None)
    L.llama_log_set(keep, ctypes.c_void_p(0))
    return keep


def keep_logits(out, name, tokens, ref, peer, every=None, model=None, more=None):
    """Writes the logits of some positions, and how far the peer is from them."""
    n = len(tokens)
    positions = sorted({*range(0, n, every or n // 10), n - 1})
    r, p = ref[positions], peer[positions]
    nmse = float(((p - r) ** 2).sum() / ((r - r.mean()) ** 2).sum())
    top1 = float((p.argmax(1) == r.argmax(1)).mean())
    r.astype('<f4').tofile(out / f'{name}.f32')
    model = model or f'{name}.gguf'
    (out / f'{name}.json').write_text(json.dumps(dict(model=model, tokens=tokens, positions=positions, vocab=VOCAB,
                                                      peer_nmse=nmse, peer_top1=top1, **(more or {}))) + '\n')
    print(f'{name}: {(out / model).stat().st_size} bytes, std {r.std():.3f}, peer nmse {nmse:.2e}')


def main():
    out = pathlib.Path(sys.argv[1]); out.mkdir(exist_ok=True)
    keep = start()
    for seed, (name, spec) in enumerate(SPECS.items()):
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        s = {**BASE, **spec}
        rng = np.random.default_rng(100 + s.get('seed', seed))
        values = tensors(s, rng)
        tokens = [int(t) for t in rng.integers(0, VOCAB, s['tokens'])]
        write(out / f'{name}.gguf', s, values, True)
        if s['unrun']:
            ref = s['exact'](s, values, tokens)
            keep_logits(out, name, tokens, ref, ref)
            continue
        with tempfile.TemporaryDirectory() as tmp:
            made = [pathlib.Path(tmp) / f'{kind}.gguf' for kind in ('f32', 'f16')]
            for path, half in zip(made, (False, True)):
                write(path, *as_reference(s, values), half)
            ref, peer = (logits(path, tokens, s['ctx'], s['start'], s['flash']) for path in made)
        if s['exact']:
            ref = s['exact'](s, values, tokens)
        keep_logits(out, name, tokens, ref, peer)


if __name__ == '__main__':
    main()
