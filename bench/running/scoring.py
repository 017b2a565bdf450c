"""Scores of a condensed set: each protocol on each evaluation backbone, one file a seed."""

import inspect
import logging
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench import seeds
from bench.condensation import Condenser, Task
from bench.condensation.notes import Findings, Notes
from bench.errors import CorruptArtefact, UnreadableArtefact
from bench.evaluation import PAPER, Protocol
from bench.extensions.registry import Registry
from bench.labels import HardLabels
from bench.progress import noted
from bench.results import curves
from bench.results.chance import largest_share
from bench.results.outcomes import Evaluation, Score, Status
from bench.results.rows import reserved
from bench.results.spec import EvaluationSpec
from bench.running.edits import code, edits, of_all, of_scores
from bench.running.environment import versions_at_work, versions_of_files
from bench.running.failures import WorkToDo, is_of_the_system, is_recordable, reason_of, status_of
from bench.running.measured import check_comparable, evaluated, primary_of, said_of, true_of
from bench.running.provenance import made
from bench.running.synthesis import Synthesis
from bench.sets import condensed as sets
from bench.sets.condensed import CondensedSet
from bench.storage import run_folder
from bench.storage.artefacts import UNSTAMPED, Kind, unchanged, whole_or_aside
from bench.storage.files import digest
from bench.storage.shared.elapsed import beside_others, lasting
from bench.training.teachers import KIND

log = logging.getLogger(__name__)

SCORE_FILE = Kind("scores of a training", 1, Score, {UNSTAMPED: unchanged})


@dataclass
class Scoring:
    """The evaluations of one run. `synthesis` is asked for stages that labels need and that have been lost."""

    folder: Path
    task: Task
    registry: Registry
    synthesis: Synthesis

    def outcome(self, each: EvaluationSpec, earlier: Evaluation | None, *, retry: bool) -> Evaluation:
        """What each seed gave. A failure is part of the outcome.

        An earlier one stands unless `retry`, or all that is asked for now was scored before it. Where something is to
        be trained, so is what was scored by other code: no mean is taken over both.

        Raises:
            WorkToDo: something would have to be trained, while the run is only looked at.
        """
        same = earlier if earlier and earlier.protocol_id == each.protocol_id else None
        protocol: Protocol = self.registry.load("protocol", each.protocol)
        if same and not same.done and not retry and not self._all_kept(protocol, each, each.seeds):
            return same.asked_as(each.asked)
        note = protocol.note(replace(self.task.setting, backbone=each.backbone))
        seeds_wanted = max(each.seeds, len(same.scores) if same else 0)
        if same and same.done and (kept := self._all_kept(protocol, each, seeds_wanted)):
            return same.asked_as(each.asked).model_copy(update={"note": true_of(note, kept), "scores": kept})
        if self.synthesis.looking:
            raise WorkToDo
        condensed = self._loaded()
        self._warn_of_labels(each, protocol, condensed)
        self._warn_of_edits(each, protocol, seeds_wanted)
        offers = of_all(self.synthesis.spec, [each], self.registry)
        status, reason, scores = self._trained(
            protocol, condensed, each, seeds_wanted, stands=same is not None and same.done
        )
        return Evaluation(
            protocol=each.protocol,
            protocol_id=each.protocol_id,
            backbone=each.backbone,
            asked=sorted({each.asked, *(earlier.asked if earlier else ())}),
            label_kind=label_kind(protocol, condensed),
            teacher_backbone=self._teacher_backbone(protocol, condensed),
            paper_reports=protocol.paper_reports,
            note=true_of(note, scores),
            status=status,
            reason=reason,
            scores=scores,
            plugins=versions_at_work(self.synthesis.spec, offers),
            code=code(offers),
        )

    def _all_kept(self, protocol: Protocol, each: EvaluationSpec, count: int) -> list[Score] | None:
        """The scores of all seeds, or None where one of them has to be made."""
        made_under = conditions_of(each, protocol, self.task)
        found = [self._kept(each, number, made_under) for number in range(count)]
        return [score for score in found if score is not None] if None not in found else None

    def _trained(
        self, protocol: Protocol, condensed: CondensedSet, each: EvaluationSpec, count: int, *, stands: bool
    ) -> tuple[Status, str | None, list[Score]]:
        """How the trainings of all seeds ended, why, and their scores; those of those before a failure stay.

        Where an earlier outcome `stands`, the system's failures are the caller's: they must not replace it.
        """
        scores: list[Score] = []
        try:
            self._restore_stages(condensed)
            for number in range(count):
                noted(self.task.progress, "unit", f"training {number + 1}/{count}" if count > 1 else "")
                untouched = condensed.writes
                scores.append(self._score(protocol, condensed, each, number))
                if condensed.writes != untouched:
                    condensed = self._as_stored(each)
                noted(self.task.progress, "last", primary_of(scores[-1]))
                check_comparable(scores[0], scores[-1])
        except BaseException as error:
            if not is_recordable(error) or (stands and is_of_the_system(error)):
                raise
            log.exception("%s failed", each.key)
            return status_of(error), reason_of(error), scores
        finally:
            noted(self.task.progress, "unit", "")
        return "done", None, scores

    def _warn_of_labels(self, each: EvaluationSpec, protocol: Protocol, condensed: CondensedSet) -> None:
        """A method that names no protocol falls to one of hard labels, also where it made soft ones."""
        method, kind = self.synthesis.method, condensed.labels.kind
        ignored = each.asked == PAPER and protocol.labels != "own" and not condensed.labels.plain
        if ignored and method.made_here and not names_protocol(type(method)):
            unsaid = f"{self.synthesis.spec.method.name} names no protocol, and {each.protocol}, which stands in,"
            said = f"ignores the {kind} labels that it made; --protocol own trains on them"
            self.task.progress.warn(f"{unsaid} {said}")

    def _as_stored(self, each: EvaluationSpec) -> CondensedSet:
        """The set again, as a training wrote into what all of them are given."""
        author = f"protocol {each.protocol} wrote into the tensors of the set that it was given"
        self.task.progress.warn(
            f"{author}; each training gets them as they are stored, but let it copy what it changes"
        )
        return self._loaded()

    def _loaded(self) -> CondensedSet:
        return sets.load(self.folder / run_folder.CONDENSED).decoded()

    def _warn_of_edits(self, each: EvaluationSpec, protocol: Protocol, count: int) -> None:
        """Of scores that will be made again, as others are to be made beside them."""
        made_under, now = conditions_of(each, protocol, self.task), of_scores(each, self.registry)
        kept = [self._kept(each, number, made_under) for number in range(count)]
        if since := list(dict.fromkeys(said for score in kept if score for said in edits(score.made, now))):
            what = f"{self.synthesis.spec.name}, {each.key}: scores from before {' and '.join(since)} are made again"
            self.task.progress.warn(f"{what}: no mean is taken over two codes")

    def _score(self, protocol: Protocol, condensed: CondensedSet, each: EvaluationSpec, number: int) -> Score:
        path, made_under = self._path(each, number), conditions_of(each, protocol, self.task)
        found, offers = self._kept(each, number, made_under), of_scores(each, self.registry)
        if found is not None and not edits(found.made, offers):
            return found
        workspace = _workspace(path)
        workspace.mkdir(parents=True, exist_ok=True)
        seed = seeds.derive("evaluation", self.task.seed, number)
        task = replace(self.task, workspace=workspace, facts=Notes(reserved()), measured=Findings(), used_stages={})
        task.dataset.test.ready()
        beside = beside_others(workspace, self.synthesis.company, task.progress, lambda: task.stages.spent_cores)
        with lasting(workspace / "elapsed.json", partial(_aside, task), task.progress) as watch, beside as others:
            measured = evaluated(protocol, condensed, task, each.backbone, seed)
            seconds = watch.before + min(measured.seconds, watch.now())
            waited = others.waited()
        shared = self._shared(protocol, condensed, task)
        scores = {
            **task.measured.to_json(),
            **said_of(measured, protocol, task),
            "seconds": seconds,
            "workers": max([others.workers(), *(stage["workers"] for stage in shared.values())]),
            **({} if waited is None else {"waited": waited}),
            "seed": number,
            "made_under": made_under,
            "stages": shared,
            "test": {"images": len(task.dataset.test), "largest_class": largest_share(task.dataset.test.labels)},
            "notes": dict(task.facts),
            "made": {
                **made(self.synthesis.command),
                "plugins": versions_of_files(offers),
                "code": code(offers),
            },
        }
        if measured.curves is not None:
            curves.write(curves.path_of(self.folder, each.key, number), measured.curves, made_under)
        kept = SCORE_FILE.write(path, scores)
        shutil.rmtree(workspace, ignore_errors=True)
        return kept

    def _shared(self, protocol: Protocol, condensed: CondensedSet, task: Task) -> dict[str, Any]:
        """What the stages cost that evaluations share; the teachers of a set's own labels are the set's cost."""
        own = {teacher.stage for teacher in condensed.labels.teachers} if protocol.labels == "own" else set()
        return {name: stage.to_json() for name, stage in task.used_stages.items() if name not in own}

    def _path(self, each: EvaluationSpec, number: int) -> Path:
        return self.folder / run_folder.EVALUATIONS / f"{each.key}-{number}.json"

    def _kept(self, each: EvaluationSpec, number: int, made_under: str) -> Score | None:
        """A score that is whole and was made under these conditions."""
        path = self._path(each, number)
        read = partial(SCORE_FILE.read, path)
        found = whole_or_aside(read, path, self.task.progress, "score set aside as {} and made again")
        if found is None or found.made_under != made_under:
            return None
        shutil.rmtree(_workspace(path), ignore_errors=True)  # of one that was killed at its very end
        return found

    def _teacher_backbone(self, protocol: Protocol, condensed: CondensedSet) -> str | None:
        if protocol.labels == "teacher":
            return protocol.teacher_backbone(self.task.setting)
        return None if protocol.labels == "hard" else condensed.labels.teacher_backbone

    def _restore_stages(self, condensed: CondensedSet) -> None:
        """Labels that teachers make online need them.

        For sets from before teachers lay beside their images, a cache that was cleared since is filled again.
        """
        needed = condensed.labels.teachers_in_cache
        if any(self.task.stages.read(KIND, each.stage) is None for each in needed):
            self.synthesis.prepare()


def _workspace(score: Path) -> Path:
    """Where the training of a score keeps its checkpoints."""
    return score.with_suffix(run_folder.WORK)


def names_protocol(method: type[Condenser[Any]]) -> bool:
    """Whether a method says which protocol its paper uses, or leaves that open."""
    return inspect.getattr_static(method, "protocol") is not inspect.getattr_static(Condenser, "protocol")


def judged_by(task: Task, method: Condenser[Any]) -> Task:
    """The task that protocols are given for a method's sets: its `ipc` counts the images that they train on."""
    return replace(task, ipc=task.ipc * method.decoder.count) if method.decoder else task


def conditions_of(each: EvaluationSpec, protocol: Protocol, task: Task) -> str:
    """A hash of all beside the set and the seed that decides the scores: what a score is kept with as `made_under`."""
    version = task.network_version(each.backbone)
    later = [] if version == 1 else [version]  # the first was not said
    return digest([each.protocol_id, dict(protocol.conditions(replace(task.setting, backbone=each.backbone))), *later])


def scored(folder: Path, each: EvaluationSpec, made_under: str, registry: Registry) -> int:
    """How many of an evaluation's trainings need not be made, of those asked for; see `Scoring.outcome`."""
    files = [folder / run_folder.EVALUATIONS / f"{each.key}-{number}.json" for number in range(each.seeds)]
    found = [score for score in map(_score_at, files) if score and score.made_under == made_under]
    if len(found) == each.seeds:
        return each.seeds
    now = of_scores(each, registry)
    return sum(not edits(score.made, now) for score in found)


def _score_at(path: Path) -> Score | None:
    with suppress(FileNotFoundError, CorruptArtefact, UnreadableArtefact):
        return SCORE_FILE.read(path)
    return None


def _aside(task: Task) -> float:
    """Seconds of an evaluation that are not its own: of stages, which others share, and of compiling."""
    return task.stages.spent_s + task.measured.compiling_s


def label_kind(protocol: Protocol, condensed: CondensedSet) -> str:
    """What the student trains on: "hard", "online", "stored", or "teacher" where the protocol labels for all."""
    if protocol.labels == "own":
        return condensed.labels.kind
    return HardLabels.kind if protocol.labels == "hard" else "teacher"
