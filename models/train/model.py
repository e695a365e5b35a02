"""The model: Qwen2's decoder, small."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import vocab


@dataclass(frozen=True)
class Shape:
    """Sizes. Rows are multiples of 256, so that every block format applies."""

    hidden: int = 256
    layers: int = 4
    feed_forward: int = 768
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 64
    vocab: int = vocab.SIZE
    context: int = 1024
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-6


class Layer(nn.Module):
    """Attention and feed-forward, each behind a norm and added to its input."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        wide = (shape.heads + 2 * shape.kv_heads) * shape.head_size
        self.attn_norm = nn.RMSNorm(shape.hidden, eps=shape.norm_epsilon)
        self.qkv = nn.Linear(shape.hidden, wide)
        self.out = nn.Linear(shape.heads * shape.head_size, shape.hidden, bias=False)
        self.ffn_norm = nn.RMSNorm(shape.hidden, eps=shape.norm_epsilon)
        self.gate_up = nn.Linear(shape.hidden, 2 * shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, past: list[Tensor] | None = None) -> Tensor:
        """`x`: [rows, positions, hidden]; `past` holds keys and values of earlier positions and takes the new ones."""
        s = self.shape
        rows, length, _ = x.shape
        parts = [s.heads * s.head_size, s.kv_heads * s.head_size, s.kv_heads * s.head_size]
        q, k, v = (
            t.view(rows, length, -1, s.head_size).transpose(1, 2)
            for t in self.qkv(self.attn_norm(x)).split(parts, -1)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        causal = True
        if past is not None:
            if past:
                k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
                causal = False  # one new position, which sees everything
            past[:] = [k, v]
        group = s.heads // s.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        x = x + self.out(y.transpose(1, 2).reshape(rows, length, -1))
        gate, up = self.gate_up(self.ffn_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding over halves of a head. `cos`, `sin`: [positions, head_size / 2]."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


class Model(nn.Module):
    """Token ids to logits."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape = shape or Shape()
        self.embed = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.norm_epsilon)
        self.head = nn.Linear(shape.hidden, shape.vocab, bias=False)
        half = shape.head_size // 2
        angle = torch.arange(shape.context)[:, None] * shape.rope_base ** (-torch.arange(half) / half)[None]
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        self.reset()

    def reset(self) -> None:
        """Fresh weights: small normal, and nothing from a layer at first."""
        for name, p in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                nn.init.normal_(p, std=0.02 / (2 * self.shape.layers) ** 0.5)
            elif p.dim() == 2:
                nn.init.normal_(p, std=0.02 if "head" in name or "embed" in name else self.shape.hidden**-0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, ids: Tensor, past: list[list[Tensor]] | None = None) -> Tensor:
        """`ids`: [rows, positions] to logits [rows, positions, vocab]; with `past`, ids follow what it holds."""
        start = past[0][0].shape[2] if past and past[0] else 0
        x = self.embed(ids)
        span = slice(start, start + ids.shape[1])
        cos, sin = self.cos[span].to(x.dtype), self.sin[span].to(x.dtype)
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, past[i] if past is not None else None)
        return self.head(self.norm(x))

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy where `targets` is not negative."""
        logits = self(ids).flatten(0, 1).float()
        return F.cross_entropy(logits, targets.flatten(), ignore_index=-1, reduction="sum")
