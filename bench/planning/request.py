"""What the user asked for, and what it alone says: on which device, with which networks, of what is shared."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from bench.data.fingerprints import Fingerprints
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.hardware.choices import Compile, Precision
from bench.hardware.devices import AUTO, choose_device, choose_precision
from bench.planning.configuring import condenser
from bench.planning.inventory import Inventory
from bench.progress import Progress
from bench.recipes import Budget
from bench.results.spec import Origin
from bench.storage.names import unknown

ALL = "all"  # for --method: every method that condenses
ELSEWHERE = "elsewhere"  # the trait of an executor


@dataclass(frozen=True)
class Request:
    """What the user asked for, one value a field or a grid of them.

    `methods` may hold "all". A backbone may be "METHOD=NAME" or "TRAIT=NAME": then that method condenses with it, or
    those that need the trait do, and the plain ones are for all others. Without `ipcs` the papers' own cell counts (see
    `bench.planning.cells`).
    """

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    ipcs: tuple[int, ...]
    backbones: tuple[str, ...]
    eval_backbones: tuple[str, ...]
    protocols: tuple[str, ...]
    seeds: tuple[int, ...]
    eval_seeds: int
    classes: str | None
    changes: tuple[str, ...]
    budget: Budget
    device: str
    precision: str
    compile: Compile
    control: bool
    data_root: Path
    cache: Path
    looks: int = 0  # at the test split, in every training
    origin: Origin | None = None  # of the set that the method `imported` reads
    executor: str = "local"
    workers: int | None = None
    address: str | None = None  # of the executor
    memory: int | None = None  # bytes that each worker elsewhere asks its node for
    exclusive_costs: bool = False  # sets are made while no other worker is busy
    ladder: str | None = None  # in place of methods and protocols (see `bench.planning.ladders`)
    elsewhere: bool = False  # other machines do it: what is not here is planned by what its card says
    machine: str | None = None  # the name of their GPU, where it is not this machine's device


def methods_of(registry: Registry, asked: str) -> tuple[str, ...]:
    """The methods behind a name: itself, or behind "all" every one that condenses.

    One that takes all real images does not: it would cost more than the rest of a grid together, unasked.
    """
    if asked != ALL:
        return (asked,)
    every = {name: condenser(registry, name) for name in registry.names("method")}
    return tuple(name for name, method in every.items() if method.made_here and not method.takes_all)


def inventory_of(
    registry: Registry,
    request: Request,
    progress: Progress,
    *,
    whole: bool = False,
    digests: Fingerprints | None = None,
) -> Inventory:
    """What the planners of one command share.

    Args:
        whole, digests: see `Inventory`.

    Raises:
        UsageError: the request names the GPU of another machine, and its executor works on this one.
    """
    elsewhere = request.elsewhere or ELSEWHERE in registry.find("executor", request.executor).offer.traits
    if request.machine and not elsewhere:
        raise UsageError(f"--machine goes with --plan-only, or with an executor elsewhere; {request.executor} is here")
    folders = (request.data_root, request.cache)
    return Inventory(registry, progress, *folders, elsewhere=elsewhere, whole=whole, digests=digests)


def computed_on(request: Request) -> tuple[torch.device, Precision]:
    """What a request's runs compute on, and in which arithmetic; of a GPU that is elsewhere its name alone is known.

    Raises:
        UsageError: the device is not here, has not the arithmetic, or cannot be asked for the one that suits it.
    """
    if request.machine is None:
        device = choose_device(request.device)
        return device, choose_precision(request.precision, device)
    if request.device not in (AUTO, "cuda"):
        raise UsageError(f"--machine names a GPU: it goes with --device cuda, not with --device {request.device}")
    if request.precision == AUTO:
        raise UsageError("--machine needs --precision fp32, tf32 or bf16: what suits a GPU can be asked on it alone")
    return torch.device("cuda"), cast(Precision, request.precision)


def backbones_of(
    methods: Sequence[str], asked: Sequence[str], needs: Mapping[str, Collection[str]]
) -> dict[str, tuple[str, ...]]:
    """What each method condenses with: what is asked for as "METHOD=NAME", else as "TRAIT=NAME", else without either.

    Args:
        needs: the traits of a backbone that each method needs, those that are not run among them.

    Raises:
        UsageError: a backbone for a method that is not run or a trait that none needs, or none for a method that is.
    """
    shared = tuple(name for name in asked if "=" not in name)
    known = list(dict.fromkeys([*methods, *(trait for method in methods for trait in sorted(needs[method]))]))
    named: dict[str, tuple[str, ...]] = {}
    for key, _, name in (each.partition("=") for each in asked if "=" in each):
        if key not in known:
            raise UsageError(f"--backbone {key}={name}: {_not_asked(key, methods, known, needs)}")
        named[key] = (*named.get(key, ()), name)
    found = {
        method: next((named[key] for key in (method, *sorted(needs[method])) if key in named), shared)
        for method in methods
    }
    if without := [method for method, names in found.items() if not names]:
        raise UsageError(f"--backbone names none for {', '.join(without)}; add one without a method's name")
    return found


def _not_asked(key: str, methods: Sequence[str], known: Sequence[str], needs: Mapping[str, Collection[str]]) -> str:
    """Why there is no use for a backbone of its own for a method or a trait, in words."""
    if key in needs:
        return f"{key} is not among the methods, {', '.join(methods)}"
    if any(key in each for each in needs.values()):
        return f"none of {', '.join(methods)} needs {key}"
    return str(unknown("method or trait", key, known))
