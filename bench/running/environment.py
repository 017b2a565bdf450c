"""What a run was made with: machine, device, versions."""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from bench.extensions.registry import FILE_PREFIX, Registry
from bench.hardware.choices import Precision
from bench.hardware.devices import model_name
from bench.results.outcomes import Environment, Provenance
from bench.results.records import Record
from bench.results.spec import EvaluationSpec, Job, MethodChoice, RunSpec
from bench.running.provenance import made
from bench.version import __version__


def describe(
    device: torch.device,
    precision: Precision,
    spec: RunSpec,
    command: str,
    plugins: Mapping[str, str | None] | None = None,
) -> Environment:
    """For the record: device and name, precisions, threads, processor, memory, versions, and how it was `made`.

    Whoever writes the record of a run that another machine did need not have that machine's GPU.

    Args:
        plugins: `at_work`; None for the method's and the labeller's alone.
    """
    return Environment(
        **arithmetic(device, precision, spec.machine),
        synthesis_precision=spec.made_in,
        cores=os.cpu_count(),
        system=platform.platform(),
        python=platform.python_version(),
        versions=versions(spec.method),
        plugins=dict(plugins or {each.plugin: each.plugin_version for each in _makers(spec)}),
        made=Provenance(**made(command)),
    )


def made_by_another_file(record: Record, spec: RunSpec) -> str | None:
    """What to say of a finished set whose method, or labeller, lies in a file that was edited since.

    The code of a method is not part of what a run is: its author says by `version` when it would give other images.
    """
    kept = record.environment.plugins
    for each in _makers(spec) if record.status == "done" else ():
        then = kept.get(each.plugin)
        if each.plugin.startswith(FILE_PREFIX) and then not in (None, each.plugin_version):
            return (
                f"{spec.name} is from before the file of {each.name} was edited; if it would give other images now, "
                f"raise its `version`, or take the run away: bench clean {spec.name} --yes"
            )
    return None


def scored_by_another_file(record: Record, job: Job, registry: Registry) -> Iterator[str]:
    """What to say of each kept evaluation whose protocol or network lies in a file that was edited since."""
    for each in job.evaluations:
        now, scores = files_of(each, registry), record.evaluations[each.key].scores
        kept = [score.made.plugins for score in scores if score.made]
        if any(then.get(name, version) != version for then in kept for name, version in now.items()):
            yield (
                f"scores of {record.spec.name} under {each.key} are from before a file of theirs was edited; if it "
                f"would give others now, raise the protocol's `version` or rename the network, or take the run away: "
                f"bench clean {record.spec.name} --yes"
            )


def files_of(each: EvaluationSpec, registry: Registry) -> dict[str, str | None]:
    """The content of the files in which an evaluation's protocol and network lie; none for what is installed."""
    found = (registry.find("protocol", each.protocol), registry.find("backbone", each.backbone))
    return {one.plugin: one.version for one in found if one.plugin.startswith(FILE_PREFIX)}


def at_work(spec: RunSpec, evaluations: Iterable[EvaluationSpec], registry: Registry) -> dict[str, str | None]:
    """The versions of the plugins that make a run and score it: of networks and protocols, those that are files."""
    network = [registry.find("backbone", spec.backbone)] if registry.has("backbone", spec.backbone) else []
    files = {one.plugin: one.version for one in network if one.plugin.startswith(FILE_PREFIX)}
    for each in evaluations:
        files |= files_of(each, registry)
    return {**files, **{each.plugin: each.plugin_version for each in _makers(spec)}}


def changed_since(then: Mapping[str, str | None], now: Mapping[str, str | None]) -> str:
    """The plugins that were there `then` and are of another version or content now, as "a, b"; "" for none."""
    changed = sorted(name for name, version in now.items() if then.get(name, version) != version)
    return ", ".join(name.removeprefix(FILE_PREFIX) for name in changed)


def _makers(spec: RunSpec) -> list[MethodChoice]:
    return [spec.method, *([spec.labeller] if spec.labeller else [])]


def arithmetic(device: torch.device, precision: Precision, machine: str | None = None) -> dict[str, Any]:
    """Who does it and how: device and its name (of a GPU `machine`, where that is known), precision, threads."""
    return {
        "device": device.type,
        "device_name": machine if machine and device.type == "cuda" else model_name(device),
        "precision": precision,
        "threads": torch.get_num_threads(),
    }


def versions(method: MethodChoice) -> dict[str, str | None]:
    """Of this package, of torch and of the method's plugin."""
    return {"bench": __version__, "torch": torch.__version__, "plugin": method.plugin_version}
