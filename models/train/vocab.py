"""The vocabulary: every byte a token, and a few markers.

Bytes are spelled in GPT-2's printable byte alphabet, as `tokenizer.ggml.model = gpt2` asks for. Digits and letters are
single tokens, which is what sums and letter games need.
"""

from __future__ import annotations


def byte_alphabet() -> list[str]:
    """The printable character that stands for each byte, in byte order (GPT-2's table)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table, spare = [], 0
    for byte in range(256):
        if byte in plain:
            table.append(chr(byte))
        else:
            table.append(chr(256 + spare))
            spare += 1
    return table


SPECIALS = ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<think>", "</think>"]
ENDOFTEXT, SYSTEM, USER, ASSISTANT, END, THINK, UNTHINK = range(256, 256 + len(SPECIALS))

# Readers of the format want a merge list. This one pair (bytes 0 and 1) never occurs in text.
MERGED = byte_alphabet()[0] + byte_alphabet()[1]
MERGES = [" ".join(MERGED)]

SIZE = 288  # padded to a multiple of 32


def tokens() -> list[str]:
    """All tokens in the order of their ids."""
    known = byte_alphabet() + SPECIALS + [MERGED]
    return known + [f"<|unused_{i}|>" for i in range(SIZE - len(known))]


def encode(text: str) -> list[int]:
    """Token ids of a text without markers."""
    return list(text.encode())


def prompt_ids(turns: list[tuple[str, str]], question: str, system: str | None = None) -> list[int]:
    """Token ids up to where the model thinks: what the chat template renders.

    `turns` are earlier questions and answers; their thinking is left out, as the template does.
    """
    ids: list[int] = []
    if system is not None:
        ids += [SYSTEM, *encode(system), END]
    for asked, answer in turns:
        ids += [USER, *encode(asked), END, ASSISTANT, *encode(answer), END]
    return [*ids, USER, *encode(question), END, ASSISTANT, THINK, *encode("\n")]


def reply_ids(think: str, answer: str) -> list[int]:
    """Token ids of what the model writes."""
    return [*encode(think), *encode("\n"), UNTHINK, *encode("\n\n"), *encode(answer), END]


def decode(ids: list[int]) -> str:
    """Text of token ids, markers spelled out."""
    out = bytearray()
    for i in ids:
        out += bytes([i]) if i < 256 else tokens()[i].encode()
    return out.decode(errors="replace")


CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- set content = message['content'] -%}"
    "{%- if message['role'] == 'assistant' and '</think>' in content -%}"
    "{%- set content = content.split('</think>')[-1] -%}"
    "{%- endif -%}"
    "{{- '<|' + message['role'] + '|>' + content.strip() + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|><think>\\n' -}}{%- endif -%}"
)
