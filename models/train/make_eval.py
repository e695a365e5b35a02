"""Writes `models/eval.jsonl`: held-out questions of every task, with their answers.

    python make_eval.py ../eval.jsonl
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random

from tasks import TASKS, draw
from tasks.base import Example


def questions(name: str, count: int, seed: int) -> list[Example]:
    """Different held-out questions of a task: no prompt twice, and no key twice while there are others."""
    rng = Random(f"eval {seed} {name}")
    out: list[Example] = []
    prompts, keys, tries = set(), set(), 0
    while len(out) < count:
        e = draw(name, rng, 1.0, test=True)
        tries += 1
        if e.prompt in prompts or (e.key in keys and tries < 20 * count):
            continue
        prompts.add(e.prompt)
        keys.add(e.key)
        out.append(e)
    return out


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("output", type=Path)
    p.add_argument("--count", type=int, default=100, help="questions a task")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    with args.output.open("w") as f:
        for name in TASKS:
            for e in questions(name, args.count, args.seed):
                print(json.dumps({"task": name, "prompt": e.prompt, "answer": e.answer}), file=f)


if __name__ == "__main__":
    main()
