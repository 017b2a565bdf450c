"""About how long a dry run will take, before it tries anything."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from bench.condensation import Condenser
from bench.evaluation import Protocol
from bench.extensions.answers import answers_of
from bench.extensions.registry import Registry
from bench.hardware.quantities import duration
from bench.labels import StoredLabels
from bench.loops.pace import TRIAL_SECONDS
from bench.planning.configuring import build
from bench.results.spec import EvaluationSpec, Job, RunSpec

TRAINING = 2  # loops: a network is trained, and tested


def expectation(jobs: Sequence[Job], registry: Registry) -> str:
    """What to say of a trial of these jobs."""
    runs, loops = len(jobs), _loops(jobs, registry)
    most = f"at most about {duration(loops * TRIAL_SECONDS)}, more only where single steps are slow"
    beside = "besides starting processes and reading data"
    each = f"about {loops} loops of at most {TRIAL_SECONDS:.0f} s each"
    return f"a trial of {runs} run{'s' if runs != 1 else ''}, {each}: {most}, {beside}"


def _loops(jobs: Sequence[Job], registry: Registry) -> int:
    """How many loops will be walked, what runs share counted once (`bench.running.forecasting.trials`)."""
    pieces: dict[Hashable, int] = {}
    for job in jobs:
        with answers_of(registry, "method", job.spec.method.name):
            pieces |= dict(_of_the_set(job.spec, registry))
            for each in job.evaluations:
                pieces |= dict(_of_an_evaluation(each, job.spec, registry))
    return sum(pieces.values())


def _of_the_set(spec: RunSpec, registry: Registry) -> Iterator[tuple[Hashable, int]]:
    """A method that overrides nothing but `synthesize` picks its images."""
    method, where = build(registry, spec.method), (spec.method.name, str(spec.method.config), *_place(spec))
    if method.made_here and _overrides(method, "prepare"):
        yield ("prepare", *where), TRAINING
    if method.made_here and (_overrides(method, "prepare") or _overrides(method, "warm_up")):
        yield ("synthesis", *where, spec.ipc), 1
    if method.label_kind == StoredLabels.kind:
        yield ("labels", *where, spec.ipc), 1


def _of_an_evaluation(each: EvaluationSpec, spec: RunSpec, registry: Registry) -> Iterator[tuple[Hashable, int]]:
    protocol: Protocol = registry.load("protocol", each.protocol)
    if protocol.labels == "teacher":
        yield ("teacher", each.protocol, *_place(spec)), TRAINING
    labelled_by = (spec.labeller or spec.method).name if protocol.labels == "own" else None
    pixels = build(registry, spec.method).pixel_format
    yield ("evaluation", each.key, labelled_by, pixels, *_place(spec), spec.ipc), TRAINING


def _place(spec: RunSpec) -> tuple[Hashable, ...]:
    return spec.card_hash, spec.classes, spec.backbone


def _overrides(method: Condenser[Any], name: str) -> bool:
    return getattr(type(method), name) is not getattr(Condenser, name)
