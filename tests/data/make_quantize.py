#!/usr/bin/env python3
"""Write quantize.bin beside this script: what the quantizer's tests compare with.

usage: make_quantize.py      Needs: pip install gguf numpy (made with gguf 0.19 and numpy 2.4).

    number of blocks u32, then that many blocks of 32 f32          inputs, many of them awkward
    for F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: id u32, length u32, bytes    what gguf makes of them
    for Q2_K .. Q6_K: id u32, blocks u32, blocks, their weights as f32        what gguf reads from random blocks
"""
import os, warnings
import gguf, numpy as np
from gguf import GGMLQuantizationType as Q

warnings.filterwarnings('ignore')  # infinite inverses of tiny scales are among the inputs
rng = np.random.default_rng(7)
f = np.float32

def one(v, at=0, rest=0.0):
    b = np.full(32, rest, f); b[at] = v; return b

blocks = [np.zeros(32, f), np.full(32, 1.0, f), np.full(32, -0.75, f)]
blocks += [one(v, at) for v in (1.0, -1.0, 1e4, -3e-5) for at in (0, 15, 31)]           # a single weight
blocks += [one(100.0, 3, 1e-3), one(-100.0, 17, 1e-3), one(60000.0, 5, 0.5)]            # a single outlier
blocks += [one(v, 9, v / 2) for v in (1e-45, 1e-40, -1e-40, 3e-39, 5e-38, -2e-38, 1e-37)]  # denormals, and scales that are
blocks += [one(v, 9, v / 3) for v in (6e-8, 1e-7, 5e-7, -5e-7, 1e-6, 6e-5, 1e-4)]      # denormal as f16
blocks += [np.linspace(-m, m, 32).astype(f) for m in (1, 7, 8, 15, 16, 127)]
# Halves exactly between two integers, for each format's scale; with either sign of the peak.
for top in (8, 16, 127, 15, 31):
    for sign in (1, -1):
        b = ((np.arange(32) - 16) + 0.5).astype(f) * f(min(1.0, top / 32)); b[0] = sign * top; blocks.append(b)
blocks += [np.array([(-1) ** i * (i % 5) / 4 for i in range(32)], f)]                    # equal peaks of both signs
blocks += [np.arange(1, 33).astype(f) * f(s) for s in (1, -1, 0.01)]                     # one sign only
for s in (1.0, 0.02, 3e-3, 1e-6, 2000.0):
    blocks += list(rng.normal(0, s, (6, 32)).astype(f))
blocks += list(rng.standard_t(2, (6, 32)).astype(f))                                     # long tails
blocks += list((rng.integers(-64, 65, (6, 32)) / 64).astype(f))
x = np.stack(blocks)

here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, 'quantize.bin'), 'wb') as out:
    u32 = lambda *v: out.write(np.array(v, '<u4').tobytes())
    u32(len(x)); out.write(x.astype('<f4').tobytes())
    for q in (Q.F16, Q.BF16, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0):
        b = gguf.quants.quantize(x, q).tobytes()
        u32(q.value, len(b)); out.write(b)
    for q, scales in ((Q.Q2_K, (80, 82)), (Q.Q3_K, (108,)), (Q.Q4_K, (0, 2)), (Q.Q5_K, (0, 2)), (Q.Q6_K, (208,))):
        n = 3
        raw = rng.integers(0, 256, (n, gguf.GGML_QUANT_SIZES[q][1]), np.uint8)
        for at in scales:
            raw[:, at:at + 2] = rng.normal(0, 0.01, n).astype(np.float16).view(np.uint8).reshape(n, 2)
        u32(q.value, n); out.write(raw.tobytes())
        out.write(gguf.quants.dequantize(raw, q).astype('<f4').tobytes())
