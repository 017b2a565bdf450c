"""`bench reproduce` from a table's name to the table of verdicts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from bench.cli.console import Console
from bench.cli.folders import check_runs
from bench.cli.forecasts import Counted, filled, shown, table, tried
from bench.cli.grid import check_folders, executor_of, printed, remark
from bench.cli.outcomes import carried_out, rows_of
from bench.data.fingerprints import Fingerprints
from bench.errors import Interrupted, UsageError
from bench.extensions.registry import Registry
from bench.hardware.devices import AUTO, choose_device, plain_precision
from bench.hardware.quantities import duration
from bench.planning.inventory import DataUnready
from bench.planning.placing import Placed, answers, place, together
from bench.planning.planner import Planner
from bench.planning.reproduction import foreseen, requests
from bench.planning.request import Request, inventory_of
from bench.progress import Silent
from bench.reporting import Row, drawn, format_of
from bench.reporting.cell_numbers import by_words, cells_said
from bench.reporting.reproduction import judged, standing, unreachable
from bench.results.claims import load
from bench.results.published import Cell, PublishedTable, cells, find_table
from bench.results.records import load_all
from bench.results.rows import rows
from bench.running.executors import Executor
from bench.running.forecasting.forecast import Forecast
from bench.storage.shared.mirrors import looked_at

NO_TIME = "it does not fit into the time that is left"
LOOK_EVERY = 3.0  # seconds, for data that is on its way


@dataclass
class Reproduction:
    """One command.

    Args:
        request: what all cells share.
        name: of the table.
        chosen: numbers of cells; None for all.
        within: seconds into which the cells have to fit.
        wait: seconds that data may be on its way.
    """

    request: Request
    registry: Registry
    runs: Path
    form: str
    name: str
    chosen: tuple[int, ...] | None
    retry: bool = False
    timeout: float | None = None
    within: float | None = None
    wait: float = 0.0
    unreached: list[Row] = field(default_factory=list)
    _said: int = 0  # of these

    @cached_property
    def table(self) -> PublishedTable:
        """That is asked for."""
        return find_table(self.registry, self.name)

    def measure(self) -> int:
        """Does what is left and prints every cell; returns the exit status."""
        self._check_form()
        found = list[Row]()
        try:
            with Console() as console:
                stopped = self._worked(found, console)
        finally:  # whatever ends the command, what was measured before is told
            if found:
                self._print([*found, *self.unreached])
        if stopped:
            return 130
        if not found:
            raise self._none_fits()
        return 0 if all(row["status"] == "done" for row in found) and not self._lacks_named() else 1

    def _worked(self, found: list[Row], console: Console) -> bool:
        """Adds to what was found, as data comes; whether the user stopped it."""
        try:
            for placed in self._as_data_comes(console):
                executor = self._executor(placed, console)
                afforded = self._afforded(placed, self._forecasts(placed, executor, console), console)
                if not (jobs := together(afforded)):
                    continue
                ended, stopped = carried_out(executor, jobs, console)
                found += judged(answers(afforded, rows_of(jobs, ended)), self.registry)
                if stopped:
                    return True
        except Interrupted as stop:
            console.say(f"{stop}; the same command begins again")
            return True
        return False

    def _lacks_named(self) -> bool:
        """Whether a cell that was named was waited for in vain."""
        return self.chosen is not None and any(row["reason"] != NO_TIME for row in self.unreached)

    def _as_data_comes(self, console: Console) -> Iterator[list[Placed[Cell]]]:
        """The cells that can be run, some at a time: those whose data is here, then the others as theirs comes.

        What is found out later than at the first look is told beside what other cells gave, and refuses nothing.

        Raises:
            UsageError: none can be run, or one that was named cannot.
        """
        until, none_yet = monotonic() + self.wait, True
        placed, coming = self._placed(self._asked(), console, patient=self.wait > 0)
        while placed or coming:
            if placed:
                none_yet = False
                yield placed
            if coming:
                self._wait_for(list({cell.wanted.dataset: None for cell, _ in coming}), until, console)
            placed, coming = self._placed(coming, console, patient=monotonic() < until, refusing=False)
        if none_yet:
            raise self._nothing()

    def _wait_for(self, datasets: Sequence[str], until: float, console: Console) -> None:
        """Returns when one of the datasets is here, or the time is over. Raises Interrupted: the user has waited."""
        said = False
        try:
            while (left := until - monotonic()) > 0 and all(lacking := list(map(self._lacking, datasets))):
                for name, reason in zip(datasets, lacking, strict=True) if not said else ():
                    console.say(f"waiting for {name}, {duration(left)} at most: {reason}")
                said = True
                sleep(LOOK_EVERY)
        except KeyboardInterrupt:
            raise Interrupted("stopped while data was waited for") from None

    def _lacking(self, dataset: str) -> str | None:
        """Why a dataset is not all here, or None. Files that stand still are read once."""
        try:
            inventory_of(self.registry, self.request, Silent(), whole=True, digests=self._digests).dataset(dataset)
        except DataUnready as error:
            return str(error)
        return None

    @cached_property
    def _digests(self) -> Fingerprints:
        return Fingerprints.below(self.request.cache, later=True)

    def foresee(self) -> int:
        """Prints what the cells would take; returns the exit status."""
        self._check_form()
        found: list[Forecast] = []
        with Console() as console:
            placed, _ = self._placed(self._asked(), console)
            if not placed:
                raise self._nothing()
            self._say_known(placed, console)
            executor = self._executor(placed, console)
            stopped = filled(found, tried(executor, together(placed), self.registry, console), console)
            if not stopped and not self._afforded(placed, found, console):
                console.say(str(self._none_fits()))
        return shown(found, self.form, stopped=stopped)

    def recorded(self) -> int:
        """Prints what the records say; returns the exit status.

        Raises:
            UsageError: a cell that the table has not, or no folder of runs.
        """
        self._check_form()
        chosen = self._cells()
        check_runs(looked_at(self.runs))
        with Console() as console:
            measured = rows(load_all(self.runs, console))
        found = judged(standing(chosen, measured, self._every.values()), self.registry)
        told = {row["cell"]["number"] for row in found}
        lacking = [unreachable(cell, "there is no record of it") for cell in chosen if cell.number not in told]
        self._print([*found, *lacking])
        return 0

    def _check_form(self) -> None:
        """Before any work. Raises UsageError: the form is unknown, or has none for it."""
        self._drawn([], title="")

    def _drawn(self, found: Sequence[Row], title: str) -> str:
        format_ = format_of(self.registry, self.form)
        return drawn(self.registry, self.form, lambda: format_.render_reproduction(found, title=title))

    @cached_property
    def _every(self) -> dict[int, Cell]:
        """The cells of the table by their numbers."""
        return {cell.number: cell for cell in cells(self.table, load(self.registry))}

    def _cells(self) -> list[Cell]:
        every = self._every
        if self.chosen is None:
            return list(every.values())
        if unknown := [number for number in self.chosen if number not in every]:
            raise UsageError(
                f"{self.name} has cells 1 to {len(every)}, not {unknown[0]}; bench show {self.name} lists them"
            )
        return [every[number] for number in self.chosen]

    def _asked(self) -> list[tuple[Cell, Request]]:
        """The cells that could be run if their data is here. Raises UsageError: one that was named could not."""
        check_folders(self.runs, self.request.cache)
        reachable = [cell for cell in self._cells() if not self._left_out(cell, cell.why_not(self.registry))]
        return list(requests(reachable, self.registry, self._in_plain_arithmetic()))

    def _placed(
        self,
        asked: Sequence[tuple[Cell, Request]],
        console: Console,
        *,
        patient: bool = False,
        refusing: bool = True,
    ) -> tuple[list[Placed[Cell]], list[tuple[Cell, Request]]]:
        """The cells that can be run here and, where `patient`, those whose data may be on its way.

        Raises:
            UsageError: one that was named cannot be run, where that is `refusing`.
        """
        placed, coming = list[Placed[Cell]](), list[tuple[Cell, Request]]()
        inventory = inventory_of(self.registry, self.request, console, whole=patient)
        for cell, request in asked:
            planner = Planner(self.registry, request, console, self.runs.absolute(), inventory)
            try:
                found = place(cell, planner)
                if not refusing:  # what is half copied still is no run that failed
                    inventory.check_undamaged(cell.wanted.dataset)
                placed.append(found)
            except UsageError as error:
                if patient and isinstance(error, DataUnready):
                    coming.append((cell, request))
                elif refusing:
                    self._left_out(cell, str(error))
                else:
                    self.unreached.append(unreachable(cell, str(error)))
        remark(console, inventory)
        return placed, coming

    def _executor(self, placed: Sequence[Placed[Cell]], console: Console) -> Executor:
        options: dict[str, Any] = {"retry": self.retry, "timeout": self.timeout}
        return executor_of(self.request, self.registry, self.runs, console, together(placed), **options)

    def _none_fits(self) -> UsageError:
        return UsageError(f"no cell of {self.name} fits into {duration(self.within or 0)}")

    def _nothing(self) -> UsageError:
        return UsageError(f"no cell of {self.name} can be run here: {self.unreached[0]['reason']}")

    def _left_out(self, cell: Cell, reason: str | None) -> bool:
        """Whether a cell cannot be run. Raises UsageError: and it was named."""
        if reason and self.chosen is not None:
            raise UsageError(f"cell {cell.number} of {self.name} cannot be run here: {reason}")
        if reason:
            self.unreached.append(unreachable(cell, reason))
        return bool(reason)

    def _in_plain_arithmetic(self) -> Request:
        if self.request.precision != AUTO:
            return self.request
        return replace(self.request, precision=plain_precision(choose_device(self.request.device)))

    def _forecasts(self, placed: Sequence[Placed[Cell]], executor: Executor, console: Console) -> list[Forecast]:
        """What is left takes, as it is said before the work begins."""
        self._say_known(placed, console)
        found = list(tried(executor, together(placed), self.registry, console))
        if any(each.status != "done" for each in found):
            console.show(table(found))
        return found

    def _say_known(self, placed: Sequence[Placed[Cell]], console: Console) -> None:
        """Before the work: which cells cannot be run, and which cannot be judged."""
        new, self._said = self.unreached[self._said :], len(self.unreached)
        for why, of in by_words((row["cell"]["number"], [row["reason"]]) for row in new if row["reason"] != NO_TIME):
            console.say(f"not here: {cells_said(of)}: {why}")
        for why, of in by_words((each.part.number, foreseen(each.part, self.registry)) for each in placed):
            console.say(f'{cells_said(of)}: will be "not the same", whatever is measured: {why}')

    def _afforded(
        self, placed: Sequence[Placed[Cell]], forecasts: Sequence[Forecast], console: Console
    ) -> list[Placed[Cell]]:
        """The cells that fit together into the time there is left, taken in their order."""
        if self.within is None:
            return list(placed)
        known, left, counted = {each.run: each for each in forecasts}, self.within, Counted()
        kept: list[Placed[Cell]] = []
        for each in placed:
            seconds = counted.added_seconds([known[job.spec.name] for job in each.every])
            if seconds is not None and seconds <= left:
                left -= seconds
                counted.add([known[job.spec.name] for job in each.every])
                kept.append(each)
            else:
                self.unreached.append(unreachable(each.part, NO_TIME))
        if kept:
            console.say(f"within {duration(self.within)}: {cells_said([each.part.number for each in kept])}")
        self.within = left
        return kept

    def _print(self, found: Sequence[Row]) -> None:
        ordered = sorted(found, key=lambda row: int(row["cell"]["number"]))
        printed(self._drawn(ordered, self.table.title), self.runs)
