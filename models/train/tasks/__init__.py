"""The tasks: each makes questions with worked answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tasks import days, letters, order, outside, products, stories, sums, talk
from tasks.base import Example, held_out


@dataclass(frozen=True)
class Task:
    """A generator `make(rng, level)` with `level` 0 (easy) to 1 (all), and which share of questions is held out."""

    make: Callable[[Random, float], Example]
    weight: float = 1.0
    share: int = 50


TASKS: dict[str, Task] = {
    "add": Task(sums.add, 1.2),
    "subtract": Task(sums.subtract, 1.2),
    "multiply": Task(products.multiply, 1.6),
    "divide": Task(products.divide),
    "compare": Task(order.compare),
    "sort": Task(order.sort, 1.2),
    "count": Task(letters.count, 1.2, 20),
    "reverse": Task(letters.reverse, 1.2, 20),
    "spell": Task(letters.spell, 0.8, 20),
    "story": Task(stories.story, 1.5),
    "days": Task(days.days, 1.2, 20),
    "talk": Task(talk.talk, 0.4, 10),
    "outside": Task(outside.outside, 0.6, 10),
}


def draw(name: str, rng: Random, level: float, test: bool) -> Example:
    """A question of a task from the training or the held-out side."""
    task = TASKS[name]
    while True:
        example = task.make(rng, level)
        if held_out(example.key, task.share) == test:
            return example
