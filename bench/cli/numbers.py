"""Numbers as a user lists them: 1,3-5."""

from bench.errors import UsageError
from bench.storage.names import brief

MOST = 10_000


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
