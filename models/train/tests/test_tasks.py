"""Every task's questions: right answers, held-out questions apart, nothing too long."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from random import Random

import pytest

import make_eval
from tasks import TASKS, draw, order
from tasks.base import held_out

EVAL = Path(__file__).parents[2] / "eval.jsonl"


@pytest.mark.parametrize("name", TASKS)
def test_two_sides_share_no_question(name):
    rng = Random(4)
    train = {draw(name, rng, 1.0, test=False).key for _ in range(1500)}
    test = {draw(name, rng, 1.0, test=True).key for _ in range(100)}
    assert not train & test
    assert all(held_out(k, TASKS[name].share) for k in test)


@pytest.mark.parametrize("name", TASKS)
def test_same_seed_same_questions(name):
    assert [draw(name, Random(7), 1.0, test=False) for _ in range(3)] == [
        draw(name, Random(7), 1.0, test=False) for _ in range(3)
    ]
    assert draw(name, Random(7), 1.0, test=False) != draw(name, Random(8), 1.0, test=False)


@pytest.mark.parametrize("name", TASKS)
def test_questions_are_plain_and_short(name):
    rng = Random(5)
    for _ in range(500):
        e = draw(name, rng, rng.random(), test=False)
        assert e.prompt == e.prompt.strip() and e.answer and "{" not in e.prompt
        assert len(e.prompt) + len(e.think) + len(e.answer) < 500
        assert (e.prompt + e.think + e.answer).isascii() and "<think>" not in e.prompt


def test_answers_to_bare_sums():
    rng = Random(6)
    seen = 0
    for name, sign in [("add", "+"), ("subtract", "-"), ("multiply", "*")]:
        for _ in range(400):
            e = draw(name, rng, 1.0, test=False)
            if m := re.fullmatch(rf"(\d+) ?\{sign} ?(\d+)(=| = \?)?\??", e.prompt):
                a, b = int(m[1]), int(m[2])
                assert int(e.answer) == {"+": a + b, "-": a - b, "*": a * b}[sign]
                seen += 1
    assert seen > 50


def test_letters_are_counted_and_turned():
    rng = Random(7)
    for _ in range(300):
        word = draw("reverse", rng, 1.0, test=False)
        assert word.answer == word.key.removeprefix("word ")[::-1]
        counted = draw("count", rng, 1.0, test=False)
        w = counted.key.removeprefix("word ")
        letter = counted.think.split(":")[0] if ":" in counted.think else None
        assert int(counted.answer) == (w.count(letter) if letter else len(w))
        spelled = draw("spell", rng, 1.0, test=False)
        w = spelled.key.removeprefix("word ")
        assert spelled.answer in ("-".join(w), *w)


def test_sorting_steps():
    assert order.insert([45, 112, 7], down=False) == (
        "up: 045 112 007\n=045\n112>045 =045 112\n007<045 =007 045 112"
    )
    assert order.insert([45, 112, 7], down=True).endswith("007<112 007<045 =112 045 007")


def test_dates_agree_with_the_calendar():
    rng = Random(8)
    seen = 0
    for _ in range(1500):
        e = draw("days", rng, 1.0, test=False)
        text = e.prompt.lower()
        if m := re.search(r"(\d+) days after (\d+) ([a-z]+)", text):
            then = datetime.datetime.strptime(f"{m[2]} {m[3]} 2023", "%d %B %Y") + datetime.timedelta(int(m[1]))
            assert e.answer == f"{then.day} {then:%B}"
            seen += 1
        elif m := re.search(r"(\d+) days (after|before) ([a-z]+day)", text):
            monday = datetime.date(2024, 1, 1)
            names = [f"{monday + datetime.timedelta(i):%A}" for i in range(7)]
            n = int(m[1]) if m[2] == "after" else -int(m[1])
            assert e.answer == names[(names.index(m[3].capitalize()) + n) % 7]
            seen += 1
    assert seen > 200


def test_committed_questions_are_what_the_generator_makes():
    lines = [json.loads(line) for line in EVAL.open()]
    want = [
        {"task": n, "prompt": e.prompt, "answer": e.answer} for n in TASKS for e in make_eval.questions(n, 100, 1)
    ]
    assert lines == want
