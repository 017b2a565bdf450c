"""Plans: written by `bench run --plan-only`, and worked off in shards by `bench work`."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import click
import torch

from bench.cli.console import Console
from bench.cli.grid import begin, check_folders, checkpoint_seconds, in_form, placed_of, printed
from bench.cli.outcomes import carried_out, rows_of
from bench.cli.output import write
from bench.errors import Interrupted, UsageError
from bench.extensions.registry import Registry
from bench.hardware.devices import AUTO, choose_device, choose_precision, device_name
from bench.planning.placing import together
from bench.planning.plan_files import PlannedJob, as_offered, check_offered, plan_text, read_plan
from bench.planning.request import Request
from bench.progress import of_run
from bench.reporting import Row
from bench.results.answers import has_answers
from bench.results.records import Record
from bench.results.spec import Job
from bench.running.context import RunContext
from bench.running.executors import Skipped, SpreadExecutor
from bench.running.executors.orders import HelpOrder
from bench.running.executors.processes import run_child
from bench.running.executors.work import has_units
from bench.running.provenance import typed
from bench.storage import run_folder
from bench.storage.shared.leases import holder, owner_lives


def plan(request: Request, registry: Registry, output: str | None) -> None:
    """Writes the jobs of a request as a plan, into a file or to standard output.

    Raises:
        UsageError: a request that cannot be right, or a file that cannot be written.
    """
    with Console() as console:
        jobs = together(placed_of(request, registry, console))
        folder = Path(output).parent if output else Path.cwd()
        text = plan_text((PlannedJob(job, request.looks, registry.extra, unplanned(typed())) for job in jobs), folder)
        if output is None:
            click.echo(text, nl=False)
            return
        before = _there(Path(output))
        write(Path(output), text)
        planned = f"{_runs(len(jobs))} {'is' if len(jobs) == 1 else 'are'} planned"
        console.say(f"{planned}: bench work {output} --shard I/N does a share")
        if before:
            console.say(f"replaced {before} that was there")


def _runs(count: int) -> str:
    return f"{count} run{'s' if count != 1 else ''}"


def _there(output: Path) -> str:
    """What a plan is about to take the place of; "" for nothing, a pipe or a device."""
    if not output.is_file():
        return ""
    try:
        return f"the plan of {_runs(len(read_plan(output)))}"
    except UsageError:
        return "the file, no plan of this version,"


def unplanned(command: str) -> str:
    """A line that makes a plan as the one that makes its runs."""
    words, kept = iter(shlex.split(command)), list[str]()
    for word in words:
        if word in ("-o", "--output", "--machine"):
            next(words, None)
        elif word != "--plan-only" and not word.startswith(("-o", "--output=", "--machine=")):
            kept.append(word)
    return shlex.join(kept)


@dataclass(frozen=True)
class Shard:
    """One of `count` shares of a plan: every `count`th of its jobs, from the `number`th on (from 1)."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"shard {self.number}/{self.count}"

    def own(self, planned: Sequence[PlannedJob]) -> list[PlannedJob]:
        """Its share."""
        return list(planned[self.number - 1 :: self.count])

    def others(self, planned: Sequence[PlannedJob]) -> list[PlannedJob]:
        """Those of the others, the next shard's first; each from its end, as whoever it is of begins at the front."""
        after = (Shard((self.number - 1 + step) % self.count + 1, self.count) for step in range(1, self.count))
        return [each for shard in after for each in reversed(shard.own(planned))]


@dataclass(frozen=True)
class Place:
    """Where a plan is worked off, and how."""

    runs: Path
    cache: Path
    data_root: Path
    device: str
    timeout: float | None


def work(plan: Path, shard: Shard, place: Place, plugins: Sequence[str], form: str, *, retry: bool) -> int:
    """Does a shard of a plan, then what nobody has of the others', and prints a table of both; the exit status.

    Raises:
        UsageError: a plan that cannot be read or done here; nothing was written.
    """
    planned = read_plan(plan)
    registry = Registry(tuple(dict.fromkeys([*(name for each in planned for name in each.plugins), *plugins])))
    check_offered(planned, registry)
    planned = [as_offered(each, registry) for each in planned]
    device = _device_for(planned, place.device)
    shown = in_form(registry, form, None)
    check_folders(place.runs, place.cache)
    with Console() as console:
        shift = Shift(shard, planned, registry, place, device, console)
        rows = shift.work(retry=retry)
    if rows:
        printed(shown(rows), place.runs)
    if shift.stopped:
        return 130
    return 0 if all(row["status"] == "done" for row in rows) else 1


def _device_for(planned: Sequence[PlannedJob], name: str) -> torch.device:
    """The device here that all jobs are planned for. Raises UsageError: there is none, or several are meant."""
    kinds = {(each.job.spec.device, each.job.spec.machine) for each in planned}
    if len(kinds) > 1:
        meant = " and ".join(sorted(machine for _, machine in kinds))
        raise UsageError(f"the plan is for {meant}: one machine cannot do both; make a plan for each")
    ((kind, machine),) = kinds
    device = choose_device(kind if name == AUTO else name)
    if device_name(device) != machine:
        how = f"; plan for it with --machine {device_name(device)!r}" if device.type == "cuda" else ""
        raise UsageError(f"the plan is for {machine}, and --device {name} is {device_name(device)} here{how}")
    for precision in {each.job.spec.precision for each in planned}:
        choose_precision(precision, device)
    return device


@dataclass
class Shift:
    """A shard at work on a plan, beside others that may be."""

    shard: Shard
    planned: Sequence[PlannedJob]
    registry: Registry
    place: Place
    device: torch.device
    console: Console
    stopped: bool = False
    _ended: dict[str, Record | Skipped] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)

    def work(self, *, retry: bool) -> list[Row]:
        """Its own share, what nobody has of the others', and units of what others have.

        Only what is its own is done again where it failed.

        Returns:
            The rows that it answers for: of its own share, and of what it took besides.
        """
        own, others = self.shard.own(self.planned), self.shard.others(self.planned)
        left = [*self._pass(own, retry=retry), *self._pass(others)]
        while left:  # whoever had a run may have died meanwhile
            before, left = len(left), self._pass(left)
            if len(left) == before and not self._find_dead(left) and not self._help(left):
                break
        self._say(len(left))
        return self._rows()

    def _pass(self, planned: Sequence[PlannedJob], *, retry: bool = False) -> list[PlannedJob]:
        """Does what can be done; returns what others are at. A run of another shard that is done is passed over."""
        own = self._own()
        todo = [each for each in planned if each.job.spec.name in own or not has_answers(self.place.runs, each.job)]
        free = [each for each in todo if not self._is_held(each.job)]  # what is held needs no process to find that out
        for (looks, command), group in groupby(free, lambda each: (each.looks, each.command)):
            jobs = [each.job for each in group]
            if not self.stopped:
                ended, self.stopped = carried_out(self._executor(jobs, looks, command, retry=retry), jobs, self.console)
                self._ended |= {job.spec.name: outcome for job, outcome in zip(jobs, ended, strict=False)}
        return [each for each in todo if not isinstance(self._ended.get(each.job.spec.name), Record)]

    def _executor(self, jobs: Sequence[Job], looks: int, command: str, *, retry: bool) -> SpreadExecutor:
        place = self.place
        folders = (place.runs.absolute(), place.cache.absolute(), place.data_root.absolute())
        context = RunContext(*folders, self.device, self.console)
        context = replace(context, checkpoint_seconds=checkpoint_seconds(), looks=looks, command=command)
        begins = partial(self._begins, [job.spec.name for job in jobs])
        return SpreadExecutor(self.registry, context, retry, place.timeout, begins)

    def _begins(self, names: Sequence[str], job: Job) -> None:
        self._begun.add(job.spec.name)
        begin(self.console, names, job)

    def _is_held(self, job: Job) -> bool:
        return holder(self._lock(job)) is not None

    def _lock(self, job: Job) -> Path:
        return run_folder.lock_of(self.place.runs / job.spec.name)

    def _find_dead(self, left: Sequence[PlannedJob]) -> bool:
        """Whether of those who have what is left one is dead: of another machine that takes a while to see."""
        held = [] if self.stopped else [each.job for each in left if self._is_held(each.job)]
        try:
            found = [owner_lives(self._lock(job), self.console) for job in held]
        except KeyboardInterrupt:
            self.stopped = True
            return False
        return not all(found)

    def _help(self, left: Sequence[PlannedJob]) -> bool:
        """Makes units of runs that others have; whether it found any to make."""
        units = [each for each in left if not self.stopped and has_units(each.job, self.registry)]
        try:
            return any(self._helped(each) for each in units)
        except Interrupted as stop:
            self.console.say(f"{stop}; the same command continues")
            self.stopped = True
            return False

    def _helped(self, each: PlannedJob) -> bool:
        """Whether it made a unit of a run; why not is for whoever has the run to say."""
        executor = self._executor([each.job], each.looks, each.command, retry=False)
        order, run = HelpOrder(**vars(executor.order(each.job))), each.job.spec.name
        ended = run_child(order, executor.place.cache, of_run(self.console, run), self.place.timeout)
        made = ended.facts["units"] if ended.event == "helped" else []
        if made:
            self.console.say(f"{run}, which another has: made {', '.join(map(str, made))}")
        if ended.stopped:  # in the middle of its last unit, say
            raise Interrupted("stopped")
        return bool(made)

    def _own(self) -> set[str]:
        """The names of the runs of its own share."""
        return {each.job.spec.name for each in self.shard.own(self.planned)}

    def _rows(self) -> list[Row]:
        mine = self._own() | self._begun
        known = [(each.job, self._ended.get(each.job.spec.name)) for each in self.planned]
        done = {job.spec.name: (job, end) for job, end in known if job.spec.name in mine and isinstance(end, Record)}
        return rows_of([job for job, _ in done.values()], [record for _, record in done.values()])

    def _say(self, held: int) -> None:
        """What came of the shard, where it had nothing to do or others are at what is left."""
        if self.stopped:
            return
        others = f"; others are at {held} of its {len(self.planned)} runs" if held else ""
        if not self._begun:
            self.console.say(f"{self.shard}: nothing of the plan is left to take{others}")
        elif held:
            self.console.say(f"{self.shard}: done what nobody had{others}")
