"""Addition and subtraction up to 6 digits."""

from __future__ import annotations

from random import Random

from tasks import scratch
from tasks.base import Example, dress, number

ADD = [
    "What is {a} + {b}?", "{a} + {b}", "{a}+{b}", "{a}+{b}=", "{a} + {b} = ?", "Add {a} and {b}.", "Add {a} to {b}.",
    "What is {a} plus {b}?", "{a} plus {b}", "Calculate {a} + {b}.", "How much is {a} + {b}?", "What's {a} plus {b}?",
    "What is the sum of {a} and {b}?", "Compute {a}+{b}.", "Sum {a} and {b}", "What do {a} and {b} make together?",
    "Can you add {a} and {b}?", "How much is {a} and {b} together?", "Work out {a} + {b}", "What does {a}+{b} equal?",
]
SUBTRACT = [
    "What is {a} - {b}?", "{a} - {b}", "{a}-{b}", "{a}-{b}=", "{a} - {b} = ?", "Subtract {b} from {a}.",
    "What is {a} minus {b}?", "{a} minus {b}", "Calculate {a} - {b}.", "How much is {a} - {b}?", "Take {b} from {a}.",
    "What's {a} minus {b}?", "Compute {a}-{b}.", "Take {b} away from {a}.", "Work out {a} - {b}",
    "Can you subtract {b} from {a}?", "What is left of {a} without {b}?", "What does {a}-{b} equal?",
    "What is {a} less {b}?", "How much is {a} minus {b}?",
]


def add(rng: Random, level: float) -> Example:
    """A sum of two numbers."""
    top = 2 + round(4 * level)
    a, b = number(rng, top), number(rng, top)
    think, answer = scratch.add(a, b)
    return Example(f"{a}+{b}", dress(rng, rng.choice(ADD).format(a=a, b=b)), think, str(answer))


def subtract(rng: Random, level: float) -> Example:
    """A difference, sometimes below zero."""
    top = 2 + round(4 * level)
    a, b = number(rng, top), number(rng, top)
    if a < b and rng.random() < 0.6:
        a, b = b, a
    if rng.random() < 0.1:  # close numbers, where the first digits agree
        b = max(0, a + rng.randint(-20, 20))
    think, answer = scratch.subtract(a, b)
    return Example(f"{a}-{b}", dress(rng, rng.choice(SUBTRACT).format(a=a, b=b)), think, str(answer))
