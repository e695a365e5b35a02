"""Written arithmetic, in steps that each need one look-up.

A number is first written with a letter before each digit (471 becomes `A4B7C1`). A step names the letters of the digits
it takes, so the model never has to count positions: it goes from letter to letter. After `>` stands the result so far.
"""

from __future__ import annotations

LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def label(text: str) -> str:
    """`471` to `A4B7C1`."""
    return "".join(LABELS[i] + c for i, c in enumerate(text))


def digit(text: str, i: int) -> str:
    """The labelled digit at `i`, or 0 without a label before the first."""
    return LABELS[i] + text[i] if i >= 0 else "0"


def value(text: str, i: int) -> int:
    return int(text[i]) if i >= 0 else 0


def add(a: int, b: int) -> tuple[str, int]:
    """Steps of a sum from the lowest digits: `C1+C2+0=03>3`; the third term is the carry."""
    x, y = str(a), str(b)
    lines, carry, result = [f"{label(x)}+{label(y)}"], 0, ""
    for k in range(1, max(len(x), len(y)) + 1):
        i, j = len(x) - k, len(y) - k
        total = value(x, i) + value(y, j) + carry
        last = max(i, j) == 0
        result = f"{total:02}" + result if last else f"{total % 10}" + result
        lines.append(f"{digit(x, i)}+{digit(y, j)}+{carry}={total:02}>{result}")
        carry = total // 10
    return "\n".join(lines), a + b


def compare(a: int, b: int) -> tuple[str, str]:
    """A line that ends with the first difference, and its sign: lengths first (last letters), then digits."""
    x, y = str(a), str(b)
    if len(x) != len(y):
        sign = ">" if len(x) > len(y) else "<"
        return f"{LABELS[len(x) - 1]}{sign}{LABELS[len(y) - 1]}", sign
    parts, sign = [f"{LABELS[len(x) - 1]}={LABELS[len(y) - 1]}"], "="
    for i, (p, q) in enumerate(zip(x, y, strict=True)):
        sign = "=" if p == q else ">" if p > q else "<"
        parts.append(f"{LABELS[i]}{p}{sign}{q}")
        if sign != "=":
            break
    return " ".join(parts), sign


def subtract(a: int, b: int) -> tuple[str, int]:
    """Steps of a difference: `C1-C2-0=19>9`, where the first digit after `=` is what the next step borrows."""
    lines = [f"{label(str(a))}-{label(str(b))}"]
    line, sign = compare(a, b)
    lines.append(line)
    if sign == "=":
        return "\n".join(lines), 0
    x, y = str(a), str(b)
    if sign == "<":
        x, y = y, x
        lines.append(f"-{label(x)}-{label(y)}")
    borrow, result = 0, ""
    for k in range(1, len(x) + 1):
        i, j = len(x) - k, len(y) - k
        d = value(x, i) - value(y, j) - borrow
        result = str(d % 10) + result
        lines.append(f"{digit(x, i)}-{digit(y, j)}-{borrow}={int(d < 0)}{d % 10}>{result}")
        borrow = int(d < 0)
    return "\n".join(lines), a - b


def multiply(a: int, b: int) -> tuple[str, int]:
    """Steps of a product, a row for each digit of `b`; a row adds to the one before it, whose last digit is done.

    `B7*B8=56+A9+1=66>62`: the product, the digit of the row before, the carry. A row ends with what it made, labelled,
    and after `:` the digits that are done.
    """
    x, y = str(a), str(b)
    lines, before, done = [f"{label(x)}*{label(y)}"], "", ""
    for j in range(len(y) - 1, -1, -1):
        carry, row = 0, ""
        for i in range(len(x) - 1, -1, -1):
            product = int(x[i]) * int(y[j])
            step = f"{digit(x, i)}*{digit(y, j)}="
            total = product + carry
            if before:
                total += int(before[i])
                step += f"{product:02}+{digit(before, i)}+{carry}="
            else:
                step = step[:-1] + f"+{carry}="
            row = f"{total:02}" + row if i == 0 else str(total % 10) + row
            lines.append(f"{step}{total:02}>{row}")
            carry = total // 10
        if j:
            done = row[-1] + done
            lines.append(f"{label(row)}:{done}")
            before = row
        elif done:
            lines.append(f"={row}{done}")
    return "\n".join(lines), a * b


def divide(a: int, b: int) -> tuple[str, int, int]:
    """Steps of a division by one digit from the highest digit: `B47/7=6r5>06`; 47 is the rest before and digit B."""
    x = str(a)
    lines, rest, quotient = [f"{label(x)}/{b}"], 0, ""
    for i, c in enumerate(x):
        part = rest * 10 + int(c)
        quotient += str(part // b)
        lines.append(f"{LABELS[i]}{part:02}/{b}={part // b}r{part % b}>{quotient}")
        rest = part % b
    return "\n".join(lines), a // b, rest
