"""`bench.run`, `bench.evaluate` and `bench.records`: the commands by calls, with rows in place of a printed table."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from bench.cli.commands import evaluate as evaluate_command
from bench.cli.commands import report as report_command
from bench.cli.commands import run as run_command
from bench.cli.console import Console
from bench.extensions.registry import Registry
from bench.hardware.choices import Compile
from bench.interface.words import offered, understood, words_of
from bench.recipes import Budget
from bench.reporting import Row
from bench.reporting.claimed import beside_claims, claims_reader
from bench.reporting.statistics.devices import across_devices
from bench.reporting.statistics.pooling import over_seeds
from bench.reporting.statistics.scores import with_scores

if TYPE_CHECKING:
    import pandas as pd

    from bench.planning.request import Request

Names = str | Iterable[str]
Numbers = int | Iterable[int]
Place = str | PathLike[str]
Settings = Mapping[str, Any] | Iterable[str]
OPTIONS = ("runs", "plugins", "retry_failed", "timeout", "dry_run", "form", "plan_only", "output")


@dataclass(frozen=True)
class Result:
    """What came of a call.

    Attributes:
        rows: one an evaluation, with the fields that `--format json` prints (docs/rows.md).
        whole: whether all of them are done; a row that is not says why in `reason`.
    """

    rows: list[Row]
    whole: bool
    _show: Any = field(repr=False, compare=False)

    @property
    def frame(self) -> "pd.DataFrame":
        """The rows as a table, a column a field; what has parts (`peak_memory_bytes`) stays one cell."""
        return frame_of(self.rows)

    def table(self, form: str = "table") -> str:
        """The rows as the command prints them, in any registered format. Raises UsageError for an unknown one."""
        return str(self._show(form)(self.rows)) if self.rows else ""

    def __str__(self) -> str:
        return self.table()


@offered
def run(
    method: Names = (),
    dataset: Names = (),
    *,
    ipc: Numbers = (),
    backbone: Names = "resnet18",
    eval_backbone: Names = (),
    protocol: Names = "paper",
    seed: Numbers = 0,
    eval_seeds: int = 3,
    looks: int = 0,
    classes: int | Names | None = None,
    set: Settings = (),
    budget: Budget = "paper",
    device: str = "auto",
    precision: str = "auto",
    compile: Compile = "auto",
    control: bool = True,
    ladder: str | None = None,
    data_root: Place | None = None,
    runs: Place | None = None,
    retry_failed: bool = False,
    timeout: float | str | None = None,
    executor: str = "local",
    workers: int | None = None,
    address: str | None = None,
    memory: str | None = None,
    exclusive_costs: bool = False,
    plugin: Names = (),
    quiet: bool = False,
) -> Result:
    """Condense, evaluate, measure and compare: `bench run`, whose help says more of each argument.

    What may be several takes one value or a list. Runs happen in processes of their own, and what is finished is found
    again; a run that fails is a row with its reason. Progress goes to standard error.

    Args:
        method: of condensation, or "all" that condense; required unless a `ladder` is named.
        dataset: by name, or the path of a card; required.
        ipc: images per class; none: the papers' own, else 10.
        backbone: condense with; "METHOD=NAME" for one method, "TRAIT=NAME" for those that need the trait.
        eval_backbone: train on the set; none: the backbone.
        seed: of the synthesis.
        eval_seeds: trainings an evaluation.
        looks: test so often on the way, for learning curves; nothing is chosen by it.
        classes: the first so many, or these ids or words.
        set: hyper-parameters by dotted key, `{"recover.iterations": 100}`; "METHOD:KEY" for one method.
        ladder: in place of methods: configurations, each one change further.
        data_root: where datasets lie; None: `BENCH_DATA`, or ./data.
        runs: where run folders are kept; None: `BENCH_RUNS`, or ./runs.
        timeout: of each run: seconds, or "90s", "30m", "2h".
        executor, address: who does the work (`bench list executors`), and where it is found.
        memory: that each worker elsewhere asks its node for, as "16GiB".
        workers: how many work side by side; none: one, whom nothing disturbs.
        exclusive_costs: make sets while no other worker is busy, and evaluate side by side.
        plugin: modules or files to load besides.
        quiet: nothing on standard error but warnings.

    Raises:
        UsageError: what the command line refuses, in the same words; nothing was written.
        KeyboardInterrupt: Ctrl-C; what is finished is kept, and the same call continues.
    """
    given = dict(locals())
    del given["quiet"]
    words = words_of(run_command.command, **given)
    asked = understood(run_command.command, words)
    options = _popped_options(asked)
    request = run_command.requested(registry := Registry(options["plugins"]), **asked)
    return _result(request, registry, options, _line("run", words), quiet=quiet)


@offered
def evaluate(
    folder: Place,
    dataset: str,
    eval_backbone: Names,
    *,
    backbone: str | None = None,
    protocol: Names = (),
    ipc: Numbers = (),
    seed: Numbers = (),
    eval_seeds: int = 3,
    looks: int = 0,
    classes: int | Names | None = None,
    budget: Budget = "paper",
    device: str = "auto",
    precision: str = "auto",
    compile: Compile = "auto",
    control: bool = True,
    data_root: Place | None = None,
    runs: Place | None = None,
    retry_failed: bool = False,
    timeout: float | str | None = None,
    executor: str = "local",
    workers: int | None = None,
    address: str | None = None,
    memory: str | None = None,
    exclusive_costs: bool = False,
    plugin: Names = (),
    quiet: bool = False,
) -> Result:
    """Score a condensed set that came from anywhere: `bench evaluate`, beside random real images.

    Args:
        folder: a run, by its name or folder, or a folder with a manifest.json, as one written by hand
            (docs/concepts.md).
        dataset: to test on, by name or the path of a card.
        eval_backbone: train on the set.
        backbone: labels, where a protocol makes labels; none: what the set was condensed with, by its manifest, or else
            the first eval_backbone.
        protocol: evaluate by; none: the one that the manifest names.
        ipc: the first so many images of each class; none: all.
        seed: of the students and of the control; none: the set's own, by its manifest, or 0.
        classes: those that the set is of; None: all.

    The others are as of `run`, and so is what is raised.
    """
    given = dict(locals())
    del given["quiet"]
    words = words_of(evaluate_command.command, **given)
    asked = understood(evaluate_command.command, words)
    options = _popped_options(asked)
    request = evaluate_command.requested(
        registry := Registry(options["plugins"]), runs=options["runs"], quiet=quiet, **asked
    )
    return _result(request, registry, options, _line("evaluate", words), quiet=quiet)


@offered
def records(
    *named: Place,
    where: Settings = (),
    claims: bool = True,
    over: Literal["seed"] | None = None,
    across: Literal["device"] | None = None,
    scores: bool = False,
    runs: Place | None = None,
    plugin: Names = (),
    quiet: bool = False,
) -> "pd.DataFrame":
    """The rows of what was run, one an evaluation, as `bench report` makes its tables of.

    Args:
        named: run folders, folders of runs, or names of runs below `runs`; none: all runs there.
        where: only rows with this in a field, `{"ipc": 10, "method": "sre2l"}`, or texts FIELD=VALUE.
        claims: put the published number for its cell beside each row.
        over: "seed" gives sets that differ in their seed alone as one row.
        across: "device" puts rows of all machines together, without costs where they differ (docs/measuring.md).
        scores: gives each row `scores`, what the rows of one cell say of each other (docs/measuring.md).
        runs, plugin, quiet: as of `run`.

    Raises:
        UsageError: no such run or field, or nothing that fits.
    """
    given = dict(locals())
    del given["quiet"]
    asked = understood(report_command.command, words_of(report_command.command, **given))
    whose = (asked["named"], asked["where"], asked["runs"])
    with Console(quiet=quiet) as console:
        rows = report_command.rows_asked_for(*whose, console, folders={})
    together = across_devices(rows) if across else rows
    pooled = over_seeds(together) if over else together
    made = beside_claims(Registry(asked["plugins"]), pooled, claims=claims)
    return frame_of(with_scores(made) if scores else made)


def frame_of(rows: Iterable[Row]) -> "pd.DataFrame":
    """A column a field, in the order of docs/rows.md."""
    import pandas as pd

    return pd.DataFrame(list(rows))


def _popped_options(asked: dict[str, Any]) -> dict[str, Any]:
    """What of a command's values is no part of the request; it is taken out."""
    return {name: asked.pop(name) for name in OPTIONS if name in asked}


def _line(name: str, words: Iterable[str]) -> str:
    return shlex.join(["bench", name, *words])


def _result(request: "Request", registry: Registry, options: Mapping[str, Any], command: str, *, quiet: bool) -> Result:
    from bench.cli.grid import in_form, run_grid

    beside = claims_reader(registry, claims=True)  # before any work
    how = {"retry": options["retry_failed"], "timeout": options["timeout"], "command": command}
    with Console(quiet=quiet) as console:
        done = run_grid(request, registry, options["runs"], console, **how)
    if done.stopped:
        raise KeyboardInterrupt("stopped; the same call continues")
    return Result(beside(done.rows), done.whole, lambda form: in_form(registry, form, request.ladder))
