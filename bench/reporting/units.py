"""Numbers as people read them. What is not known is None here and "–" in a table, never 0 and never nan."""

from bench.hardware import quantities as units

UNKNOWN = "–"
DURATIONS = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 0.001))  # a unit, and how much it is
SIZES = (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10), ("B", 1.0))


def percent(value: float | None) -> str | None:
    """An accuracy in percent, two decimals: what papers print is rounded, what was measured is not."""
    return None if value is None else f"{value:.2f}"


def spread(mean: float | None, std: float | None, count: int | None) -> str | None:
    """Mean ± standard deviation (number of trainings), as "41.10 ± 0.42 (3)"."""
    if mean is None:
        return None
    deviation = "" if std is None else f" ± {std:.2f}"
    return f"{mean:.2f}{deviation}" + (f" ({count})" if count else "")


def spread_alone(std: float | None) -> str | None:
    """A deviation, as "± 0.42"."""
    return None if std is None else f"± {std:.2f}"


def digits(value: float | None) -> str | None:
    """Three significant digits, without an exponent as long as they fit."""
    if value is None:
        return None
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:#.3g}"


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
