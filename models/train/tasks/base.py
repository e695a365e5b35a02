"""What a task makes, and helpers that tasks share."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Example:
    """One question with its worked answer. Questions with the same `key` count as the same."""

    key: str
    prompt: str
    think: str
    answer: str


def held_out(key: str, share: int) -> bool:
    """Whether a question is kept for the test: one in `share`, by its key alone."""
    return zlib.crc32(("hewn tiny " + key).encode()) % share == 0


def number(rng: Random, digits: int) -> int:
    """A number of at most so many digits, all lengths alike."""
    n = rng.randint(1, digits)
    return rng.randint(10 ** (n - 1) if n > 1 else 0, 10**n - 1)


GREETINGS = ["Hi! ", "Hello, ", "Hey, ", "Hi, ", "Please: ", "Quick question: ", "Tell me: ", "Hello! ", "Ok, "]
ENDS = ["", "", " Thanks!", " Please.", " Thank you."]


def dress(rng: Random, text: str) -> str:
    """Varies how a question is written: greeting, case, end mark."""
    if rng.random() < 0.2:
        text = text.rstrip("?.") if rng.random() < 0.8 else text + "?"
    if rng.random() < 0.3:
        text = text[0].lower() + text[1:]
    elif rng.random() < 0.05:
        text = text.lower()
    if rng.random() < 0.12:
        text = rng.choice(GREETINGS) + text
    if rng.random() < 0.06:
        text = text + rng.choice(ENDS)
    return text.strip()
