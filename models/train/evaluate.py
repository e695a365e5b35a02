"""Greedy accuracy of a checkpoint on `eval.jsonl`, in float32.

    python evaluate.py runs/tiny/last.pt ../eval.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch

import vocab
from export import load
from model import Model

LONGEST = 500  # tokens of a reply


@torch.no_grad()
def replies(model: Model, prompts: list[str]) -> list[str]:
    """Greedy replies, thinking included. Prompts of one length share a batch, so nothing is padded."""
    groups: dict[int, list[int]] = defaultdict(list)
    ids = [vocab.prompt_ids([], p) for p in prompts]
    for i, x in enumerate(ids):
        groups[len(x)].append(i)
    out = [""] * len(prompts)
    for members in groups.values():
        past: list[list[torch.Tensor]] = [[] for _ in model.layers]
        new = torch.tensor([ids[i] for i in members])
        made, going = [[] for _ in members], [True] * len(members)
        for _ in range(LONGEST):
            best = model(new, past)[:, -1].argmax(-1)
            for k, t in enumerate(best.tolist()):
                going[k] = going[k] and t not in (vocab.END, vocab.ENDOFTEXT)
                if going[k]:
                    made[k].append(t)
            if not any(going):
                break
            new = best[:, None]
        for i, m in zip(members, made, strict=True):
            out[i] = vocab.decode(m)
    return out


def answer_of(reply: str) -> str:
    """What stands after the thinking; nothing if it never ended."""
    _, marker, answer = reply.partition("</think>")
    return answer.strip() if marker else ""


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("questions", type=Path)
    p.add_argument("--wrong", type=int, default=0, help="show so many wrong replies a task")
    p.add_argument("--limit", type=int, default=None, help="only the first questions of each task")
    args = p.parse_args()
    torch.set_num_threads(1)
    per: dict[str, list[dict]] = defaultdict(list)
    for line in args.questions.open():
        q = json.loads(line)
        per[q["task"]].append(q)
    asked = [q for qs in per.values() for q in qs[: args.limit]]
    got = replies(load(args.checkpoint), [q["prompt"] for q in asked])
    right: dict[str, list[bool]] = defaultdict(list)
    shown: dict[str, int] = defaultdict(int)
    for q, reply in zip(asked, got, strict=True):
        ok = answer_of(reply) == q["answer"]
        right[q["task"]].append(ok)
        if not ok and shown[q["task"]] < args.wrong:
            shown[q["task"]] += 1
            print(f"{q['prompt']!r} wants {q['answer']!r}, got {reply!r}")
    for name, r in right.items():
        print(f"{name:10} {100 * sum(r) / len(r):6.1f} % of {len(r)}")
    everything = [x for r in right.values() for x in r]
    print(f"{'all':10} {100 * sum(everything) / len(everything):6.1f} % of {len(everything)}")


if __name__ == "__main__":
    main()
