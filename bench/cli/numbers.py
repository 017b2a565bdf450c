"""Numbers as a user lists them, 1,3-5, and the width of a picture."""

import click

from bench.errors import UsageError
from bench.storage.names import brief

MOST = 10_000
NARROWEST, WIDEST = 2.0, 40.0  # inches of a picture


def numbers(text: str, option: str) -> tuple[int, ...]:
    """The numbers in their order, each once.

    Raises:
        UsageError: something is no number from 1 on and no range of them.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        pair = [
            int(each)
            for each in (first, last if dash else first)
            if each.isascii() and each.isdigit() and len(each) < 6
        ]
        if len(pair) < 2 or not 1 <= pair[0] <= pair[1] <= MOST:
            raise UsageError(f"{option} takes numbers and ranges such as 1,3-5, or all, not {brief(text)}")
        found |= dict.fromkeys(range(pair[0], pair[1] + 1))
    return tuple(found)


def inches(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """The width of a picture: a word of `bench.reporting.pictures.WIDTHS`, or a number of inches.

    Raises:
        BadParameter: it is neither, or no width that a figure can have.
    """
    from bench.reporting.pictures import WIDTHS

    if value is None:
        return None
    try:
        width = WIDTHS[value] if value in WIDTHS else float(value)
    except ValueError:
        width = 0.0
    if not NARROWEST <= width <= WIDEST:
        known = f"{', '.join(WIDTHS)} or {NARROWEST:g} to {WIDEST:g} inches"
        raise click.BadParameter(f"takes {known}, not {brief(value)}")
    return width
