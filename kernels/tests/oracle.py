#!/usr/bin/env python3
"""Writes tests/data/FORMAT.bin: blocks of each block format and the weights that the PyPI package `gguf` reads from them.

An oracle that shares no code with Hewn. Needs `pip install gguf==0.19.0`. A file is BLOCKS blocks, then their weights
as little-endian f32.
"""

import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

BLOCKS = 4
FORMATS = (
    "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 NVFP4 TQ1_0 TQ2_0 "
    "IQ3_S IQ3_XXS IQ2_S IQ2_XS IQ2_XXS IQ1_S IQ1_M"
).split()

# Where the half-precision scales of a block lie; random bits there would often be no numbers.
HALFS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64],
    "IQ3_S": [0], "IQ3_XXS": [0], "IQ2_S": [0], "IQ2_XS": [0], "IQ2_XXS": [0], "IQ1_S": [0],
}


def blocks(name: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Random blocks with scales of either sign, the first of them with the smallest positive one."""
    raw = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for at in HALFS.get(name, []):
        scale = (rng.uniform(-1, 1, BLOCKS) * 2.0 ** rng.integers(-10, 3, BLOCKS)).astype(np.float16)
        scale[0] = np.float16(2.0**-24)
        raw[:, at : at + 2] = scale.reshape(-1, 1).view(np.uint8)
    if name == "IQ1_M":
        # The scale's top four bits: never the exponent of infinities and NaNs.
        raw[:, 55] = raw[:, 55] & 0x0F | np.array([0x00, 0x20, 0xA0, 0x60], np.uint8)
    if name == "MXFP4":
        raw[:, 0] = [0, 1, 2, 130]
    if name == "NVFP4":
        raw[0, :4] = [0, 1, 0x7F, 0x7E]
        raw[:, :4] &= 0x7F
    return raw


def main() -> None:
    out = pathlib.Path(__file__).parent / "data"
    out.mkdir(exist_ok=True)
    for i, name in enumerate(FORMATS):
        kind = GGMLQuantizationType[name]
        raw = blocks(name, GGML_QUANT_SIZES[kind][1], np.random.default_rng(i))
        weights = quants.dequantize(raw, kind).astype("<f4")
        assert np.isfinite(weights).all(), name
        (out / f"{name}.bin").write_bytes(raw.tobytes() + weights.tobytes())


if __name__ == "__main__":
    main()
