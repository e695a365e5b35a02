"""Comparing two numbers up to 6 digits, and sorting 3 to 5 numbers up to 3 digits."""

from __future__ import annotations

from random import Random

from tasks import scratch
from tasks.base import Example, dress, number

LARGER = [
    "Which is larger, {a} or {b}?", "Which number is bigger: {a} or {b}?", "What is more, {a} or {b}?",
    "Which is greater, {a} or {b}?", "What is the larger of {a} and {b}?", "Is {a} or {b} larger?",
    "Compare {a} and {b}: which is bigger?", "Give me the bigger number of {a} and {b}.",
    "Is {a} or {b} the bigger one?", "Which of {a} and {b} is the greatest?", "What is the maximum of {a} and {b}?",
]
SMALLER = [
    "Which is smaller, {a} or {b}?", "Which number is smaller: {a} or {b}?", "What is less, {a} or {b}?",
    "What is the smaller of {a} and {b}?", "Is {a} or {b} smaller?", "Compare {a} and {b}: which is smaller?",
    "Give me the smaller number of {a} and {b}.", "Is {a} or {b} the smaller one?",
    "Which of {a} and {b} is the least?", "What is the minimum of {a} and {b}?",
]
IS_LARGER = ["Is {a} larger than {b}?", "Is {a} bigger than {b}?", "Is {a} greater than {b}?", "Is {a} more than {b}?"]
IS_SMALLER = ["Is {a} smaller than {b}?", "Is {a} less than {b}?"]
UP = [
    "Sort {n}.", "Sort these numbers: {n}", "Put {n} in order.", "Sort {n} from smallest to largest.", "Order {n}.",
    "Sort the numbers {n} in ascending order.", "Arrange {n} from low to high.", "sort {n}", "Can you sort {n}?",
    "Order these numbers from smallest to biggest: {n}", "Put these in order: {n}", "Sort ascending: {n}",
]
DOWN = [
    "Sort {n} from largest to smallest.", "Sort the numbers {n} in descending order.", "Sort descending: {n}",
    "Arrange {n} from high to low.", "Order these numbers from biggest to smallest: {n}", "Sort {n}, largest first.",
]


def compare(rng: Random, level: float) -> Example:
    """Which of two numbers is larger or smaller, or whether one is."""
    top = 2 + round(4 * level)
    a = number(rng, top)
    near = rng.random()
    if near < 0.45:
        b = number(rng, top)
    elif near < 0.75:  # the same length
        n = len(str(a))
        b = rng.randint(10 ** (n - 1) if n > 1 else 0, 10**n - 1)
    else:  # the same first digits
        s = list(str(a))
        for i in range(rng.randint(1, len(s)) - 1, len(s)):
            s[i] = rng.choice("123456789" if i == 0 and len(s) > 1 else "0123456789")
        b = int("".join(s))
    if a == b:
        b = a + 1
    line, sign = scratch.compare(a, b)
    pick = rng.random()
    if pick < 0.4:
        text, kind, answer = rng.choice(LARGER), "max", str(max(a, b))
    elif pick < 0.75:
        text, kind, answer = rng.choice(SMALLER), "min", str(min(a, b))
    elif pick < 0.9:
        text, kind, answer = rng.choice(IS_LARGER), "more", "yes" if sign == ">" else "no"
    else:
        text, kind, answer = rng.choice(IS_SMALLER), "less", "yes" if sign == "<" else "no"
    # Which of the two it is, said before the number itself is written.
    choice = answer if answer in ("yes", "no") else "1" if answer == str(a) else "2"
    think = f"{scratch.label(str(a))} {scratch.label(str(b))}\n{line}\n{kind}{sign}{choice}"
    return Example(f"{a}?{b}", dress(rng, text.format(a=a, b=b)), think, answer)


def insert(numbers: list[int], down: bool) -> str:
    """Insertion, number by number: its comparisons with the sorted ones from the left, then the new list."""
    lines = [("down" if down else "up") + ": " + " ".join(f"{n:03}" for n in numbers)]
    done: list[int] = []
    for n in numbers:
        steps, at = [], len(done)
        for i, m in enumerate(done):
            steps.append(f"{n:03}{'>' if n > m else '<'}{m:03}")
            if (n < m) != down:
                at = i
                break
        done.insert(at, n)
        lines.append(" ".join([*steps, "=" + " ".join(f"{m:03}" for m in done)]) if steps else f"={n:03}")
    return "\n".join(lines)


def sort(rng: Random, level: float) -> Example:
    """Distinct numbers into ascending or descending order."""
    count = rng.randint(3, 3 + round(2 * level))
    top = rng.choice([1, 2, 2, 3, 3]) if count < 5 else rng.choice([2, 3])
    numbers: list[int] = []
    while len(numbers) < count:
        n = number(rng, top)
        if numbers and rng.random() < 0.15:
            n = max(0, min(999, rng.choice(numbers) + rng.randint(-9, 9)))
        if n not in numbers:
            numbers.append(n)
    down = rng.random() < 0.3
    join = rng.choice([", ", ", ", " ", ", and"])
    if join == ", and":
        listed = ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
    else:
        listed = join.join(map(str, numbers))
    text = rng.choice(DOWN if down else UP).format(n=listed)
    answer = ", ".join(map(str, sorted(numbers, reverse=down)))
    return Example("sort " + " ".join(map(str, numbers)), dress(rng, text), insert(numbers, down), answer)
