"""Days of the week, months, and simple steps from date to date."""

from __future__ import annotations

from random import Random

from tasks import scratch
from tasks.base import Example, dress

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
FURTHEST = 60

AFTER = [
    "What day is {n} days after {d}?", "Which day is {n} days after {d}?", "Today is {d}. What day is it in {n} days?",
    "If today is {d}, what day will it be in {n} days?", "It is {d}. Which weekday is it in {n} days?",
    "What weekday comes {n} days after {d}?", "What day of the week is {n} days from {d}?", "{n} days after {d}",
]
BEFORE = [
    "What day is {n} days before {d}?", "Today is {d}. What day was it {n} days ago?", "{n} days before {d}",
    "If today is {d}, what day was it {n} days ago?", "Which day was {n} days before {d}?",
]
NEXT = ["What day comes after {d}?", "Today is {d}. What day is tomorrow?", "Which day follows {d}?"]
PREVIOUS = ["What day comes before {d}?", "Today is {d}. What day was yesterday?", "Which day is before {d}?"]
NEXT_MONTH = ["What month comes after {m}?", "Which month follows {m}?", "What is the month after {m}?"]
PREVIOUS_MONTH = ["What month comes before {m}?", "Which month is before {m}?", "What is the month before {m}?"]
LATER = ["What month is {n} months after {m}?", "Which month comes {n} months after {m}?", "{n} months after {m}"]
LENGTH = [
    "How many days does {m} have?", "How many days are in {m}?", "How many days are there in {m}?", "How long is {m}?",
]
DATE = [
    "What is the date {n} days after {d} {m}?", "What date is {n} days after {d} {m}?", "{n} days after {d} {m}",
    "Today is {d} {m}. What is the date in {n} days?", "It is {d} {m}. What date is it in {n} days?",
]


def weekday(rng: Random) -> tuple[str, str, str]:
    """Steps of a week: whole weeks off first, then day by day."""
    d, n = rng.randrange(7), rng.randint(2, FURTHEST)
    if rng.random() < 0.4:
        n = rng.randint(2, 10)
    back = rng.random() < 0.35
    sign = -1 if back else 1
    step = n % 7
    names = [DAYS[(d + sign * i) % 7] for i in range(step + 1)]
    think = f"{n}=7*{n // 7}+{step}\n" + " ".join(str(i) + name[:3] for i, name in enumerate(names))
    return rng.choice(BEFORE if back else AFTER).format(n=n, d=DAYS[d]), think, names[-1]


def month(rng: Random) -> tuple[str, str, str]:
    """Steps of a year."""
    m, n = rng.randrange(12), rng.randint(2, 11)
    names = [MONTHS[(m + i) % 12] for i in range(n + 1)]
    think = " ".join(str(i) + name[:3] for i, name in enumerate(names))
    return rng.choice(LATER).format(n=n, m=MONTHS[m]), think, names[-1]


def date(rng: Random) -> tuple[str, str, str]:
    """A date at most 30 days on; years are common ones."""
    m, n = rng.randrange(12), rng.randint(1, 30)
    d = rng.randint(1, LENGTHS[m])
    think, later = scratch.add(d, n)
    name = MONTHS[m]
    think += f"\n{name} {LENGTHS[m]}"
    if later > LENGTHS[m]:
        more, later = scratch.subtract(later, LENGTHS[m])
        name = MONTHS[(m + 1) % 12]
        think = f"{think}<\n{more}\n{name}"
    return rng.choice(DATE).format(n=n, d=d, m=MONTHS[m]), think, f"{later} {name}"


def neighbour(rng: Random) -> tuple[str, str, str]:
    """The day or month next to one, or a month's length."""
    d, m = rng.randrange(7), rng.randrange(12)
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice(NEXT).format(d=DAYS[d]), f"{DAYS[d]} +1", DAYS[(d + 1) % 7]
    if kind == 1:
        return rng.choice(PREVIOUS).format(d=DAYS[d]), f"{DAYS[d]} -1", DAYS[d - 1]
    if kind == 2:
        return rng.choice(NEXT_MONTH).format(m=MONTHS[m]), f"{MONTHS[m]} +1", MONTHS[(m + 1) % 12]
    if kind == 3:
        return rng.choice(PREVIOUS_MONTH).format(m=MONTHS[m]), f"{MONTHS[m]} -1", MONTHS[m - 1]
    return rng.choice(LENGTH).format(m=MONTHS[m]), f"{MONTHS[m]} {LENGTHS[m]}", str(LENGTHS[m])


def days(rng: Random, level: float) -> Example:
    """One of the above."""
    del level
    make = rng.choice([weekday, weekday, weekday, date, date, date, month, neighbour])
    text, think, answer = make(rng)
    dressed = dress(rng, text)
    # Facts such as a month's length are learned, not worked out: there the wording is the key.
    return Example("days " + (dressed if make is neighbour else think), dressed, think, answer)
