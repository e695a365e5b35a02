"""Simple word problems: a story with one or two sums."""

from __future__ import annotations

from random import Random

from tasks import scratch
from tasks.base import Example

PEOPLE = [
    ("Ann", "she"), ("Tom", "he"), ("Mia", "she"), ("Ben", "he"), ("Lisa", "she"), ("Paul", "he"), ("Sara", "she"),
    ("Max", "he"), ("Eva", "she"), ("Jack", "he"), ("Nina", "she"), ("Leo", "he"), ("Emma", "she"), ("Sam", "he"),
    ("Olga", "she"), ("Ali", "he"), ("Maria", "she"), ("Peter", "he"), ("Lucy", "she"), ("John", "he"),
    ("Zoe", "she"), ("Omar", "he"), ("Kate", "she"), ("David", "he"), ("Julia", "she"), ("Noah", "he"),
]
THINGS = (
    "apples pears plums nuts eggs books coins pens cards balls stamps shells marbles stickers cookies cakes sweets "
    "flowers stones buttons pencils oranges lemons toys keys cups grapes beans tickets candles"
).split()
BOXES = "boxes bags baskets jars shelves packs crates bowls".split()

ADD = [
    "{N} has {a} {t}. {P} buys {b} more. How many {t} does {p} have now?",
    "{N} has {a} {t} and gets {b} more. How many {t} does {N} have?",
    "{N} has {a} {t} and {M} has {b}. How many {t} do they have together?",
    "{N} finds {a} {t} in the morning and {b} in the evening. How many {t} does {p} find?",
    "There are {a} {t} on the table. {N} puts {b} more there. How many {t} are on the table?",
    "{N} had {a} {t}. {M} gave {N} {b} more. How many {t} does {N} have now?",
    "A box holds {a} {t}, another box holds {b} {t}. How many {t} are there in all?",
    "{N} sold {a} {t} on Monday and {b} on Tuesday. How many {t} did {p} sell?",
]
SUBTRACT = [
    "{N} has {a} {t} and gives {b} to {M}. How many {t} does {N} have left?",
    "{N} has {a} {t}. {P} loses {b}. How many {t} are left?",
    "{N} had {a} {t}. {P} sold {b} of them. How many {t} does {p} still have?",
    "There are {a} {t} in a bag. {N} takes {b} out. How many {t} are left in the bag?",
    "{N} has {a} {t}, uses {b}. How many are left?",
    "{N} has {a} {t} and eats {b}. How many {t} are left?",
    "{N} needs {a} {t} and has {b}. How many {t} does {p} still need?",
    "{N} has {a} {t}, {M} has {b}. How many more {t} does {N} have than {M}?",
]
MULTIPLY = [
    "There are {b} {x} with {a} {t} each. How many {t} are there?",
    "{N} has {b} {x}. Each holds {a} {t}. How many {t} does {p} have?",
    "{N} buys {b} {x} of {a} {t}. How many {t} does {p} have?",
    "One of the {t} costs {a} dollars. How much do {b} {t} cost?",
    "{N} collects {a} {t} every day. How many {t} does {p} have after {b} days?",
    "{b} children have {a} {t} each. How many {t} do they have in all?",
]
DIVIDE = [
    "{N} shares {a} {t} among {b} friends. How many {t} does each get?",
    "{N} puts {a} {t} into {b} {x}, the same number in each. How many {t} are in each?",
    "{b} children share {a} {t} equally. How many does each child get?",
    "{N} packs {a} {t} into {x} of {b}. How many {x} does {p} fill?",
]
TWO = [
    ("+-", "{N} has {a} {t}. {P} buys {b} more and gives {c} away. How many {t} does {p} have?"),
    ("-+", "{N} has {a} {t}. {P} eats {b} and buys {c} more. How many {t} does {p} have?"),
    ("--", "{N} has {a} {t}. {P} gives {b} to {M} and loses {c}. How many {t} are left?"),
    ("++", "{N} has {a} {t}, {M} has {b} and {O} has {c}. How many {t} do they have together?"),
    ("*-", "{N} has {b} {x} with {a} {t} each and loses {c} {t}. How many {t} are left?"),
    ("*+", "{N} buys {b} {x} of {a} {t} and finds {c} more. How many {t} does {p} have?"),
]
SOLVE = {"+": scratch.add, "-": scratch.subtract, "*": scratch.multiply}


def story(rng: Random, level: float) -> Example:
    """A problem, of two steps one time in four."""
    top = 99 if level < 0.5 or rng.random() < 0.7 else 999
    a, b, c = rng.randint(2, top), rng.randint(2, top), rng.randint(2, 30)
    op = rng.choice("++---**//")
    if rng.random() < 0.25:
        op, text = rng.choice(TWO)
    else:
        text = rng.choice({"+": ADD, "-": SUBTRACT, "*": MULTIPLY, "/": DIVIDE}[op])
    if op[0] == "-" and a < b:
        a, b = b, a
    if op[0] in "*/":
        b = rng.randint(2, 9)
    if op == "/":
        a = b * rng.randint(2, max(2, top // b))
        think, result, _ = scratch.divide(a, b)
    else:
        think, result = SOLVE[op[0]](a, b)
        if op[1:]:
            if op[1] == "-":
                c = rng.randint(1, max(1, min(result, 99)))
            more, result = SOLVE[op[1]](result, c)
            think = f"{think}\n{more}"
    (n, p), (m, _), (o, _) = rng.sample(PEOPLE, 3)
    text = text.format(N=n, P=p.capitalize(), p=p, M=m, O=o, a=a, b=b, c=c, t=rng.choice(THINGS), x=rng.choice(BOXES))
    return Example(f"story {op} {a} {b} {c if op[1:] else ''}", text, think, str(result))
