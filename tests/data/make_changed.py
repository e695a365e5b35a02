#!/usr/bin/env python3
"""Make adapters for models of make_arch.py, and reference logits of models that adapters or options change.

usage: make_changed.py OUT_DIR [NAME ...]        Needs: pip install gguf numpy llama-cpp-python

Writes the adapters (F32), and NAME.json and NAME.f32 as make_arch.py does; the models are those of the folder `arch`. What
changes one is in the .json file: the adapters with their scales.
"""
import json, pathlib, sys, tempfile
import numpy as np
import gguf
from arch_specs import BASE, SPECS
from arch_weights import VOCAB, tensors, write
from make_arch import keep_logits, logits, start

# Names of matrices that have none in these adapters: of layers that nothing computes.
LEFT_OUT = ('blk.3.',)

ADAPTERS = {
    'seed_oss-a': dict(of='seed_oss', seed=1, rank=3, alpha=7.0),
    # Without an alpha, of some matrices, and as wide as heads.
    'seed_oss-b': dict(of='seed_oss', seed=2, rank=8, alpha=None, only=('attn_q', 'ffn_down', 'output.weight', 'token_embd')),
    # All of a mixture of experts; queries, keys and values are one matrix.
    'bailingmoe2-a': dict(of='bailingmoe2', seed=3, rank=4, alpha=6.0),
}

CHANGED = {
    'seed_oss': dict(of='seed_oss', adapters=[['seed_oss-a', 0.75]]),
    'seed_oss-two': dict(of='seed_oss', adapters=[['seed_oss-a', 1.0], ['seed_oss-b', -0.5]]),
    'bailingmoe2': dict(of='bailingmoe2', adapters=[['bailingmoe2-a', 1.0]]),
    'rope-yarn': dict(of='seed_oss', rope=dict(scaling='yarn', scale=4.0, yarn_orig_ctx=32)),
    'rope-yarn-mixed': dict(of='internlm2', rope=dict(scaling='yarn', scale=3.0, freq_base=5000.0, yarn_orig_ctx=24,
                                                      yarn_ext_factor=0.5, yarn_beta_fast=16.0, yarn_beta_slow=0.5)),
    'rope-yarn-alike': dict(of='bailingmoe2', rope=dict(scaling='yarn', scale=2.0, yarn_ext_factor=0.0, yarn_attn_factor=1.25)),
    'rope-linear': dict(of='olmo2', rope=dict(scale=3.0)),
    # The file says YaRN.
    'rope-none': dict(of='llama-yarn', rope=dict(scaling='none', freq_base=300.0)),
    'rope-rescaled': dict(of='llama-yarn', rope=dict(scale=6.0)),
    # Layers with a window stay as they are.
    'rope-windows': dict(of='olmo3', rope=dict(scale=2.0, yarn_orig_ctx=30)),
}

SCALINGS = {'none': 0, 'linear': 1, 'yarn': 2}


def context(rope):
    """The parameters of the peer's context that say the same."""
    names = {'freq_base': 'rope_freq_base'}
    params = {names.get(name, name): value for name, value in rope.items() if name not in ('scaling', 'scale')}
    if 'scaling' in rope:
        params['rope_scaling_type'] = SCALINGS[rope['scaling']]
    if 'scale' in rope:
        params['rope_freq_scale'] = 1 / rope['scale']
    return params


def model(name):
    """What a model was made of: its description, its values and random tokens."""
    s = {**BASE, **SPECS[name]}
    rng = np.random.default_rng(100 + s.get('seed', list(SPECS).index(name)))
    values = tensors(s, rng)
    return s, values, [int(t) for t in rng.integers(0, VOCAB, s['tokens'])]


def make_adapter(path, a):
    s, values, _ = model(a['of'])
    rng = np.random.default_rng(a['seed'])
    w = gguf.GGUFWriter(str(path), s['arch'])
    w.add_type('adapter')
    w.add_string('adapter.type', 'lora')
    if a['alpha'] is not None:
        w.add_float32('adapter.lora.alpha', a['alpha'])
    rank = a['rank']
    for name, value in values:
        if value.ndim < 2 or name.startswith(LEFT_OUT) or not any(part in name for part in a.get('only', ('',))):
            continue
        *count, rows, cols = value.shape
        # A token's row of the first is looked up.
        first = (VOCAB, rank) if name == 'token_embd.weight' else (*count, rank, cols)
        second = (cols, rank) if name == 'token_embd.weight' else (*count, rows, rank)
        for part, shape in (('lora_a', first), ('lora_b', second)):
            w.add_tensor(f'{name}.{part}', (rng.standard_normal(shape) * 0.15).astype(np.float32))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(exist_ok=True)
    keep = start()
    wanted = lambda name: len(sys.argv) == 2 or name in sys.argv[2:]
    for name, a in ADAPTERS.items():
        if wanted(name):
            make_adapter(out / f'{name}.gguf', a)
    for name, change in CHANGED.items():
        if not wanted(name):
            continue
        s, values, tokens = model(change['of'])
        adapters = [(out / f'{a}.gguf', scale) for a, scale in change.get('adapters', [])]
        with tempfile.TemporaryDirectory() as tmp:
            path = pathlib.Path(tmp) / 'f32.gguf'
            write(path, s, values, False)
            plain = logits(path, tokens, s['ctx'], s['start'], s['flash'])
            ref = logits(path, tokens, s['ctx'], s['start'], s['flash'], adapters, context(change.get('rope', {})))
        # How far the change moves it stands where the peer's error is elsewhere.
        keep_logits(out, name, tokens, ref, plain, model=f"../arch/{change['of']}.gguf", more=change)


if __name__ == '__main__':
    main()
