"""What is said below a ranking of its rows: what is to be doubted, what words mean, why something is empty."""

from collections.abc import Iterable, Sequence
from statistics import median

from bench.reporting import Row, common, notes, unmeasured
from bench.reporting.columns import ALL, UNSAID, WAITED, Company, method_of
from bench.reporting.headings import copies_of
from bench.reporting.naming import Whom
from bench.reporting.statistics.pooling import controls_of, runs_of
from bench.reporting.units import COMPANY, digits, duration
from bench.results import metrics
from bench.results.fields import FULL
from bench.storage.streams import one_line

SHARED_STAGES = "shared stages: what several rows' evaluations use (a protocol's teacher), at its cost"
CONTROL = "control: real images drawn at random, under the same protocol"
SAME_LABELS = f"{CONTROL}, with the same labels"
APART = "a control beside no set of its own: that has no result here, or labels that other images cannot have"
ALL_IMAGES = f"{FULL}: all real images, an upper bound and no condensed set"
IMPORTED = "imported: the images were not made by this run; set, method and backbone are as its manifest says"
TRAININGS = "sample deviation over the trainings on one set"
SETS = "sample deviation over sets (seeds of the synthesis), each the mean of its trainings"
OVER_EITHER = f"±: {TRAININGS}; of several sets over their means; the number of either in brackets"
OVER_TRAININGS, OVER_SETS = (f"±: {what}; their number in brackets" for what in (TRAININGS, SETS))
WITHIN_A_SET = "within a set: the deviation over its trainings"
UNSTEADY = 1.25
STALLED, LEAST_STALL_S = 3.0, 10.0  # times the others' median, and seconds above it
BEYOND = "no deviation of some: it is more than a float holds"


def complaints(rows: Iterable[Row]) -> list[str]:
    """One line for each row without a result: what it was, and why there is none."""
    without = unmeasured(rows)
    seeds = {row.get("seed") for row in without}
    return [_complaint(row, f", seed {row.get('seed')}" if len(seeds) > 1 else "") for row in without]


def doubts(rows: Sequence[Row], whom: Whom) -> list[str]:
    """What is to be doubted, each doubt once with all whom it concerns."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        for said in row.get("warnings") or []:
            found.setdefault(one_line(said), []).append(row)
    return [f"warning, {whom.told(who)}: {said}" for said, who in found.items()]


def _whose(row: Row) -> str:
    """The method; of a set from elsewhere its name too, since all may have one method."""
    return one_line(f"{method_of(row)} {row['set']}" if row.get("imported") and row.get("set") else method_of(row))


def of_results(rows: Sequence[Row], whom: Whom) -> list[str]:
    """What is said of results wherever they stand: doubts, what words mean, what a budget took and users changed."""
    return [*doubts(rows, whom), *copies(rows, whom), *legend(rows), *map(one_line, notes(rows))]


def copies(rows: Sequence[Row], whom: Whom) -> list[str]:
    """Whose images are not the official ones, where a heading cannot say it of all."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if (said := copies_of(row)) and common(rows, "source_differs") is None:
            found.setdefault(f"{row['dataset']}: images from {said}", []).append(row)
    return [one_line(f"{said}, {whom.told(who)}") for said, who in found.items()]


def legend(rows: Sequence[Row]) -> list[str]:
    """What words and marks of results mean; of those of costs `of_costs` does."""
    uneven = (_uneven(row) for row in rows if row.get("images_per_class"))
    return [
        *_controls(rows),
        *_spread(rows),
        *([IMPORTED] if any(row.get("imported") for row in rows) else []),
        *([ALL_IMAGES] if any(row["method"] == FULL for row in rows) else []),
        *([BEYOND] if any(map(_varies_beyond, rows)) else []),
        *uneven,
        *dict.fromkeys(map(_decoded, filter(_decodes, rows))),
    ]


def _spread(rows: Sequence[Row]) -> list[str]:
    """What stands behind ±, where a row has one."""
    if any(row.get("sets") for row in rows):
        return [OVER_SETS]
    return [OVER_TRAININGS] if any(metrics.primary(row).std is not None for row in rows) else []


def of_costs(rows: Sequence[Row]) -> list[str]:
    """What words and marks of costs mean."""
    shared = [SHARED_STAGES] if any(row.get("evaluation_prepare_s") for row in rows) else []
    return [*shared, *in_company(rows)]


def _controls(rows: Sequence[Row]) -> list[str]:
    """What controls are. Where a set's labels are of its images alone its control has others, in another ranking."""
    named = {run for row in rows for run in controls_of(row)}
    beside = {not named.isdisjoint(runs_of(row)) for row in rows if row.get("is_control")}
    of_beside = {True: [SAME_LABELS], False: [APART] if True in beside else [CONTROL, APART]}
    return [said for has_its_set in sorted(beside, reverse=True) for said in of_beside[has_its_set]]


def _varies_beyond(row: Row) -> bool:
    found = metrics.primary(row)
    return found.std is None and len(found.values) > 1


def in_company(rows: Sequence[Row], times: Sequence[Company] = ALL) -> list[str]:
    """What the mark on times means, where one of those that are shown has it."""
    workers = max((by.workers(row) for row in rows for by in times), default=1)
    waited = max((by.waited(row) for row in rows for by in times), default=0.0)
    why = [f"taken while up to {workers} workers were busy on the machine"] if workers > 1 else []
    why += [f"its process waited for a core up to {100 * waited:.0f} % of the time"] if waited > WAITED else []
    return [f"{COMPANY}: {', or '.join(why)}: not to be held against other times"] if why else []


def _uneven(row: Row) -> str:
    whose, (fewest, most) = f"set {row['set']}" if row.get("set") else _whose(row), row["images_per_class"]
    return f"{whose}: its classes have {fewest} to {most} images, {row['images']} in all"


def _decodes(row: Row) -> bool:
    return row.get("decoded_images") is not None


def _decoded(row: Row) -> str:
    """As "idc: 100 stored images decode into 400, which are trained on"."""
    return f"{_whose(row)}: {row['images']} stored images decode into {row['decoded_images']}, which are trained on"


def unsaid(rows: Sequence[Row], whom: Whom) -> list[str]:
    """Why cost columns are empty for some rows and not for others."""
    found: dict[tuple[str, str], list[Row]] = {}
    for name, title in UNSAID.items():
        if common(rows, name) is None and any(row.get(name) is not None for row in rows):
            for row in rows:
                if reason := (row.get("null_reasons") or {}).get(name):
                    found.setdefault((title, reason), []).append(row)
    return [f"{title} of {whom.told(who)}: {reason}" for (title, reason), who in found.items()]


def stored(rows: Sequence[Row], whom: Whom) -> list[str]:
    """As what images are stored, where rows differ in it: bytes of JPEG and of raw pixels are no rivals."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if form := row.get("image_format"):
            found.setdefault(form, []).append(row)
    said = "; ".join(f"{form} of {whom.told(who)}" for form, who in found.items())
    return [one_line(f"image bytes: {said}")] if len(found) > 1 else []


def threads(rows: Sequence[Row], whom: Whom) -> list[str]:
    """On how many threads of the processor rows were computed, where they differ in it: their times are no rivals."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        if row.get("device") == "cpu" and row.get("threads"):
            found.setdefault(row["threads"], []).append(row)
    said = "; ".join(f"{count} of {whom.told(found[count])}" for count in sorted(found))
    return [one_line(f"times were taken on different numbers of threads: {said}")] if len(found) > 1 else []


def machines(rows: Sequence[Row], whom: Whom) -> list[str]:
    """Where rows were measured, where not all were on one machine (--across device)."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(" and ".join(row.get("machines") or ()), []).append(row)
    said = "; ".join(f"{where} of {whom.told(who)}" for where, who in found.items())
    return [one_line(f"times and memory are left out, for machines differ: {said}")] if len(found) > 1 else []


def unsteady(rows: Sequence[Row], whom: Whom) -> list[str]:
    """Whose steps took more than `UNSTEADY` times as long at one moment as at another: their median says less."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        times = row.get("ms_per_image_iteration")
        if times and times["p80"] > UNSTEADY * times["p20"]:
            found.setdefault(f"{digits(times['p20'])} to {digits(times['p80'])}", []).append(row)
    spans = [f"{span} of {whom.told(who)}" for span, who in found.items()]
    what = UNSAID["ms_per_image_iteration"]
    return [f"{what} from the 20th to the 80th percentile: {'; '.join(spans)}"] if spans else []


def stalled(rows: Sequence[Row], whom: Whom) -> list[str]:
    """Whose trainings took unlike times, one over `STALLED` times the median of its others: their sum says less."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        *others, longest = sorted(row.get("training_seconds") or [0.0])
        if others and longest > STALLED * median(others) and longest - median(others) > LEAST_STALL_S:
            found.setdefault(f"{duration(longest)} beside {duration(median(others))}", []).append(row)
    spans = [f"{span} of {whom.told(who)}" for span, who in found.items()]
    return [f"evaluation: one training stalled: {'; '.join(spans)}"] if spans else []


def _complaint(row: Row, seed: str) -> str:
    made = row.get("set") or row["backbone"]
    where = f"{row['dataset']}, ipc {row['ipc']}, {made}{seed}, {row['protocol']} on {row['eval_backbone']}"
    again = "" if row["status"] == "skipped" else "; --retry-failed does it again"
    why = f"{row.get('reason') or 'no reason was recorded'}{again}"
    return one_line(f"{row['status']}: {method_of(row)}, {where}: {why} ({row['run']})")
