"""Trains the model. Starts where the last checkpoint ended; SIGTERM saves and stops.

    python train.py --steps 12000 --decay 2500

The learning rate warms up, stays, and falls to nothing over the last `--decay` steps. A later start with more steps
goes on from the checkpoint `stable.pt`, which is the last one before the fall.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from random import Random

import torch

import data
import vocab
from model import Model, Shape
from tasks import TASKS, draw

POOL_ROWS = 4000
CURRICULUM_ROWS = 60_000  # rows until all sizes of question are there


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--run", type=Path, default=Path(__file__).parent / "runs" / "tiny", help="folder of the run")
    p.add_argument("--steps", type=int, required=True, help="optimizer steps in all")
    p.add_argument("--decay", type=int, default=0, help="of these, so many at the end lower the rate to zero")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--layers", type=int, default=Shape.layers)
    p.add_argument("--batch", type=int, default=4, help="batches a step")
    p.add_argument("--size", type=int, default=2048, help="tokens a batch")
    p.add_argument("--rate", type=float, default=0.006, help="rate of the matrices (Muon)")
    p.add_argument("--adam-rate", type=float, default=0.001, help="rate of everything else (AdamW)")
    p.add_argument("--warmup", type=int, default=100)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--every", type=float, default=180, help="seconds of CPU time between checkpoints")
    p.add_argument("--check", type=int, default=24, help="held-out questions a task at each checkpoint")
    p.add_argument("--weight", action="append", default=[], metavar="TASK=W", help="a task's share of the questions")
    p.add_argument("--no-compile", action="store_true")
    return p.parse_args()


def optimizers(model: Model, args: argparse.Namespace) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embedding, head, norms and biases."""
    matrices = [p for p in model.layers.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if all(p is not m for m in matrices)]
    muon = torch.optim.Muon(matrices, lr=args.rate, momentum=0.95, weight_decay=0.02, adjust_lr_fn="original")
    adam = torch.optim.AdamW(rest, lr=args.adam_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    for o in (muon, adam):
        for g in o.param_groups:
            g["base"] = g["lr"]
    return [muon, adam]


def factor(step: int, args: argparse.Namespace) -> float:
    """What the rate is multiplied with at a step."""
    up = min(1.0, (step + 1) / args.warmup)
    down = min(1.0, (args.steps - step) / args.decay) if args.decay else 1.0
    return min(up, max(down, 0.0))


def check(model: Model, count: int) -> dict[str, float]:
    """Share of held-out questions whose whole reply (thinking, answer, end) is each time the model's first choice.

    If every token is the first choice after the right ones before it, greedy decoding writes exactly this reply; so
    this is a lower bound of the accuracy.
    """
    shares = {}
    for name in TASKS:
        rng = Random(f"check {name}")
        rows = []
        for _ in range(count):
            e = draw(name, rng, 1.0, test=True)
            prompt = vocab.prompt_ids([], e.prompt)
            rows.append(data.Row(prompt + vocab.reply_ids(e.think, e.answer), len(prompt)))
        longest = max(len(r.ids) for r in rows)
        batch = data.pack(rows, longest, len(rows))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            best = model(torch.from_numpy(batch.ids)).argmax(-1).numpy()
        right = (best == batch.targets) | (batch.targets < 0)
        shares[name] = float(right.all(1).mean())
    return shares


def save(path: Path, state: dict) -> None:
    """Writes a checkpoint under another name first, so that a stop never leaves half of one."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.run.mkdir(parents=True, exist_ok=True)
    weights = {n: t.weight for n, t in TASKS.items()}
    for item in args.weight:
        name, w = item.split("=")
        if name not in weights:
            raise SystemExit(f"no task {name}: {', '.join(weights)}")
        weights[name] = float(w)

    model = Model(Shape(layers=args.layers))
    opts = optimizers(model, args)
    at = {"step": 0, "tokens": 0, "pool": 0, "batch": 0, "seconds": 0.0}
    last, stable = args.run / "last.pt", args.run / "stable.pt"
    for path in (last, stable):
        if not path.exists():
            continue
        state = torch.load(path, weights_only=True)
        falling = state["at"]["step"] > state["args"]["steps"] - state["args"]["decay"]
        if falling and state["args"]["steps"] != args.steps and stable.exists():
            continue  # it is from the fall of another length
        model.load_state_dict(state["model"])
        for o, s in zip(opts, state["optimizers"], strict=True):
            o.load_state_dict(s)
            for g, rate in zip(o.param_groups, [args.rate if o is opts[0] else args.adam_rate], strict=True):
                g["base"] = rate
        at = state["at"]
        break
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    loss_of = model.loss if args.no_compile else torch.compile(model.loss, dynamic=True)

    log = (args.run / "log.jsonl").open("a")

    def note(**what: object) -> None:
        print(json.dumps(what), file=log, flush=True)

    note(start=vars(args) | {"run": str(args.run)}, shape=asdict(model.shape), weights=weights, at=at,
         parameters=sum(p.numel() for p in model.parameters()), torch=torch.__version__)
    began, saved, losses, learned_sum = time.process_time(), time.process_time(), 0.0, 0
    wall = time.time()

    kept = at["step"]

    def keep() -> None:
        nonlocal kept
        kept = at["step"]
        state = {"model": model.state_dict(), "optimizers": [o.state_dict() for o in opts], "at": dict(at),
                 "args": {"steps": args.steps, "decay": args.decay}, "shape": asdict(model.shape)}
        save(last, state)
        if at["step"] <= args.steps - args.decay:
            save(stable, state)
        shares = check(model, args.check) if args.check else {}
        mean = sum(shares.values()) / max(1, len(shares))
        note(at=dict(at), wall=round(time.time() - wall), exact=round(mean, 4),
             tasks={n: round(s, 3) for n, s in shares.items()})

    stream: list[data.Batch] = []
    while at["step"] < args.steps and not stop:
        if at["batch"] + args.batch > len(stream):
            if stream:
                at["pool"], at["batch"] = at["pool"] + 1, 0
            level = min(1.0, 0.25 + at["pool"] * POOL_ROWS / CURRICULUM_ROWS)
            stream = data.batches(args.seed, at["pool"], POOL_ROWS, args.size, weights, level)
            continue
        group = stream[at["batch"] : at["batch"] + args.batch]
        learned = sum(b.learned for b in group)
        for b in group:
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(torch.from_numpy(b.ids), torch.from_numpy(b.targets))
            (loss / learned).backward()
            losses += loss.item()
            at["tokens"] += b.ids.size
        learned_sum += learned
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        now = factor(at["step"], args)
        for o in opts:
            for g in o.param_groups:
                g["lr"] = g["base"] * now
            o.step()
            o.zero_grad(set_to_none=True)
        at["step"] += 1
        at["batch"] += args.batch
        at["seconds"] += time.process_time() - began
        began = time.process_time()
        if at["step"] % 50 == 0:
            note(step=at["step"], tokens=at["tokens"], loss=round(losses / learned_sum, 5), rate=round(now, 4),
                 seconds=round(at["seconds"]), wall=round(time.time() - wall))
            losses, learned_sum = 0.0, 0
        if began - saved > args.every or at["step"] == args.steps - args.decay:
            saved = time.process_time()
            keep()
    if at["step"] != kept:
        keep()


if __name__ == "__main__":
    main()
