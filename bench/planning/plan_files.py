"""Plan files: the jobs of a request, one a line, for others to work off (`bench run --plan-only`, `bench work`).

A line is one sealed, versioned JSON object, so that a plan can be split, joined and looked into like any text. Paths in
it (of cards and of plugins) are relative to the folder of the plan, and nothing else of the planning machine is in it.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.data.cards import is_path
from bench.data.finding import load_card
from bench.errors import CorruptArtefact, UsageError, understood, why
from bench.extensions.registry import Registry
from bench.results.spec import EvaluationSpec, Job, MethodChoice
from bench.storage.artefacts import Kind, Part
from bench.storage.files import SEAL, digest, unsealed


class PlanLine(Part):
    """What a line holds."""

    job: dict[str, Any]
    looks: int
    plugins: list[str]
    command: str


PLAN_LINE = Kind("a plan", 1, PlanLine)


@dataclass(frozen=True)
class PlannedJob:
    """A job, and what whoever does it has to know besides.

    Attributes:
        looks: as of `bench.running.context.RunContext`.
        plugins: to load besides those installed, as for --plugin.
        command: what the user typed to plan it, for the record.
    """

    job: Job
    looks: int
    plugins: tuple[str, ...]
    command: str

    def moved(self, old: Path, new: Path) -> "PlannedJob":
        """With paths that were relative to one folder relative to another."""

        def there(path: str) -> str:
            return os.path.relpath(old / path, new)

        spec = self.job.spec
        card = there(spec.card) if is_path(spec.card) else spec.card
        plugins = tuple(there(each) if each.endswith(".py") else each for each in self.plugins)
        return replace(self, job=replace(self.job, spec=replace(spec, card=card)), plugins=plugins)

    def line(self) -> str:
        """As a line of a plan."""
        about = {"looks": self.looks, "plugins": list(self.plugins), "command": self.command}
        content = PLAN_LINE.stamped({"job": self.job.to_json(), **about})
        return json.dumps({**content, SEAL: digest(content)}, allow_nan=False)


def plan_text(jobs: Iterable[PlannedJob], folder: Path) -> str:
    """A plan that will lie in a folder; paths in its jobs are relative to this process' own."""
    return "".join(f"{each.moved(Path.cwd(), folder.absolute()).line()}\n" for each in jobs)


def read_plan(path: Path) -> list[PlannedJob]:
    """The jobs of a plan in their order, their paths relative to this process' folder.

    Raises:
        UsageError: no such file, an empty one, or a line that is damaged or of another version; it names the line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {why(error)}") from error
    if not lines:
        raise UsageError(f"the plan {path} holds no run")
    return [_read(line, path, number).moved(path.absolute().parent, Path.cwd()) for number, line in enumerate(lines, 1)]


def _read(line: bytes, path: Path, number: int) -> PlannedJob:
    where = Path(f"{path}, line {number},")
    try:
        found = PLAN_LINE.checked(unsealed(line, where), where)
        with understood(where):
            planned = PlannedJob(Job.from_json(found.job), found.looks, tuple(found.plugins), found.command)
            if planned.job.spec.name != found.job["spec"]["name"]:  # controls are linked by their names
                raise ValueError("this version of the program gives its run another name")
        return planned
    except CorruptArtefact as error:
        raise UsageError(f"{error}; plan again with bench run --plan-only") from error


def check_offered(planned: Iterable[PlannedJob], registry: Registry) -> None:
    """Holds jobs that were planned elsewhere against what is offered here.

    Raises:
        UsageError: something that a job names is not offered here, or in another version.
    """
    for job in (each.job for each in planned):
        load_card(registry, job.spec.card)
        for choice in filter(None, (job.spec.method, job.spec.labeller)):
            _check_method(choice, registry)
        for evaluation in job.evaluations:
            _check_evaluation(evaluation, registry)
        _check(registry, "backbone", job.spec.backbone)


def as_offered(planned: PlannedJob, registry: Registry) -> PlannedJob:
    """The same job with the plugins' versions of here: a file may have been edited since it was planned."""
    spec = planned.job.spec
    labeller = _as_offered(spec.labeller, registry) if spec.labeller else None
    here = replace(spec, method=_as_offered(spec.method, registry), labeller=labeller)
    return replace(planned, job=replace(planned.job, spec=here))


def _as_offered(choice: MethodChoice, registry: Registry) -> MethodChoice:
    return replace(choice, plugin_version=registry.find("method", choice.name).version)


def _check_method(choice: MethodChoice, registry: Registry) -> None:
    _check(registry, "method", choice.name, f" (of the plugin {choice.plugin})", choice.version)


def _check_evaluation(evaluation: EvaluationSpec, registry: Registry) -> None:
    _check(registry, "protocol", evaluation.protocol, version=evaluation.version)
    _check(registry, "backbone", evaluation.backbone)


def _check(registry: Registry, kind: str, name: str, origin: str = "", version: int | None = None) -> None:
    try:
        registry.find(kind, name)
    except UsageError as error:
        raise UsageError(f"the plan needs the {kind} {name!r}{origin}, which this machine lacks: {error}") from error
    if version is not None and (here := registry.load(kind, name).version) != version:
        raise UsageError(f"the plan is for version {version} of the {kind} {name}, and here it is {here}: plan again")
