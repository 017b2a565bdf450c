"""The numbers of a table's cells, in words: "cells 1, 3-5"."""

from collections.abc import Iterable, Sequence


def in_ranges(numbers: Sequence[int]) -> str:
    """As --cells takes them: "1, 3-5"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def cells_said(numbers: Sequence[int]) -> str:
    """Them with the word before: "cell 2", "cells 1, 3-5"."""
    return f"cell{'s' if len(numbers) > 1 else ''} {in_ranges(numbers)}"


def by_words(said: Iterable[tuple[int, Sequence[str]]]) -> list[tuple[str, list[int]]]:
    """What is said of cells, by their numbers, turned round: each different text with its cells, and no empty one."""
    found: dict[str, list[int]] = {}
    for number, words in said:
        found.setdefault("; ".join(words), []).append(number)
    return [(text, numbers) for text, numbers in found.items() if text]
