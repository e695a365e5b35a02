"""The written steps, worked through again from their text alone."""

from __future__ import annotations

import re
from random import Random

from tasks import scratch
from tasks.base import number


def last(lines: str) -> int:
    """The result that the last step ends with."""
    return int(re.split(r"[>=]", lines)[-1])


def test_sums_end_in_the_result():
    rng = Random(1)
    for _ in range(2000):
        a, b = number(rng, 6), number(rng, 6)
        lines, result = scratch.add(a, b)
        assert last(lines) == result == a + b
        lines, result = scratch.subtract(a, b)
        assert result == a - b
        if a != b:
            assert last(lines) == abs(a - b)
            assert ("\n-" in lines) == (a < b)


def test_products_end_in_the_result():
    rng = Random(2)
    for _ in range(2000):
        a, b = number(rng, 3), number(rng, 3)
        lines, result = scratch.multiply(a, b)
        assert last(lines) == result == a * b


def test_every_step_of_a_product_is_right():
    step = re.compile(r"[A-C](\d)\*[A-C](\d)(?:=(\d\d)\+[A-D](\d))?\+(\d)=(\d\d)>\d+")
    for a, b in [(999, 999), (907, 80), (5, 123), (0, 10), (471, 382)]:
        lines, _ = scratch.multiply(a, b)
        steps = [m for line in lines.split("\n") if (m := step.fullmatch(line))]
        assert len(steps) == len(str(a)) * len(str(b))
        for m in steps:
            x, y, product, above, carry, total = m.groups()
            assert product is None or int(product) == int(x) * int(y)
            assert int(total) == int(x) * int(y) + int(above or 0) + int(carry)


def test_quotients_and_rests():
    rng = Random(3)
    for _ in range(2000):
        a, b = number(rng, 5), rng.randint(2, 9)
        lines, whole, rest = scratch.divide(a, b)
        assert (whole, rest) == divmod(a, b)
        assert int(lines.split(">")[-1]) == whole
        assert re.findall(r"r(\d)>", lines)[-1] == str(rest)


def test_comparison_names_the_first_difference():
    assert scratch.compare(4512, 4521) == ("D=D A4=4 B5=5 C1<2", "<")
    assert scratch.compare(99, 100) == ("B<C", "<")
    assert scratch.compare(7, 7) == ("A=A A7=7", "=")


def test_written_example():
    assert scratch.add(58, 7)[0] == "A5B8+A7\nB8+A7+0=15>5\nA5+0+1=06>065"
    assert scratch.subtract(3, 12)[0] == "A3-A1B2\nA<B\n-A1B2-A3\nB2-A3-0=19>9\nA1-0-1=00>09"
