"""Numbers as people read them. What is not known is None here and "–" in a table, never 0 and never nan."""

from datetime import UTC, datetime
from math import floor, log10

from bench.hardware import quantities as units
from bench.results.scores import IN_POINTS as IN_POINTS

UNKNOWN = "–"
COMPANY = "†"  # marks times that others at work on the machine made longer; a star is the best (`statistics.best`)
DURATIONS = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 0.001))  # a unit, and how much it is
SIZES = (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10), ("B", 1.0))


def percent(value: float | None) -> str | None:
    """An accuracy in percent, two decimals: what papers print is rounded, what was measured is not."""
    return None if value is None else f"{value:.2f}"


def result(value: float, unit: str, beside: float | None = None, sign: str = "") -> str:
    """A result in its unit: two decimals in percent and points; of others so many more as a number below 1 needs.

    Args:
        beside: the result that it is beside, whose decimals it has.
        sign: "+" for that of a difference.
    """
    much = abs(value if beside is None else beside)
    if unit in IN_POINTS or not much or 1 <= much < 1e15:
        return f"{value:{sign}.2f}"
    return f"{value:{sign}.{2 - floor(log10(much))}f}" if 1e-6 <= much < 1 else f"{value:{sign}.3g}"


def spread(mean: float | None, std: float | None, count: int | None, unit: str = "%") -> str | None:
    """Mean ± standard deviation (number of trainings), as "41.10 ± 0.42 (3)"."""
    if mean is None:
        return None
    deviation = "" if std is None else f" ± {result(std, unit, mean)}"
    return f"{result(mean, unit)}{deviation}" + (f" ({count})" if count else "")


def claimed(value: float, std: float | None, decimals: int = 0) -> str:
    """A published number as "14.4 ± 2.0": with the decimals of its source, or of the one that needs more of them."""
    numbers = [value] if std is None else [value, std]
    plain = [f"{number:g}" for number in numbers]
    if any("e" in text for text in plain):
        return " ± ".join(plain)
    decimals = max(decimals, *(len(text.partition(".")[2]) for text in plain))
    return " ± ".join(f"{number:.{decimals}f}" for number in numbers)


def digits(value: float | None) -> str | None:
    """Three significant digits, without an exponent as long as they fit."""
    if value is None:
        return None
    if value == 0:
        return "0"
    if 100 <= abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:#.3g}".removesuffix(".")  # 99.97 is 100


def duration(seconds: float | None) -> str | None:
    """Milliseconds below a second, seconds up to two minutes, minutes up to two hours, then hours."""
    if seconds is None:
        return None
    if 0 < seconds < 1:
        return f"{digits(1000 * seconds)} ms"
    if seconds < 120:
        return f"{digits(seconds)} s"
    return f"{digits(seconds / 60)} min" if seconds < 7200 else f"{digits(seconds / 3600)} h"


def size(count: float | None) -> str | None:
    """Bytes in binary units."""
    return None if count is None else units.size(count)


def moment(date: str | None) -> str | None:
    """A date and time of a record, to the minute, in UTC; what is none, as it is."""
    try:
        return date and datetime.fromisoformat(date).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return date
