"""Tokens and batches."""

from __future__ import annotations

import jinja2
import numpy as np

import data
import vocab
from tasks import TASKS

WEIGHTS = {n: t.weight for n, t in TASKS.items()}


def test_vocabulary():
    tokens = vocab.tokens()
    assert len(set(tokens)) == len(tokens) == vocab.SIZE
    assert tokens[ord("7")] == "7" and tokens[ord(" ")] == "\u0120" and tokens[vocab.THINK] == "<think>"
    text = "How many r's? é \n"
    assert vocab.decode(vocab.encode(text)) == text


def test_template_renders_what_is_trained():
    template = jinja2.Template(vocab.CHAT_TEMPLATE)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1+1"},
        {"role": "assistant", "content": "<think>\nA1+A1\n</think>\n\n2"},
        {"role": "user", "content": "Spell cat."},
    ]
    shown = template.render(messages=messages, add_generation_prompt=True)
    assert shown == vocab.decode(vocab.prompt_ids([("1+1", "2")], "Spell cat.", "Be brief."))


def test_batches_are_the_same_again_and_learn_only_replies():
    first = data.batches(1, 3, 600, 1024, WEIGHTS, 1.0)
    again = data.batches(1, 3, 600, 1024, WEIGHTS, 1.0)
    other = data.batches(1, 4, 600, 1024, WEIGHTS, 1.0)
    assert len(first) > 20
    assert all((a.ids == b.ids).all() and (a.targets == b.targets).all() for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].ids, other[0].ids)
    for b in first:
        assert b.ids.size <= 1024 and b.learned > 0
        for ids, targets in zip(b.ids, b.targets, strict=True):
            at = np.flatnonzero(targets >= 0)
            assert (np.diff(at) == 1).all()
            assert targets[at[-1]] == vocab.END and (targets[at[:-1]] == ids[at[1:]]).all()
            assert list(ids[at[0] - 2 : at[0] + 1]) == [vocab.ASSISTANT, vocab.THINK, ord("\n")]
