"""Writes a checkpoint as a GGUF file.

    python export.py runs/tiny/last.pt tiny-f32.gguf --type F32
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch

import vocab
from model import Model, Shape

TYPES = {"F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16}


def load(path: Path) -> Model:
    """The model of a checkpoint."""
    state = torch.load(path, weights_only=True)
    model = Model(Shape(**state["shape"]))
    model.load_state_dict(state["model"])
    return model.eval()


def tensors(model: Model) -> dict[str, np.ndarray]:
    """GGUF names and values; fused matrices are taken apart."""
    s = model.shape
    q, kv = s.heads * s.head_size, s.kv_heads * s.head_size
    out = {
        "token_embd.weight": model.embed.weight,
        "output_norm.weight": model.norm.weight,
        "output.weight": model.head.weight,
    }
    for i, layer in enumerate(model.layers):
        parts = {"attn_norm.weight": layer.attn_norm.weight, "ffn_norm.weight": layer.ffn_norm.weight}
        for kind in ("weight", "bias"):
            split = getattr(layer.qkv, kind).split([q, kv, kv])
            parts |= {f"attn_{n}.{kind}": t for n, t in zip("qkv", split, strict=True)}
        parts["attn_output.weight"] = layer.out.weight
        parts["ffn_gate.weight"], parts["ffn_up.weight"] = layer.gate_up.weight.chunk(2)
        parts["ffn_down.weight"] = layer.down.weight
        out |= {f"blk.{i}.{name}": t for name, t in parts.items()}
    return {n: np.ascontiguousarray(t.detach().float().numpy()) for n, t in out.items()}


def write(model: Model, path: Path, kind: str) -> None:
    """Writes the file; matrices in `kind`, vectors in F32."""
    s = model.shape
    w = gguf.GGUFWriter(path, "qwen2")
    w.add_type(gguf.GGUFType.MODEL)
    w.add_name("Hewn Tiny")
    w.add_author("The Hewn authors")
    w.add_license("MIT")
    w.add_description("Small sums and letter games, worked out step by step. Trained on made-up questions.")
    w.add_size_label(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M")
    w.add_file_type(TYPES[kind])
    w.add_context_length(s.context)
    w.add_embedding_length(s.hidden)
    w.add_block_count(s.layers)
    w.add_feed_forward_length(s.feed_forward)
    w.add_head_count(s.heads)
    w.add_head_count_kv(s.kv_heads)
    w.add_key_length(s.head_size)
    w.add_value_length(s.head_size)
    w.add_layer_norm_rms_eps(s.norm_epsilon)
    w.add_rope_freq_base(s.rope_base)
    w.add_vocab_size(s.vocab)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(vocab.tokens())
    known = 256 + len(vocab.SPECIALS)
    types = [gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * len(vocab.SPECIALS)
    types += [gguf.TokenType.NORMAL] + [gguf.TokenType.UNUSED] * (s.vocab - known - 1)
    for marker in (vocab.THINK, vocab.UNTHINK):  # these are shown as text, so that a reader can part the thinking
        types[marker] = gguf.TokenType.USER_DEFINED
    w.add_token_types(types)
    w.add_token_merges(vocab.MERGES)
    w.add_eos_token_id(vocab.END)
    w.add_pad_token_id(vocab.ENDOFTEXT)
    w.add_add_bos_token(False)
    w.add_chat_template(vocab.CHAT_TEMPLATE)
    for name, t in tensors(model).items():
        w.add_tensor(name, t.astype(np.float16) if kind == "F16" and t.ndim == 2 else t)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("output", type=Path)
    p.add_argument("--type", choices=TYPES, default="F32")
    args = p.parse_args()
    write(load(args.checkpoint), args.output, args.type)


if __name__ == "__main__":
    main()
