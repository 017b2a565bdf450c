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
from matching import SMALL
from reals import training_images
from stopping import StopAfter
from torch import nn

from bench import seeds
from bench.condensation import Task
from bench.errors import Interrupted
from bench.loops.pace import FirstSteps, Trial
from bench.progress import Silent
from bench.recipes import Setting
from bench.storage.shared.leases import locked
from bench.storage.shared.stages import WORK
from bench.storage.tensor_files import read_tensors
from bench.testing import tiny_dataset, tiny_task
from bench.training.views import Views, apply
from bench.whitening import fit
from bench_matching.experts import KIND, SNAPSHOTS, ExpertRecipe, Experts, expert_trajectories, flattened
from bench_matching.mtt import MTT, MTTConfig
from bench_matching.segments import TrajectoryConfig
from bench_matching.tesla import TESLA
from bench_matching.trajectories import TrajectoryMatcher

FIELDS: dict[str, Any] = {"count": 2, "epochs": 3, "batch_size": 8, "lr": 0.05, "momentum": 0.0, "weight_decay": 0.0}


def recipe(**changes: Any) -> ExpertRecipe:  # noqa: ANN401 - values of a recipe
    return ExpertRecipe.model_validate(FIELDS | {"schedule": "constant", "dsa": "color_crop"} | changes)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(classes=3, per_class=8, resolution=8), backbone="convnet3")


def rows(experts: Experts, index: int, epochs: int = 3) -> torch.Tensor:
    return torch.stack(experts.weights(index, range(epochs + 1)))


def test_snapshots_are_the_weights_after_every_epoch(task: Task) -> None:
    """Against plain SGD without momentum on the same views.

    Both are within 3e-6 of float64, on an Intel Xeon; a rate of 0.05005 in place of 0.05 moves weights by up to 5e-3.
    """
    experts = expert_trajectories(task, recipe())
    assert len(experts) == 2
    found = rows(experts, 1)
    seed = task.seed_for("expert", 1)
    network = task.network(seeds.derive("init", seed))
    views = Views(recipe(), seeds.derive("views", seed), 24, 8)
    images, labels = training_images(task), task.dataset.train.labels
    for epoch in range(3):
        torch.testing.assert_close(found[epoch], flattened(network), rtol=1e-4, atol=1e-5)
        for batch in range(views.batches):
            view = views.at(epoch, batch)
            loss = nn.functional.cross_entropy(network(apply(view, images[view.indices])), labels[view.indices])
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            with torch.no_grad():
                for weight, gradient in zip(network.parameters(), gradients, strict=True):
                    weight.sub_(0.05 * gradient)
    torch.testing.assert_close(found[3], flattened(network), rtol=1e-4, atol=1e-5)
    assert found.dtype == torch.float32
    assert not torch.equal(rows(experts, 0)[0], found[0])


def test_made_once_and_a_larger_count_makes_only_the_others(task: Task) -> None:
    first = expert_trajectories(task, recipe())
    again = replace(task, used_stages={})
    more = expert_trajectories(again, recipe(count=3))
    assert more.files[:2] == first.files
    assert sorted(stage.cached for stage in again.used_stages.values()) == [False, True, True]
    assert task.facts["expert_top1"] is not None


def test_an_expert_that_is_there_is_read_once(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred of them are gigabytes, each of which is hashed when it is read."""
    made, read = expert_trajectories(task, recipe(epochs=5), 4), list[Path]()

    def counting(path: Path) -> Any:  # noqa: ANN401 - what `read_tensors` returns
        read.append(path)
        return read_tensors(path)

    monkeypatch.setattr("bench.storage.shared.stages.read_tensors", counting)
    assert expert_trajectories(task, recipe(epochs=5), 3).files == made.files
    assert tuple(read) == made.files


@pytest.mark.parametrize("change", [{"lr": 0.1}, {"epochs": 2}, {"dsa": ""}])
def test_another_recipe_has_experts_of_its_own(task: Task, change: dict[str, Any]) -> None:
    assert set(expert_trajectories(task, recipe()).files).isdisjoint(expert_trajectories(task, recipe(**change)).files)


# --- how far they are trained ----------------------------------------------------------------------------------------


def elsewhere(task: Task, folder: Path) -> Task:
    """The same task with a store of its own, which is empty, and facts of its own."""
    return replace(task, stages=type(task.stages)(folder), facts={}, used_stages={})


def test_the_first_epochs_are_the_same_bits_whatever_the_length(task: Task, tmp_path: Path) -> None:
    whole = expert_trajectories(task, recipe(epochs=5))
    other = elsewhere(task, tmp_path / "other")
    short = expert_trajectories(other, recipe(epochs=5), 2)
    for index in range(2):
        assert torch.equal(rows(short, index, 2), rows(whole, index, 2))
    assert read_tensors(short.files[0])[0][SNAPSHOTS].shape == (3, rows(whole, 0).shape[1])
    assert (task.facts["expert_epochs"], other.facts["expert_epochs"]) == ([5], [2])


def test_longer_ones_serve_a_shorter_need_and_shorter_ones_no_longer(task: Task) -> None:
    short = expert_trajectories(task, recipe(count=1, epochs=5), 2)
    longer = expert_trajectories(task, recipe(epochs=5), 4)
    assert set(short.files).isdisjoint(longer.files) and task.facts["expert_epochs"] == [4]
    assert expert_trajectories(task, recipe(epochs=5), 3).files == longer.files
    mixed = expert_trajectories(task, recipe(epochs=5), 2)
    assert mixed.files == (short.files[0], longer.files[1]) and task.facts["expert_epochs"] == [2, 4]


def test_a_damaged_longer_one_is_not_made_again_for_a_shorter_need(task: Task) -> None:
    longer = expert_trajectories(task, recipe(count=1), 3).files[0]
    longer.write_bytes(b"damaged")
    assert expert_trajectories(task, recipe(count=1), 2).files != (longer,)
    assert longer.read_bytes() == b"damaged" and task.facts["expert_epochs"] == [2]


@pytest.mark.parametrize("change", [{"schedule": "cosine"}, {"schedule": "step"}, {"warmup_epochs": 2}])
def test_where_the_length_decides_the_rates_they_are_trained_to_the_end(task: Task, change: dict[str, Any]) -> None:
    expert_trajectories(task, recipe(count=1, **change), 2)
    assert task.facts["expert_epochs"] == [3]


def test_a_rise_to_a_constant_rate_is_the_same_whatever_the_length(task: Task, tmp_path: Path) -> None:
    rising = recipe(count=1, warmup_epochs=1)
    whole = expert_trajectories(task, rising)
    short = expert_trajectories(elsewhere(task, tmp_path / "other"), rising, 2)
    assert torch.equal(rows(short, 0, 2), rows(whole, 0, 2))


@pytest.mark.parametrize(("method", "last"), [(MTT, 3), (TESLA, 6)])
def test_the_last_target_of_one_image_a_class_on_cifar10(method: type[TrajectoryMatcher[Any]], last: int) -> None:
    """Released scripts: MTT starts after 0 or 1 epochs, TESLA after 0 to 4, and both look 2 epochs further."""
    setting = Setting("cifar10", 32, 3, 10, 1, "convnet3")
    config = method.Config.model_validate(method.recipe(setting).at("paper"))
    assert isinstance(config, TrajectoryConfig)
    assert (config.last_target, config.experts.epochs, config.experts.schedule) == (last, 50, "constant")


def test_a_method_trains_no_further_than_its_last_target(task: Task) -> None:
    experts = SMALL["experts"] | {"epochs": 9, "count": 1, "schedule": "constant"}
    MTT(MTTConfig.model_validate(SMALL | {"experts": experts})).prepare(task)
    assert task.facts["expert_epochs"] == [3]


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
        "from bench.progress import Silent; from bench.storage.shared.leases import locked\n"
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
