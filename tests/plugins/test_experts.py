"""Expert trajectories: each a stage of its own, made once, continued after a kill, shared between runs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench import seeds
from bench.condensation import Task
from bench.errors import Interrupted
from bench.loops.pace import FirstSteps, Trial
from bench.progress import Silent
from bench.storage.stages import WORK, locked
from bench.testing import tiny_dataset, tiny_task
from bench.training.views import Views, apply
from bench.whitening import fit
from bench_matching.experts import KIND, ExpertRecipe, Experts, expert_trajectories, flattened

FIELDS: dict[str, Any] = {"count": 2, "epochs": 3, "batch_size": 8, "lr": 0.05, "momentum": 0.0, "weight_decay": 0.0}


def recipe(**changes: Any) -> ExpertRecipe:  # noqa: ANN401 - values of a recipe
    return ExpertRecipe.model_validate(FIELDS | {"schedule": "constant", "dsa": "color_crop"} | changes)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(classes=3, per_class=8, resolution=8), backbone="convnet3")


def rows(experts: Experts, index: int, epochs: int = 3) -> torch.Tensor:
    return torch.stack(experts.weights(index, range(epochs + 1)))


class StopAfter:
    """Asks to stop once it has been asked so many times."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


def test_snapshots_are_the_weights_after_every_epoch(task: Task) -> None:
    """Against plain SGD without momentum on the same views."""
    experts = expert_trajectories(task, recipe())
    assert len(experts) == 2
    found = rows(experts, 1)
    seed = task.seed_for("expert", 1)
    network = task.network(seeds.derive("init", seed))
    views = Views(recipe(), seeds.derive("views", seed), 24, 8)
    images, labels = task.dataset.normalisation.apply(task.dataset.train.images), task.dataset.train.labels  # type: ignore[attr-defined]
    for epoch in range(3):
        torch.testing.assert_close(found[epoch], flattened(network), rtol=1e-4, atol=1e-6)
        for batch in range(views.batches):
            view = views.at(epoch, batch)
            loss = nn.functional.cross_entropy(network(apply(view, images[view.indices])), labels[view.indices])
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            with torch.no_grad():
                for weight, gradient in zip(network.parameters(), gradients, strict=True):
                    weight.sub_(0.05 * gradient)
    torch.testing.assert_close(found[3], flattened(network), rtol=1e-4, atol=1e-6)
    assert found.dtype == torch.float32
    assert not torch.equal(rows(experts, 0)[0], found[0])


def test_made_once_and_a_larger_count_makes_only_the_others(task: Task) -> None:
    first = expert_trajectories(task, recipe())
    again = replace(task, used_stages={})
    more = expert_trajectories(again, recipe(count=3))
    assert more.files[:2] == first.files
    assert sorted(stage.cached for stage in again.used_stages.values()) == [False, True, True]
    assert task.facts["expert_top1"] is not None


@pytest.mark.parametrize("change", [{"lr": 0.1}, {"epochs": 2}, {"dsa": ""}])
def test_another_recipe_has_experts_of_its_own(task: Task, change: dict[str, Any]) -> None:
    assert set(expert_trajectories(task, recipe()).files).isdisjoint(expert_trajectories(task, recipe(**change)).files)


def test_another_seed_or_preprocessing_has_experts_of_its_own(task: Task) -> None:
    first = set(expert_trajectories(task, recipe()).files)
    assert first.isdisjoint(expert_trajectories(replace(task, seed=1), recipe()).files)
    whitened = replace(task, dataset=replace(task.dataset, normalisation=fit(task)))
    assert first.isdisjoint(expert_trajectories(whitened, recipe()).files)


def test_an_expert_that_was_stopped_goes_on_with_the_same_trajectory(task: Task, tmp_path: Path) -> None:
    unbroken = expert_trajectories(replace(task, stages=type(task.stages)(tmp_path / "other")), recipe())
    for calls in (2, 4, 3):  # in the middle of the first epoch, over its end, and once more
        with pytest.raises(Interrupted):
            expert_trajectories(replace(task, should_stop=StopAfter(calls)), recipe())
    assert list(task.stages.root.glob(f"{KIND}-*/{WORK}/expert.checkpoint.safetensors"))
    continued = expert_trajectories(task, recipe())
    for index in range(2):
        assert torch.equal(rows(continued, index), rows(unbroken, index))


@contextmanager
def held(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """The lock at `path`, held by another process until it is told to let go."""
    script = (
        "import sys; from pathlib import Path\n"
        "from bench.progress import Silent; from bench.storage.stages import locked\n"
        "with locked(Path(sys.argv[1]), Silent(), wait=False):\n"
        "    print('held', flush=True); sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        yield holder
        if holder.poll() is None:
            holder.communicate("go\n")


def test_an_expert_in_anothers_hands_is_passed_over_and_taken_up_at_the_end(task: Task, tmp_path: Path) -> None:
    names = [file.parent.name for file in expert_trajectories(task, recipe()).files]
    elsewhere = replace(task, stages=type(task.stages)(tmp_path / "other"), used_stages={})
    order: list[str] = []

    class Letting(Silent):
        def advance(self, what: str, done: int, total: int) -> None:
            if what == "experts":
                order.append(str(done))
                if done == 1 and holder.poll() is None:
                    holder.communicate("go\n")

    with held(elsewhere.stages.root / f"{names[0]}.lock") as holder:
        made = expert_trajectories(replace(elsewhere, progress=Letting()), recipe())
    assert order == ["0", "1", "2"], "the second was made while the first was held"
    assert [file.parent.name for file in made.files] == names


def test_where_loops_are_left_out_one_expert_stands_for_all_and_no_two_snapshots_are_alike(task: Task) -> None:
    experts = expert_trajectories(replace(task, pace=FirstSteps(0)), recipe(count=100))
    assert len(experts) == 1
    found = rows(experts, 0)
    apart = (found[:, None] - found[None]).norm(dim=-1) + torch.eye(4) * 1e9
    assert float(apart.min()) > 0.1 * float(found[0].norm())


def test_a_dry_run_tries_one_expert_and_counts_the_others(task: Task) -> None:
    trial = Trial(torch.device("cpu"))
    expert_trajectories(replace(task, pace=trial), recipe(count=50))
    training, testing, rest = trial.samples
    assert (training.steps, testing.what, rest.steps) == (9, "test", 49)
    assert rest.whole_s == pytest.approx(49 * (training.whole_s + testing.whole_s))


def test_no_lock_is_left(task: Task) -> None:
    made = expert_trajectories(task, recipe())
    folder = made.files[0].parent
    with locked(folder.with_name(folder.name + ".lock"), Silent(), wait=False):
        pass
