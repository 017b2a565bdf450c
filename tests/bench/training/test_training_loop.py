"""The training loop: what a step does, and that a broken training ends as an unbroken one does."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from stopping import StopAfter
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as tv

from bench.compiling import missing_compiler
from bench.condensation import Task
from bench.data.datasets import TensorSplit
from bench.errors import Interrupted, RunFailure
from bench.loops.pace import FirstSteps
from bench.training import loop, optimizers
from bench.training.feeding import Feed
from bench.training.loop import TrainingJob
from bench.training.recipes import TrainingRecipe
from bench.training.supervision import HardSupervision, Supervision
from bench.training.testing import accuracy, assess, enlarged
from bench.training.views import BatchView, Views

MakeTask = Callable[..., Task]
CROPS: dict[str, Any] = {"crop": "padded", "pad": 1}
EVERYTHING: dict[str, Any] = {
    **{"crop": "resized", "flip": True, "dsa": "color_rotate", "mix": "cutmix", "ema": 0.9, "ema_buffers": "live"},
    **{"randaugment": 9, "randaugment_policy": "torchvision", "accumulation": 2},
}


def recipe(**changes: object) -> TrainingRecipe:
    fields = {"epochs": 4, "batch_size": 16, "lr": 0.05, "weight_decay": 1e-3, "schedule": "step", **changes}
    return TrainingRecipe.model_validate(fields)


def job(task: Task, training: TrainingRecipe, supervision: Supervision | None = None) -> TrainingJob:
    dataset = task.dataset
    return TrainingJob(
        recipe=training,
        feed=Feed(dataset.train, dataset.normalisation, task.device),
        supervision=supervision or HardSupervision(),
        view_seed=11,
        checkpoint=task.workspace / "training.checkpoint.safetensors",
        what="test",
    )


def trained(task: Task, training: TrainingRecipe, supervision: Supervision | None = None) -> dict[str, Tensor]:
    network = loop.train(task, task.network(5), job(task, training, supervision))
    assert not network.training
    return network.state_dict()


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_interrupted_training_ends_with_the_same_weights(
    make_task: MakeTask, optimizer: str, precision: str
) -> None:
    training = recipe(optimizer=optimizer, **EVERYTHING)
    unbroken = trained(make_task(precision=precision), training)
    for calls in (2, 3, 4):  # in the middle of the first epoch, and twice more
        with pytest.raises(Interrupted):
            trained(make_task(precision=precision, should_stop=StopAfter(calls)), training)
    task = make_task(precision=precision)
    assert (task.workspace / "training.checkpoint.safetensors").exists()
    assert_same(trained(task, training), unbroken)
    assert not list(task.workspace.iterdir())


def dropping(task: Task) -> nn.Module:
    features = task.dataset.channels * task.dataset.resolution**2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(features, len(task.dataset.classes)))


def test_what_a_dropout_drops_is_decided_by_seed_and_step(make_task: MakeTask) -> None:
    """Whatever torch's global generator holds, which stays as it is, and wherever a training was broken off."""

    def dropped(task: Task, **changes: Any) -> dict[str, Tensor]:  # noqa: ANN401 - of a job
        return loop.train(task, dropping(task), replace(job(task, recipe()), **changes)).state_dict()

    torch.manual_seed(1)
    before = torch.get_rng_state()
    unbroken = dropped(make_task())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    with pytest.raises(Interrupted):
        dropped(make_task(should_stop=StopAfter(5)))
    assert_same(dropped(make_task()), unbroken)
    other = dropped(make_task(), view_seed=12)
    assert not all(torch.equal(other[name], tensor) for name, tensor in unbroken.items())


def test_what_is_kept_of_every_epoch_survives_interruptions(make_task: MakeTask) -> None:
    def kept(task: Task, into: Tensor, epochs: list[int]) -> None:
        def keep(epoch: int, network: nn.Module) -> None:
            epochs.append(epoch)
            into[epoch - 1] = torch.cat([weight.detach().flatten() for weight in network.parameters()])

        taught = replace(job(task, recipe()), after_epoch=keep, keeps={"rows": into})
        loop.train(task, task.network(5), taught)

    size = sum(weight.numel() for weight in make_task().network(5).parameters())
    unbroken, epochs = torch.zeros(4, size), list[int]()
    kept(make_task(), unbroken, epochs)
    assert epochs == [1, 2, 3, 4]
    assert not torch.equal(unbroken[0], unbroken[1]) and bool(unbroken[0].any())
    seen = list[int]()
    for calls in (5, 4):
        with pytest.raises(Interrupted):
            kept(make_task(should_stop=StopAfter(calls)), torch.zeros(4, size), seen)
    continued = torch.zeros(4, size)
    kept(make_task(), continued, seen)
    assert torch.equal(continued, unbroken)
    assert seen == [1, 2, 3, 4]


def test_a_killed_training_continues_from_its_last_checkpoint(make_task: MakeTask) -> None:
    class Killed(BaseException):
        pass

    class Dying(HardSupervision):
        def loss(self, logits: Tensor, answers: Tensor | None, view: BatchView, classes: Tensor) -> Tensor:
            epochs.append(view.epoch)
            if view.epoch == 2:
                raise Killed
            return super().loss(logits, answers, view, classes)

    unbroken = trained(make_task(), recipe(**EVERYTHING))
    for expected in ([0, 0, 0, 1, 1, 1, 2], [2]):
        epochs: list[int] = []
        with pytest.raises(Killed):
            trained(make_task(checkpoint_seconds=0.0), recipe(**EVERYTHING), Dying())
        assert epochs == expected
    assert_same(trained(make_task(), recipe(**EVERYTHING)), unbroken)


def test_a_step_is_that_of_plain_torch(make_task: MakeTask) -> None:
    task = make_task()
    training = recipe(epochs=2, schedule="cosine", batch_size=46)
    ours = trained(task, training)
    network = task.network(5)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    feed = job(task, training).feed
    for epoch, rate in enumerate((0.05, 0.025)):
        optimizer.param_groups[0]["lr"] = rate
        order = Views(training, 11, 46, 8).order(epoch)
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(network(feed.images(order)), feed.labels(order)))
        optimizer.step()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(ours[name], tensor)


@pytest.mark.parametrize(("every_step", "positions"), [(True, [0, 1, 2, 3, 4, 5]), (False, [0, 0, 0, 3, 3, 3])])
def test_the_rate_moves_with_every_batch_or_every_epoch(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, every_step: bool, positions: list[int]
) -> None:
    """Two epochs of three batches under a cosine: rate (1 + cos(pi k / 6)) / 2."""
    rates, task = list[float](), make_task()
    monkeypatch.setattr(optimizers, "set_rate", lambda _, rate: rates.append(rate))
    trained(task, recipe(epochs=2, batch_size=16, schedule="cosine", every_step=every_step))
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * k / 6)) / 2 for k in positions])


def test_statistics_that_move_twice_are_those_of_two_passes_over_every_batch(make_task: MakeTask) -> None:
    """RDED's code passes a batch through the network once more, without gradients."""
    task = make_task()
    ours = trained(task, recipe(bn_updates=2, **CROPS))
    network, training = loop.place(task.network(5), task), recipe(**CROPS)
    network.register_forward_pre_hook(once_more)
    theirs = loop.train(task, network, job(task, training)).state_dict()
    assert ours.keys() == theirs.keys() and any("running_var" in name for name in ours)
    for name, tensor in ours.items():
        if "num_batches" not in name:
            torch.testing.assert_close(tensor, theirs[name])


def once_more(network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if network.training and torch.is_grad_enabled():
        with torch.no_grad():
            network(*inputs)


def test_the_moving_average_is_what_is_tested(make_task: MakeTask) -> None:
    one_step = {"epochs": 1, "batch_size": 46, "schedule": "constant"}
    start = make_task().network(5).state_dict()
    end = trained(make_task(), recipe(**one_step))
    averaged = trained(make_task(), recipe(**one_step, ema=0.75))
    for name, tensor in averaged.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, 0.75 * start[name] + 0.25 * end[name])
        else:
            assert torch.equal(tensor, end[name])


def test_an_average_of_weights_alone_has_the_statistics_of_the_network_that_is_trained(make_task: MakeTask) -> None:
    """EDC's code swaps parameters: BatchNorm's buffers stay those of the live model."""
    live = trained(make_task(), recipe())
    of_all = trained(make_task(), recipe(ema=0.9))
    swapped = trained(make_task(), recipe(ema=0.9, ema_buffers="live"))
    for name, tensor in swapped.items():
        statistics = "running" in name or "tracked" in name
        assert torch.equal(tensor, (live if statistics else of_all)[name]), name
    assert any(not torch.equal(of_all[name], live[name]) for name in live if "running_var" in name)


@pytest.mark.parametrize("parts", [[23, 23], [16, 16, 14]])
def test_accumulation_is_one_step_on_the_sum_of_parts_that_batchnorm_sees_apart(
    make_task: MakeTask, parts: list[int]
) -> None:
    """46 images as backward passes of plain torch, whose losses count by their images: halved, as in the releases."""
    task = make_task()
    training = recipe(epochs=1, schedule="constant", batch_size=46, accumulation=len(parts))
    ours = trained(task, training)
    network = task.network(5).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    feed = job(task, training).feed
    for part in Views(training, 11, 46, 8).order(0).split(parts):
        loss = nn.functional.cross_entropy(network(feed.images(part)), feed.labels(part))
        torch.autograd.backward(loss * len(part) / 46)
    optimizer.step()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(ours[name], tensor)


def test_momentum_is_forgotten_where_the_step_schedule_drops(make_task: MakeTask) -> None:
    """With lr 0 before the drop only momentum could carry the earlier gradients over."""
    task = make_task()
    training = recipe(epochs=4, batch_size=46)  # drops at epoch 3
    state = loop._Training(task, task.network(5), job(task, training))
    for epoch in range(3):
        state._step(epoch, 0)
    assert state.optimizer.state
    state._begin(3)
    assert not state.optimizer.state


def test_a_loss_that_is_not_finite_fails_the_run(make_task: MakeTask) -> None:
    with pytest.raises(RunFailure, match="loss of test is not finite in epoch 1"):
        trained(make_task(), recipe(lr=1e30))


def test_a_last_step_that_blows_up_the_weights_fails_the_run(make_task: MakeTask) -> None:
    """No loss is looked at after it: the first, and here only, step's loss was finite."""
    with pytest.raises(RunFailure, match=r"^test diverged: \w+\.\S+ of the network holds NaN or infinity"):
        trained(make_task(), recipe(epochs=1, batch_size=64, lr=3e38, momentum=0.0, weight_decay=10.0))


def test_a_network_whose_logits_are_not_finite_has_no_accuracy(make_task: MakeTask) -> None:
    class Lost(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.full((len(images), 3), torch.nan)

    task = make_task()
    with pytest.raises(RunFailure, match="NaN or infinity for 100 % of the test images"):
        accuracy(Lost(), task.dataset.test, task.dataset.normalisation, task)


def test_weights_stay_fp32_and_losses_get_fp32_in_bf16(make_task: MakeTask) -> None:
    seen: list[torch.dtype] = []

    class Watching(HardSupervision):
        def loss(self, logits: Tensor, answers: Tensor | None, view: BatchView, classes: Tensor) -> Tensor:
            seen.append(logits.dtype)
            return super().loss(logits, answers, view, classes)

    weights = trained(make_task(precision="bf16"), recipe(), Watching())
    assert set(seen) == {torch.float32}
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32, torch.int64}


@pytest.mark.skipif(missing_compiler(torch.device("cpu")) is not None, reason="there is no C++ compiler here")
def test_compiled_it_ends_where_it_ends_otherwise(make_task: MakeTask) -> None:
    """46 images in batches of 16: the last batch of each epoch is smaller, and not compiled."""
    plain, task = trained(make_task(), recipe()), make_task(compile="always")
    for name, tensor in trained(task, recipe()).items():
        torch.testing.assert_close(tensor, plain[name], atol=1e-4, rtol=1e-3)
    assert task.measured.compiled["test"]["compiled"]


def test_choosing_whether_to_compile_leaves_the_training_as_it_was(make_task: MakeTask) -> None:
    """Its trial steps must not move BatchNorm's statistics."""
    task = make_task(compile="auto")
    assert_same(trained(task, recipe()), trained(make_task(), recipe()))
    assert "compiling saves about 0 s" in task.measured.compiled["test"]["why"]


def test_a_trained_network_knows_the_colours(make_task: MakeTask) -> None:
    task = make_task()
    network = loop.train(task, task.network(5), job(task, recipe(epochs=15)))
    top1, top5 = accuracy(network, task.dataset.test, task.dataset.normalisation, task)
    assert top1 > 90 and top5 is None


def test_images_are_enlarged_as_torchvision_does(make_task: MakeTask) -> None:
    images = make_task().dataset.train.take(torch.arange(4)).float()
    side = images.shape[-1]
    resized = tv.center_crop(tv.resize(images, [side + 3], antialias=True), [side])
    torch.testing.assert_close(enlarged(images, side + 3), resized)
    assert not torch.allclose(enlarged(images, side + 3), images, atol=1)


def test_what_is_tested_is_what_was_enlarged(make_task: MakeTask) -> None:
    task, seen = make_task(), list[Tensor]()
    network = task.network(0)
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    test, side = task.dataset.test, task.dataset.resolution
    for resize in (None, side + 4):
        accuracy(network, test, task.dataset.normalisation, task, resize=resize)
    plain, larger = (torch.cat(each) for each in (seen[: len(seen) // 2], seen[len(seen) // 2 :]))
    torch.testing.assert_close(larger, enlarged(plain, side + 4))


def test_accuracy_counts_what_is_right(make_task: MakeTask) -> None:
    """A network that answers with the batch's brightest class in order is right where we say it is."""

    class Ranks(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.arange(8.0, 0, -1).expand(len(images), 8)  # class 0 first, class 4 fifth

    from bench.data.datasets import Dataset

    task = make_task()
    labels = torch.tensor([0, 0, 4, 4, 5, 7, 0, 3])
    split = TensorSplit(torch.zeros(8, 3, 8, 8, dtype=torch.uint8), labels)
    names = tuple("abcdefgh")
    dataset = Dataset("x", "h", 8, 3, names, names, task.dataset.normalisation, split, split)
    network = Ranks().train()
    assert accuracy(network, split, dataset.normalisation, make_task(dataset=dataset)) == (37.5, 75.0)
    assert assess(network, split, dataset.normalisation, make_task(dataset=dataset)).most_predicted == 100
    assert network.training
    with pytest.raises(ValueError, match="empty"):
        accuracy(network, TensorSplit(split.images[:0], labels[:0]), dataset.normalisation, task)


@pytest.mark.parametrize(("batches", "top1"), [(1, 100.0), (2, 75.0), (9, 75.0), (0, 0.0)])
def test_where_a_test_is_cut_short_the_accuracy_is_of_what_was_seen(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, batches: int, top1: float
) -> None:
    """Two batches of four; a network that always says 0 is right in the first, and in half of the second."""
    monkeypatch.setattr("bench.training.testing.BATCH", 4)
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 0])
    split = TensorSplit(torch.zeros(8, 3, 8, 8, dtype=torch.uint8), labels)

    class Sure(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([2.0, 1.0, 0.0]).expand(len(images), 3)

    task = make_task(pace=FirstSteps(batches))
    assert accuracy(Sure(), split, task.dataset.normalisation, task)[0] == top1
