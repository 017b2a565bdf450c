"""One run, from spec to record. It happens in a child process of its own (`bench.cli.child`)."""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import RunFailure, UnreadableArtefact, UsageError
from bench.extensions.registry import Registry
from bench.planning.configuring import build, own_protocol
from bench.recipes import Setting
from bench.results import records
from bench.results.answers import is_done
from bench.results.outcomes import Costs, Evaluation
from bench.results.records import Record
from bench.results.spec import EvaluationSpec, Job, RunSpec
from bench.running.context import RunContext, make_task, open_for
from bench.running.edits import Kept, called, of_all, of_set, said_of_edits
from bench.running.environment import changed_since, describe
from bench.running.failures import WorkToDo, is_of_the_system, is_recordable, reason_of, status_of
from bench.running.record_keeping import controls, earlier_record, ended, keep, unread
from bench.running.scoring import Scoring, judged_by
from bench.running.synthesis import Synthesis
from bench.storage import run_folder
from bench.storage.artefacts import whole_or_aside
from bench.storage.files import clean_leftovers
from bench.storage.shared.leases import LockHeld, locked

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Attempt:
    """The record that an attempt shows, and the one that the folder keeps: never less than what was done before."""

    shown: Record
    kept: Record


@dataclass
class Run:
    """One job at a place. `retry` does again what failed before; `looking` makes nothing."""

    job: Job
    registry: Registry
    place: RunContext
    retry: bool = False
    looking: bool = False

    def found(self) -> Record | None:
        """The record of a run in which nothing is left to do, verified as `complete` does; None for any other.

        Raises:
            LockHeld: as `complete`.
        """
        if not os.path.lexists(self.place.runs / self.job.spec.name / run_folder.RECORD):
            return None
        try:
            return replace(self, looking=True).complete()
        except WorkToDo:
            return None

    def complete(self) -> Record:
        """Does what is missing and returns the record, which is also written; failures are part of it.

        Raises:
            LockHeld: a live process has this run, or its folder holds another one.
            Interrupted: the user asked to stop; the same run continues.
            WorkToDo: something is not there, and the run is only looked at.
            Prepared: as `RunContext.anew` says; the same run continues in another process.
        """
        try:
            with self.held():
                return self._complete()
        except UnreadableArtefact as error:  # nothing is known of the run, so nothing of it is replaced
            return unread(self.job, self.place, reason_of(error))

    def held(self) -> AbstractContextManager[None]:
        """Within the context the run is this process'. Raises as `leases.locked`.

        A process that goes on for another waits for who came between: the run was the other's, and is seen through.
        """
        return locked(run_folder.lock_of(self.folder), self.place.progress, wait=bool(self.place.found))

    def attempted(self, piece: Callable[[Synthesis], T]) -> T | Record:
        """A piece of the synthesis, for whoever acts for the holder of the run; where it fails the record, kept.

        Raises:
            LockHeld, Interrupted: as `complete`.
        """
        try:
            self._check_folder()
            return piece(self.synthesis)
        except BaseException as error:
            if not is_recordable(error):
                raise
            return self._failed(error)

    def made_set(self) -> Record | None:
        """Makes the set and evaluates nothing; the record of the run, kept, where that fails.

        Raises:
            LockHeld, Interrupted, Prepared: as `complete`.
        """
        with self.held():
            found = self.attempted(lambda synthesis: synthesis.costs())
        return found if isinstance(found, Record) else None

    def helped(self) -> list[str]:
        """Makes units of a run that another process has, from the last on; names those that it made.

        What fails raises, and is that process' to meet and to record.

        Raises:
            LockHeld, Interrupted: as `complete`.
        """
        self._check_folder()
        if (self.folder / run_folder.COSTS).exists():
            return []
        kept, names = self.folder / run_folder.UNITS, reversed(list(self.synthesis.units))
        missing = (name for name in names if not (kept / f"{name}.safetensors").exists())  # at its turn: others go on
        return [name for name in missing if not self.synthesis.make([name])]

    def _failed(self, error: BaseException) -> Record:
        try:
            attempt = self._without_set(error, earlier_record(self.folder, self.place))
        except UnreadableArtefact as unreadable:
            return unread(self.job, self.place, f"{reason_of(error)}; {reason_of(unreadable)}")
        keep(attempt.kept, self.place)
        return attempt.shown

    def _complete(self) -> Record:
        self._check_folder()
        earlier = earlier_record(self.folder, self.place)
        if earlier and earlier.status != "done" and not self.retry:
            if self._is_changed(earlier.environment, *self.job.evaluations):
                return replace(self, retry=True)._complete()
            reason = earlier.reason or earlier.status
            return replace(earlier, evaluations=ended(self.job, earlier, earlier.status, reason))
        if earlier is None and self.looking:
            raise WorkToDo
        attempt = self._told_of_edits(self._attempt(earlier))
        if attempt.kept != earlier:
            keep(attempt.kept, self.place)
        return attempt.shown

    def _is_changed(self, then: Kept, *evaluations: EvaluationSpec) -> bool:
        """Whether what failed did so with other plugins than are here now; then it is said to be tried again."""
        changed = changed_since(then, self.job.spec, of_all(self.job.spec, evaluations, self.registry))
        if changed and not self.looking:
            which = f"another version of its plugin ({changed})"
            self.place.progress.warn(f"{self.job.spec.name} failed before with {which}: tried again")
        return bool(changed)

    def _told_of_edits(self, attempt: Attempt) -> Attempt:
        """The same, in which evaluations say whose code was changed since; who asked is told, too."""
        edited, told = said_of_edits(attempt.shown, self.job, self.registry)
        for said in told:
            self.place.progress.warn(said)

        def marked(record: Record) -> Record:
            found = {
                key: each for key, each in record.evaluations.items() if each.edited != edited.get(key, each.edited)
            }
            marks = {key: each.model_copy(update={"edited": edited[key]}) for key, each in found.items()}
            return replace(record, evaluations={**record.evaluations, **marks})

        return Attempt(marked(attempt.shown), marked(attempt.kept))

    def _attempt(self, earlier: Record | None) -> Attempt:
        try:
            synthesis = self.synthesis
            self._clean()
            costs = synthesis.costs()
        except BaseException as error:
            if not is_recordable(error):
                raise
            return self._without_set(error, earlier)
        task = replace(synthesis.task, precision=self.job.spec.precision)
        scoring = Scoring(synthesis.folder, judged_by(task, synthesis.method), self.registry, synthesis)
        before = earlier.evaluations if earlier else {}
        scored = {same[0].key: self._scored(scoring, same, earlier) for same in self.job.measurements()}
        bare = Record(self.job.spec, "done", None, costs, before, controls(self.job, earlier), costs.environment)
        shown = {key: outcome for key, (outcome, _) in scored.items()}
        kept = {key: outcome for key, (_, outcome) in scored.items()}
        return Attempt(*(replace(bare, evaluations={**before, **outcomes}) for outcomes in (shown, kept)))

    def _without_set(self, error: BaseException, earlier: Record | None) -> Attempt:
        """A synthesis that failed. What is done stays done where it is the system that refused."""
        reason = reason_of(error)
        if earlier is not None and earlier.status == "done" and is_of_the_system(error):
            self.place.progress.warn(f"the record of {self.job.spec.name} stands, but {reason}")
            return Attempt(replace(earlier, evaluations=ended(self.job, earlier, "failed", reason)), earlier)
        if self.looking:  # the run's own process shall meet it, and leave it in its log
            raise WorkToDo from error
        log.exception("synthesis failed", exc_info=error)
        status, links = status_of(error), controls(self.job, earlier)
        offers = of_all(self.job.spec, self.job.evaluations, self.registry)
        environment = describe(self.place.device, self.job.spec.precision, self.job.spec, self.place.command, offers)
        failed = Record(
            self.job.spec, status, reason, Costs(), ended(self.job, None, status, reason), links, environment
        )
        return Attempt(failed, failed)

    def _scored(
        self, scoring: Scoring, same: Sequence[EvaluationSpec], earlier: Record | None
    ) -> tuple[Evaluation, Evaluation]:
        """How an evaluation, `same` under each of its names, ended: to be shown and to be kept.

        A failure that the system is to blame for replaces no outcome that is done, be it of fewer seeds.
        """
        each = same[0]
        before = earlier.evaluations.get(each.key) if earlier else None
        retry = self.retry or (before is not None and not before.done and self._is_changed(before, each))
        try:
            outcome = scoring.outcome(each, before, retry=retry).asked_as(*(name.asked for name in same))
        except (OSError, UnreadableArtefact, RunFailure) as error:
            if not is_of_the_system(error):
                raise
            stands = before is not None and is_done(each, before)
            if self.looking and not stands:
                raise WorkToDo from error
            self.place.progress.warn(f"{self.job.spec.name}, {each.key}: {reason_of(error)}")
            shown = ended(replace(self.job, evaluations=tuple(same)), earlier, "failed", reason_of(error))[each.key]
            return shown, before if before is not None and stands else shown
        return outcome, outcome

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self.place.runs / self.job.spec.name

    @cached_property
    def synthesis(self) -> Synthesis:
        """Of the run's set; what it prepares, it prepares once."""
        spec, place, folder = self.job.spec, self.place, self.folder
        (folder / run_folder.UNITS).mkdir(parents=True, exist_ok=True)
        self._keep_spec()
        task = make_task(spec, open_for(spec, self.registry, place), self.registry, place, folder / run_folder.UNITS)
        method = build(self.registry, spec.method)
        labeller = build(self.registry, spec.labeller) if spec.labeller else method
        protocol, looking = self._own_protocol(task.setting), self.looking
        told = place.command, of_set(spec, self.registry), looking, place.company, place.anew
        return Synthesis(spec, folder, task, method, labeller, protocol, *told)

    def _clean(self) -> None:
        """Takes away what killed writers left, for the holder of the run; of a unit that is its own maker's to do."""
        inner = (path for path in self.folder.iterdir() if path.is_dir() and path.name != run_folder.UNITS)
        for each in (self.folder, *inner):
            clean_leftovers(each)

    def _own_protocol(self, setting: Setting) -> dict[str, Any]:
        """What the set's manifest says of the protocol that it is made for, no version where that cannot be loaded.

        And of the plugins that have this, the method and the networks, where they are not the suite's.
        """
        spec, registry = self.job.spec, self.registry
        name = own_protocol(registry, (spec.labeller or spec.method).name, setting, spec.origin)
        offers, version = of_set(spec, registry), None
        with suppress(UsageError):  # the set can be made without it
            version = registry.load("protocol", name).version
            offers = {**offers, f"protocol {name}": registry.find("protocol", name)}
        strangers = {each: called(found.plugin) for each, found in offers.items() if found.foreign}
        return {"protocol": name, "protocol_version": version, **({"plugins": strangers} if strangers else {})}

    def _check_folder(self) -> None:
        """A name ends in a few digits of the hash only; two runs that share it must not share a folder."""
        held = self._held_spec()
        if held is not None and held.hash != self.job.spec.hash:
            raise LockHeld(f"its folder holds another run, whose name begins alike (hash {held.hash})")

    def _held_spec(self) -> RunSpec | None:
        """What the folder says it is; a damaged word is set aside with a warning, and is written again."""
        path, read = self.folder / run_folder.SPEC, partial(records.read_spec, self.folder)
        return whole_or_aside(read, path, self.place.progress, "spec set aside as {}")

    def _keep_spec(self) -> None:
        """What is written already needs no room: a finished run is answered on a full disk."""
        if self._held_spec() != self.job.spec:
            records.SPEC_FILE.write(self.folder / run_folder.SPEC, self.job.spec.to_json())
