"""The floor of `bench speed` for matching: what `passes` says is what a step has to execute, and hardly more is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.extensions.registry import Registry
from bench.planning.configuring import build, configure
from bench.testing import tiny_dataset, tiny_task

REALS = "batch_real=4"
STUDENTS = ("experts.count=1", "experts.epochs=1", "max_start_epoch=1", "expert_epochs=1", "steps=3", "iterations=1")


class Products(TorchDispatchMode):
    """Adds up the multiplications of products and convolutions, by torch's formulas; its own mode hooks modules."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        made = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.count += formula(*args, **(kwargs or {}), out_val=made)
        return made


@pytest.mark.parametrize(
    ("method", "changes", "steps", "most"),
    [
        ("dm", (REALS, "iterations=1"), 1, 1.001),
        ("dc", (REALS, "networks=1", "outer_steps=2", "inner_epochs=2"), 2, 1.1),
        ("idc", (REALS, "networks=1", "steps=2", "learn_images=8", "learn_batch=4", "factor=2"), 2, 1.1),
        ("mtt", STUDENTS, 1, 1.1),
        ("tesla", STUDENTS, 1, 2.0),  # it goes through the steps twice
    ],
)
def test_the_reference_executes_what_passes_count_and_little_more(
    tmp_path: Path, method: str, changes: tuple[str, ...], steps: int, most: float
) -> None:
    """A pass forward and back is twice one forward."""
    task = tiny_task(tmp_path, dataset=tiny_dataset(resolution=8, per_class=8), ipc=2, backbone="convnet3")
    chosen = configure(Registry(), method, task.setting, (*changes, "engine=reference"))
    made = build(Registry(), chosen)
    task = made.prepare(task) or task
    with Products() as once, torch.no_grad():
        task.network(0)(torch.zeros(1, 3, 8, 8))
    with Products() as executed:
        made.synthesize(task, made.units(task)[0])
    images = task.classes * task.ipc
    floor = steps * images * 2 * once.count * made.passes(task.setting)["convnet3"]
    assert 0.999 * floor < executed.count < most * floor, executed.count / floor
