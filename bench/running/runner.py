"""One run, from spec to record. It happens in a child process of its own (`bench.child`)."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from bench import records
from bench.errors import CorruptArtefact, UsageError
from bench.files import clean_leftovers, read_json, set_aside, write_json
from bench.plugins import Registry
from bench.recipes import Setting
from bench.records import Record
from bench.running.configuring import build, own_protocol
from bench.running.environment import describe, made_by_another_file, scored_by_another_file
from bench.running.failures import WorkToDo, is_recordable, reason_of, status_of
from bench.running.recording import controls, ended, keep
from bench.running.scoring import Scoring
from bench.running.synthesis import Synthesis
from bench.running.workplace import Place, make_task, open_for
from bench.spec import Job
from bench.stages import Owned, owned

log = logging.getLogger(__name__)


@dataclass
class Run:
    """One job at a place. `retry` does again what failed before; `looking` makes nothing."""

    job: Job
    registry: Registry
    place: Place
    retry: bool = False
    looking: bool = False

    def found(self) -> Record | None:
        """The record of a run in which nothing is left to do, verified as `complete` does; None for any other.

        Raises:
            Owned: as `complete`.
        """
        if not (self.place.runs / self.job.spec.name / "record.json").exists():
            return None
        try:
            return replace(self, looking=True).complete()
        except WorkToDo:
            return None

    def complete(self) -> Record:
        """Does what is missing and returns the record, which is also written; failures are part of it.

        Raises:
            Owned: a live process has this run, or its folder holds another one.
            Interrupted: the user asked to stop; the same run continues.
            WorkToDo: something is not there, and the run is only looked at.
        """
        lock = self.place.runs / f".{self.job.spec.name}.lock"
        with owned(lock, self.place.progress, wait=False):
            self._check_folder()
            earlier = self._earlier()
            if earlier and earlier.status != "done" and not self.retry:
                reason = earlier.reason or earlier.status
                return replace(earlier, evaluations=ended(self.job, earlier, earlier.status, reason))
            if earlier is None and self.looking:
                raise WorkToDo
            record = self._attempt(earlier)
            if record != earlier:
                keep(record, self.place)
            self._say_edits(record)
            return record

    def _say_edits(self, record: Record) -> None:
        """Of files edited since: one that holds the method and its protocol is said once, for the set."""
        of_the_set = made_by_another_file(record, self.job.spec)
        for said in [of_the_set] if of_the_set else scored_by_another_file(record, self.job, self.registry):
            self.place.progress.warn(said)

    def _attempt(self, earlier: Record | None) -> Record:
        links = controls(self.job, earlier)
        try:
            synthesis = self._synthesis()
            costs = synthesis.costs()
        except BaseException as error:
            if not is_recordable(error):
                raise
            if self.looking:  # the run's own process shall meet it, and leave it in its log
                raise WorkToDo from error
            log.exception("synthesis failed")
            status, reason = status_of(error), reason_of(error)
            environment = describe(self.place.device, self.job.spec.precision, self.job.spec, self.place.command)
            outcomes = ended(self.job, None, status, reason)
            return Record(self.job.spec, status, reason, {}, outcomes, links, environment)
        task = replace(synthesis.task, precision=self.job.spec.precision)
        scoring = Scoring(synthesis.folder, task, self.registry, synthesis)
        outcomes = {key: dict(value) for key, value in earlier.evaluations.items()} if earlier else {}
        for each in self.job.evaluations:
            outcomes[each.key] = scoring.outcome(each, outcomes.get(each.key), retry=self.retry)
        return Record(self.job.spec, "done", None, costs, outcomes, links, costs["environment"])

    def _synthesis(self) -> Synthesis:
        spec, place = self.job.spec, self.place
        folder = place.runs / spec.name
        (folder / "units").mkdir(parents=True, exist_ok=True)
        for each in (folder, *(path for path in folder.iterdir() if path.is_dir())):
            clean_leftovers(each)
        write_json(folder / "spec.json", spec.to_json())
        task = make_task(spec, open_for(spec, self.registry, place), self.registry, place, folder / "units")
        method = build(self.registry, spec.method)
        labeller = build(self.registry, spec.labeller) if spec.labeller else method
        protocol, looking = self._own_protocol(task.setting), self.looking
        return Synthesis(spec, folder, task, method, labeller, protocol, place.command, looking)

    def _own_protocol(self, setting: Setting) -> dict[str, Any]:
        """What the set's manifest says of the protocol that it is made for; no version where that cannot be loaded."""
        spec, registry = self.job.spec, self.registry
        name = own_protocol(registry, (spec.labeller or spec.method).name, setting, spec.origin)
        try:
            return {"protocol": name, "protocol_version": registry.load("protocol", name).version}
        except UsageError:  # the set can be made without it
            return {"protocol": name, "protocol_version": None}

    def _check_folder(self) -> None:
        """A name ends in a few digits of the hash only; two runs that share it must not share a folder."""
        try:
            held = read_json(self.place.runs / self.job.spec.name / "spec.json")["hash"]
        except (FileNotFoundError, CorruptArtefact, KeyError):
            return
        if held != self.job.spec.hash:
            raise Owned(f"its folder holds another run, whose name begins alike (hash {held})")

    def _earlier(self) -> Record | None:
        folder = self.place.runs / self.job.spec.name
        try:
            return records.read(folder)
        except FileNotFoundError:
            return None
        except CorruptArtefact as error:
            self.place.progress.warn(f"record set aside as {set_aside(folder / 'record.json').name}: {error}")
            return None
