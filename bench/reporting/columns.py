"""The columns of tables: of a row, what a cell shows, and the number behind it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.hardware.quantities import peak_of
from bench.hardware.waiting import share_of_all
from bench.reporting import Row
from bench.reporting.units import COMPANY, DURATIONS, SIZES, digits, duration, size

IMPORTED = "imported"
Cell = Callable[[Row], str | None]
Columns = dict[str, list[str]]  # by title, which may hold a line break, the text of each row


def lines(columns: Columns) -> list[tuple[str, ...]]:
    """The texts of each row, in the order of the columns."""
    return list(zip(*columns.values(), strict=True))


def flat(title: str) -> str:
    """A title in one line."""
    return title.replace("-\n", "-").replace("\n", " ")


def distinct_title(title: str, others: Iterable[str], what: str) -> str:
    """A title that a plugin's name makes, as none of the others: "iterations (metric)" beside the cost of that name."""
    taken = set(map(flat, others))
    while flat(title) in taken:
        title = f"{title} ({what})"
    return title


@dataclass(frozen=True)
class Quantity:
    """A cell that shows a number.

    Attributes:
        shown: how.
        number: the number itself, or None where it may be held against no other.
        units: in which it may be shown, the largest first.
        measured: the number all the same, for those that are held against no other.
    """

    shown: Cell
    number: Callable[[Row], float | None]
    units: Sequence[tuple[str, float]] = ()
    measured: Callable[[Row], float | None] | None = None

    def order(self, row: Row) -> float | None:
        """By what it is sorted."""
        return (self.measured or self.number)(row)

    def __call__(self, row: Row) -> str | None:
        """As it is shown."""
        return self.shown(row)


def text(row: Row, name: str) -> str | None:
    """A field of a row, as it is."""
    return None if row.get(name) is None else str(row[name])


def inside(name: str, key: str) -> Callable[[Row], float | None]:
    """Reads a number inside an object of a row; None where there is no such object."""
    return lambda row: (row.get(name) or {}).get(key)


def method_of(row: Row) -> str:
    """The method as tables name it: whether it is the control, or came from elsewhere."""
    if row.get("is_control"):
        return f"{row['method']} (control)"
    known = row["method"] != IMPORTED  # that is what a manifest without a method's name is taken to say
    return f"{row['method']} ({IMPORTED})" if row.get("imported") and known else str(row["method"])


def _resident(row: Row) -> float | None:
    """The process's resident peak says what a CPU run needed; on CUDA the allocator's peak does."""
    memory = row.get("peak_memory_bytes") or {}
    return memory.get("rss") if memory.get("allocated") is None else None


def peak_before(row: Row) -> float | None:
    """Likewise, of what comes before the images; None of a method that prepares nothing."""
    return peak_of(row.get("prepare_peak_memory_bytes")) if prepared(row) is not None else None


def _value(row: Row, name: str) -> float | None:
    return row.get(name)


UNITS: Mapping[object, Sequence[tuple[str, float]]] = {duration: DURATIONS, size: SIZES}


def quantity(number: Callable[[Row], float | None], form: Callable[[float | None], str | None]) -> Quantity:
    """A number in its form."""
    return Quantity(lambda row: form(number(row)), number, UNITS.get(form, ()))


def plain(name: str, form: Callable[[float | None], str | None]) -> Quantity:
    """A field of a row."""
    return quantity(partial(_value, name=name), form)


UNSAID = {
    "ms_per_image_iteration": "ms/image-iteration",
    "prepare_s": "prepare",
    "synthesis_s": "synthesis",
    "label_s": "labelling",
}
WAITED = 0.1  # so much of its time may work wait for cores before its times are a tenth too long
LEAST_PREPARED_S = 0.001  # no stage is found in less, let alone made


@dataclass(frozen=True)
class Company:
    """What tells who else was at work while something was timed.

    Attributes:
        counted: the field with the workers.
        parts: of `waited`, each with the field that has its seconds.
    """

    counted: str
    parts: Mapping[str, str]

    def workers(self, row: Row) -> int:
        """The most that were busy on the machine."""
        return row.get(self.counted) or 1

    def waited(self, row: Row) -> float:
        """The share of the time that was waited for a core: of several parts the mean by their seconds.

        What is not known of a part counts as 0, or one of milliseconds would speak for one of hours.
        """
        shares = row.get("waited") or {}
        pieces = [(row.get(seconds) or 0.0, shares.get(part) or 0.0) for part, seconds in self.parts.items()]
        together = share_of_all(pieces)
        return max(share for _, share in pieces) if together is None else together  # a step may have a share alone

    def disturbed(self, row: Row) -> bool:
        """Whether a time says more than what the work itself takes."""
        return self.workers(row) > 1 or self.waited(row) > WAITED


PARTS = {"prepare": "prepare_s", "synthesis": "synthesis_s", "labels": "label_s"}
OF_PREPARE, OF_SYNTHESIS, OF_LABELS = (Company("workers", {part: seconds}) for part, seconds in PARTS.items())
OF_SET = Company("workers", PARTS)
OF_SHARED = Company("evaluation_workers", {"evaluation_prepare": "evaluation_prepare_s"})
OF_EVALUATION = Company("evaluation_workers", {"evaluation": "evaluation_s"})
ALL = (OF_PREPARE, OF_SYNTHESIS, OF_LABELS, OF_SHARED, OF_EVALUATION)


def timed(measured: Quantity, by: Company = OF_SET) -> Quantity:
    """A time: marked where it was taken in company, and then no number to hold against others."""

    def shown(row: Row) -> str | None:
        found = measured(row)
        return f"{found}{COMPANY}" if found is not None and by.disturbed(row) else found

    def alone(row: Row) -> float | None:
        return None if by.disturbed(row) else measured.number(row)

    return Quantity(shown, alone, measured.units, measured.number)


def prepared(row: Row) -> float | None:
    """Seconds of what comes before the images; None of a method that prepares nothing, however long that took."""
    seconds: float | None = row.get("prepare_s")
    return None if seconds is not None and 0 <= seconds < LEAST_PREPARED_S else seconds


COSTS: dict[str, Cell] = {
    "ms/image-\niteration": timed(quantity(inside("ms_per_image_iteration", "median"), digits), OF_SYNTHESIS),
    "peak\nmemory": quantity(inside("peak_memory_bytes", "allocated"), size),
    "peak\nRSS": quantity(_resident, size),
    "peak of\nprepare": quantity(peak_before, size),
    "image\nbytes": plain("set_bytes", size),
    "label\nbytes": quantity(lambda row: row.get("label_bytes") or None, size),  # hard ones have none to show
    "total\nbytes": quantity(lambda row: row.get("total_bytes") if row.get("label_bytes") else None, size),
    "stage\nbytes": quantity(lambda row: row.get("stage_bytes") or None, size),
}
TIMES: dict[str, Cell] = {
    "prepare": timed(quantity(prepared, duration), OF_PREPARE),
    "iterations": Quantity(partial(text, name="iterations"), partial(_value, name="iterations")),
    "warm-up": timed(plain("warm_up_s", duration), OF_SYNTHESIS),
    "synthesis": timed(plain("synthesis_s", duration), OF_SYNTHESIS),
    "per image": timed(plain("seconds_per_image", duration), OF_SYNTHESIS),
    "labelling": timed(plain("label_s", duration), OF_LABELS),
    "total": timed(plain("total_s", duration), OF_SET),
    "shared\nstages": timed(plain("evaluation_prepare_s", duration), OF_SHARED),
    "evaluation": timed(plain("evaluation_s", duration), OF_EVALUATION),
}
