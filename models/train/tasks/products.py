"""Multiplication up to 3 by 3 digits, and division with remainder by one digit."""

from __future__ import annotations

from random import Random

from tasks import scratch
from tasks.base import Example, dress, number

MULTIPLY = [
    "What is {a} * {b}?", "{a} * {b}", "{a}*{b}", "{a}*{b}=", "{a} x {b} = ?", "Multiply {a} by {b}.", "{a} x {b}",
    "What is {a} times {b}?", "{a} times {b}", "Calculate {a} * {b}.", "How much is {a} x {b}?", "What's {a}*{b}?",
    "What is the product of {a} and {b}?", "Compute {a} x {b}.", "Work out {a} times {b}", "Multiply {a} and {b}",
    "Can you multiply {a} by {b}?", "How much is {a} times {b}?", "What does {a} * {b} equal?", "What is {a} x {b}?",
]
DIVIDE = [
    "What is {a} / {b}?", "{a} / {b}", "{a}/{b}", "{a}/{b}=", "{a} / {b} = ?", "Divide {a} by {b}.",
    "What is {a} divided by {b}?", "{a} divided by {b}", "Calculate {a} / {b}.", "How much is {a} / {b}?",
    "What's {a} divided by {b}?", "Compute {a}/{b} with remainder.", "Divide {a} by {b} with remainder.",
    "Work out {a} / {b}", "Can you divide {a} by {b}?", "How often does {b} go into {a}?", "{a} : {b}",
    "What is {a} divided by {b} with remainder?", "How many times does {b} fit into {a}?", "What is {a} over {b}?",
]


def quotient(whole: int, rest: int) -> str:
    """The answer to a division."""
    return f"{whole} remainder {rest}" if rest else str(whole)


def multiply(rng: Random, level: float) -> Example:
    """A product of two numbers."""
    top = 1 + round(2 * level)
    a, b = number(rng, max(top, 2)), number(rng, top)
    if level > 0.9 and rng.random() < 0.25:
        a, b = rng.randint(100, 999), rng.randint(100, 999)
    if rng.random() < 0.5 and max(a, b) <= 999:
        a, b = b, a
    think, answer = scratch.multiply(a, b)
    return Example(f"{a}*{b}", dress(rng, rng.choice(MULTIPLY).format(a=a, b=b)), think, str(answer))


def divide(rng: Random, level: float) -> Example:
    """A division by one digit, with remainder."""
    a, b = number(rng, 2 + round(3 * level)), rng.randint(2, 9)
    if rng.random() < 0.2:
        a -= a % b
    think, whole, rest = scratch.divide(a, b)
    return Example(f"{a}/{b}", dress(rng, rng.choice(DIVIDE).format(a=a, b=b)), think, quotient(whole, rest))
