#!/usr/bin/env python3
"""Make tiny models in weight formats without a shared fixture, and reference logits for them.

usage: make_format.py OUT_DIR        Needs: pip install gguf numpy llama-cpp-python

As make_arch.py, but all matrices of the only layer consist of random blocks of the format, whose scales give weights of a
sensible size. The reference is computed by llama.cpp in float32 on the weights that the PyPI package `gguf` reads from
them; `peer_nmse` is what llama.cpp's own kernels for the format score on the file.
"""
import pathlib, sys, tempfile
import numpy as np
import gguf
from gguf import GGMLQuantizationType, GGML_QUANT_SIZES, quants
import make_arch as A

NAMES = 'IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS NVFP4'.split()
DIM, HEADS, KV, HD, FF = 256, 4, 1, 64, 256


def set_scale(name, raw, scale):
    """Puts an f16 scale into every block."""
    if name == 'IQ1_M':
        # Four bits in the top of each of four words.
        words = raw[:, 48:].view('<u2')
        bits = scale.view('<u2')
        for i in range(4):
            words[:, i] = words[:, i] & 0x0FFF | (bits >> 4 * i & 15) << 12
    elif name == 'NVFP4':
        # Four unsigned 8-bit scales of their own.
        raw[:, :4] = raw[:, :4] & 7 | 0x08
    else:
        raw[:, :2] = scale.reshape(-1, 1).view(np.uint8)


def blocks(name, rows, cols, rms, rng):
    kind = GGMLQuantizationType[name]
    length, size = GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (rows * cols // length, size), dtype=np.uint8)
    n = len(raw)
    set_scale(name, raw, np.ones(n, np.float16))
    unit = np.sqrt((quants.dequantize(raw, kind) ** 2).mean())
    set_scale(name, raw, (rms / unit * rng.uniform(0.7, 1.3, n)).astype(np.float16))
    return raw.reshape(rows, -1), quants.dequantize(raw.reshape(rows, -1), kind)


def write(path, values, kind):
    w = gguf.GGUFWriter(str(path), 'llama')
    w.add_name('tiny random blocks')
    ints = {'context_length': 256, 'embedding_length': DIM, 'block_count': 1, 'feed_forward_length': FF,
            'attention.head_count': HEADS, 'attention.head_count_kv': KV, 'vocab_size': A.VOCAB,
            'rope.dimension_count': HD, 'attention.key_length': HD, 'attention.value_length': HD}
    for k, v in ints.items():
        w.add_uint32(f'llama.{k}', v)
    w.add_float32('llama.attention.layer_norm_rms_epsilon', 1e-5)
    w.add_tokenizer_model('none')
    for name, value in values:
        if isinstance(value, tuple):
            raw, full = value
            w.add_tensor(name, full) if kind is None else w.add_tensor(name, raw, raw_dtype=kind)
        else:
            w.add_tensor(name, value)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def main():
    out = pathlib.Path(sys.argv[1]); out.mkdir(exist_ok=True)
    keep = A.start()
    for seed, name in enumerate(NAMES):
        rng = np.random.default_rng(200 + seed)
        vec = lambda: (1 + 0.1 * rng.standard_normal(DIM)).astype(np.float32)
        mat = lambda rows, cols: blocks(name, rows, cols, 0.08, rng)
        values = [
            ('token_embd.weight', (rng.standard_normal((A.VOCAB, DIM)) * 0.1).astype(np.float16)),
            ('output_norm.weight', vec()), ('blk.0.attn_norm.weight', vec()), ('blk.0.ffn_norm.weight', vec()),
            ('blk.0.attn_q.weight', mat(HEADS * HD, DIM)), ('blk.0.attn_k.weight', mat(KV * HD, DIM)),
            ('blk.0.attn_v.weight', mat(KV * HD, DIM)), ('blk.0.attn_output.weight', mat(DIM, HEADS * HD)),
            ('blk.0.ffn_gate.weight', mat(FF, DIM)), ('blk.0.ffn_up.weight', mat(FF, DIM)),
            ('blk.0.ffn_down.weight', mat(DIM, FF)),
        ]
        tokens = [int(t) for t in rng.integers(0, A.VOCAB, A.TOKENS)]
        file = out / f'{name.lower()}.gguf'
        write(file, values, GGMLQuantizationType[name])
        with tempfile.TemporaryDirectory() as tmp:
            full = pathlib.Path(tmp) / 'f32.gguf'
            # The table of embeddings, which is the output projection too, in F32 with the same values.
            exact = [(n, v.astype(np.float32) if isinstance(v, np.ndarray) else v) for n, v in values]
            write(full, exact, None)
            ref = A.logits(full, tokens, 256)
        # All positions: rounding differs by chance, and more of it evens out.
        A.keep_logits(out, name.lower(), tokens, ref, A.logits(file, tokens, 256), every=1)


if __name__ == '__main__':
    main()
