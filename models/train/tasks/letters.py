"""Counting a letter, reversing and spelling: games with the letters of a word."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tasks.base import Example, dress
from tasks.scratch import LABELS, label

WORDS = sorted(set((Path(__file__).parent.parent / "words.txt").read_text().split()))
LONGEST = 12

COUNT = [
    "How many {c} are in {w}?", "How many {c} in {w}?", "How many {c}'s are in the word {w}?",
    "How many {c}'s are there in {w}?", "Count the {c} in {w}.", "Count the letter {c} in {w}.",
    "How many times does {c} occur in {w}?", "How often is the letter {c} in {w}?", "How many {c} are there in {w}?",
    "How many letters {c} does {w} have?", "How many {c}s in {w}?", "How many times is {c} in the word {w}?",
    "Can you count the {c}'s in {w}?", "How many {c}'s does {w} have?", "How many {c}'s in {w}?",
    "What is the number of {c} in {w}?", "In the word {w}, how many {c} are there?",
]
LENGTH = [
    "How many letters are in {w}?", "How many letters does {w} have?", "How long is the word {w}?",
    "Count the letters in {w}.", "How many letters in the word {w}?", "What is the length of {w}?",
]
REVERSE = [
    "Reverse {w}.", "Reverse the word {w}.", "Write {w} backwards.", "What is {w} backwards?", "Spell {w} backwards.",
    "What is {w} reversed?", "Turn {w} around.", "Can you reverse {w}?", "What is {w} spelled backwards?",
    "Say {w} backwards.", "Read {w} from right to left.", "Flip the word {w}.",
]
SPELL = [
    "Spell {w}.", "Spell the word {w}.", "How do you spell {w}?", "Can you spell {w}?", "What are the letters of {w}?",
    "Spell out {w}.", "Spell {w} for me.", "List the letters of {w}.", "How is {w} spelled?",
]
NTH = ["first", "second", "third", "fourth", "fifth", "sixth"]
LETTER = [
    "What is the {n} letter of {w}?", "Which letter is {n} in {w}?", "What's the {n} letter in {w}?",
    "Give me the {n} letter of {w}.", "Which is the {n} letter of the word {w}?",
]

ONSETS = "b c d f g h j k l m n p r s t v w z bl br ch cl cr dr fl gr pl pr sh sl sn st str th tr".split()
VOWELS = "a e i o u a e i o ee oo ai ea ou".split()
CODAS = "n r l t s d m p ck ll ss nd nt rt st ng tt".split() + [""] * 12


def word(rng: Random) -> str:
    """A word: from the list, made of syllables, or plain letters, so that any string of letters works."""
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(WORDS)
    if kind < 0.8:
        made = "".join(
            rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.choice([1, 2, 2, 3, 3]))
        )
        return made[:LONGEST]
    few = rng.sample("abcdefghijklmnopqrstuvwxyz", rng.choice([2, 3, 5, 26]))
    return "".join(rng.choice(few) for _ in range(rng.randint(2, 9)))


def shown(rng: Random, w: str) -> str:
    """The word as the question writes it."""
    kind = rng.random()
    if kind < 0.1:
        return w.capitalize()
    if kind < 0.2:
        return f'"{w}"'
    return f"'{w}'" if kind < 0.26 else w


def count(rng: Random, level: float) -> Example:
    """How often a letter occurs, or how many letters there are."""
    del level
    w = word(rng)
    if rng.random() < 0.15:
        text = dress(rng, rng.choice(LENGTH).format(w=shown(rng, w)))
        return Example("word " + w, text, label(w), str(len(w)))
    c = rng.choice(w) if rng.random() < 0.8 else rng.choice("abcdefghijklmnopqrstuvwxyz")
    n, steps = 0, []
    for i, x in enumerate(w):
        n += x == c
        steps.append(f"{LABELS[i]}{x}{n if x == c else ''}")
    asked = rng.choice([c, c, c, c.upper(), f"'{c}'", f'"{c}"'])
    text = dress(rng, rng.choice(COUNT).format(c=asked, w=shown(rng, w)))
    return Example("word " + w, text, f"{c}: " + "".join(steps), str(n))


def reverse(rng: Random, level: float) -> Example:
    """A word backwards."""
    del level
    w = word(rng)
    back = "".join(LABELS[i] + w[i] for i in range(len(w) - 1, -1, -1))
    text = dress(rng, rng.choice(REVERSE).format(w=shown(rng, w)))
    return Example("word " + w, text, f"{label(w)}\n{back}", w[::-1])


def spell(rng: Random, level: float) -> Example:
    """A word letter by letter, or one letter of it."""
    del level
    w = word(rng)
    if rng.random() < 0.3:
        n = rng.randrange(min(len(w), len(NTH)) + 1)
        name = "last" if n == min(len(w), len(NTH)) else NTH[n]
        at = len(w) - 1 if name == "last" else n
        text = dress(rng, rng.choice(LETTER).format(n=name, w=shown(rng, w)))
        return Example("word " + w, text, f"{label(w)}\n{LABELS[at]}{w[at]}", w[at])
    text = dress(rng, rng.choice(SPELL).format(w=shown(rng, w)))
    return Example("word " + w, text, label(w), "-".join(w))
