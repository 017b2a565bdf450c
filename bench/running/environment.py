"""What a run was made with: machine, device, versions."""

import os
import platform
from typing import Any

import torch

from bench.extensions.named import FILE_PREFIX
from bench.hardware.choices import Precision
from bench.hardware.devices import model_name
from bench.results.outcomes import Environment, Provenance
from bench.results.spec import MethodChoice, RunSpec
from bench.running.edits import Kept, Offers, called, code, edits
from bench.running.provenance import made
from bench.version import __version__


def describe(
    device: torch.device,
    precision: Precision,
    spec: RunSpec,
    command: str,
    offers: Offers | None = None,
) -> Environment:
    """For the record: device and name, precisions, threads, processor, memory, versions, and how it was `made`.

    Whoever writes the record of a run that another machine did need not have that machine's GPU.

    Args:
        offers: what was at work; None where that is not known but for the method and the labeller.
    """
    made_with = Environment(
        **arithmetic(device, precision, spec.machine),
        synthesis_precision=spec.made_in,
        cores=os.cpu_count(),
        system=platform.platform(),
        python=platform.python_version(),
        versions=versions(spec.method),
        plugins=versions_at_work(spec, offers or {}),
        made=Provenance(**made(command)),
    )
    return made_with if offers is None else made_with.model_copy(update={"code": code(offers)})


def versions_at_work(spec: RunSpec, offers: Offers) -> dict[str, str | None]:
    """The versions of the plugins that make a run and score it: of networks and protocols, those that are files."""
    makers = {each.plugin: each.plugin_version for each in (spec.method, spec.labeller) if each}
    return {**versions_of_files(offers), **makers}


def versions_of_files(offers: Offers) -> dict[str, str | None]:
    """The content of the files in which offers lie; none for what is installed."""
    return {each.plugin: each.version for each in offers.values() if each.plugin.startswith(FILE_PREFIX)}


def changed_since(kept: Kept, spec: RunSpec, now: Offers) -> str:
    """The plugins at work now that were of another version or code then, as "a, b"; "" for none."""
    versions = versions_at_work(spec, now)
    changed = {name for name, version in versions.items() if kept.plugins.get(name, version) != version}
    changed |= {each.plugin for name, each in now.items() if edits(kept, {name: each})}
    return ", ".join(sorted(map(called, changed)))


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
