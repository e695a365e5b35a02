"""Training rows: conversations as token ids with targets, in batches of few fixed shapes."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

import vocab
from tasks import TASKS, draw

LENGTHS = [48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512]
SYSTEMS = [
    "You are a helpful assistant.", "You are a helper for sums.", "Answer briefly.", "Be kind and exact.",
    "You are Hewn's little model.", "Think step by step.", "You are a friendly assistant.",
]


@dataclass
class Row:
    """Token ids of one conversation; what comes from `start` on is to be learned."""

    ids: list[int]
    start: int


@dataclass
class Batch:
    """Rows of one length. `ids`, `targets`: [rows, length]; a target of -1 is not learned."""

    ids: np.ndarray
    targets: np.ndarray

    @property
    def learned(self) -> int:
        """How many targets there are."""
        return int((self.targets >= 0).sum())


def conversation(rng: Random, names: list[str], weights: list[float], level: float) -> Row:
    """A row: mostly one question, at times with earlier turns or a system message before it."""
    example = draw(rng.choices(names, weights)[0], rng, level, test=False)
    turns = []
    if rng.random() < 0.1:
        for _ in range(rng.randint(1, 2)):
            before = draw(rng.choice(names), rng, level, test=False)
            turns.append((before.prompt, before.answer))
    system = rng.choice(SYSTEMS) if rng.random() < 0.03 else None
    prompt = vocab.prompt_ids(turns, example.prompt, system)
    return Row(prompt + vocab.reply_ids(example.think, example.answer), len(prompt))


def batches(seed: int, pool: int, rows: int, size: int, weights: dict[str, float], level: float) -> list[Batch]:
    """The batches of one pool of `rows` conversations, shuffled; each has about `size` tokens.

    The same arguments always give the same batches. Rows that fill no batch of their length move to the next length.
    """
    rng = Random(f"{seed} {pool}")
    names = list(TASKS)
    shares = [weights[n] for n in names]
    made = [conversation(rng, names, shares, level) for _ in range(rows)]
    out, waiting = [], []
    for shorter, length in zip([0, *LENGTHS], LENGTHS, strict=False):
        # A row of n ids has n - 1 inputs.
        waiting += [r for r in made if shorter < len(r.ids) - 1 <= length]
        count = max(1, size // length)
        while len(waiting) >= count:
            out.append(pack(waiting[:count], length, count))
            waiting = waiting[count:]
    rng.shuffle(out)
    return out


def pack(rows: list[Row], length: int, count: int) -> Batch:
    """Rows, padded at the end."""
    ids = np.full((count, length), vocab.ENDOFTEXT, np.int64)
    targets = np.full((count, length), -1, np.int64)
    for i, row in enumerate(rows):
        n = len(row.ids) - 1
        ids[i, :n] = row.ids[:-1]
        targets[i, row.start - 1 : n] = row.ids[row.start :]
    return Batch(ids, targets)
