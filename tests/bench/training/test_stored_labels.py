"""Stored labels: the logits of the very views that a training with them sees."""

import copy
import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from damage import misread
from large_sets import MadeWhole, count_as_large
from stopping import StopAfter
from torch import Tensor, nn

from bench.condensation import Images, Task
from bench.errors import Interrupted, RunFailure
from bench.labels import Combine, HardLabels, StoredLabels, TeacherRef, labels_from
from bench.labels.forms import Int8, LogitForm, TopK
from bench.sets.condensed import CondensedSet
from bench.storage.files import digest
from bench.training import loop
from bench.training import recognition as recognising
from bench.training.feeding import Feed
from bench.training.loop import TrainingJob
from bench.training.losses import SoftLoss
from bench.training.recipes import TrainingRecipe
from bench.training.soft_labels.stored import pixels_digest, store_labels
from bench.training.supervision import StoredSupervision, Supervision, TeacherSupervision
from bench.training.teachers import Teacher, in_mode, together

MakeTask = Callable[..., Task]
RECIPE = TrainingRecipe(
    epochs=3, batch_size=5, lr=0.05, weight_decay=1e-4, crop="resized", flip=True, mix="cutmix", dsa="color_scale"
)
COMBINATIONS: tuple[Combine, ...] = ("mean", "equal-norm")
REF = TeacherRef("0" * 32, "small", None, 0)


class Rounded(nn.Module):
    """A teacher whose logits are rounded to fp16."""

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.teacher(images).half().float()
        return logits


def teacher(task: Task) -> Teacher:
    network = loop.place(task.network(1), task).eval().requires_grad_(False)
    return Teacher(network, REF)


def images(task: Task) -> Images:
    chosen = torch.arange(12)
    return Images(task.dataset.train.take(chosen), task.dataset.train.labels[chosen])


def stored(task: Task) -> StoredLabels:
    return store_labels(task, teacher(task), images(task), RECIPE, temperature=20.0, view_seed=9)


def trained(task: Task, supervision: Supervision) -> dict[str, Tensor]:
    from bench.data.datasets import TensorSplit

    split = TensorSplit(images(task).pixels, images(task).classes)
    job = TrainingJob(
        recipe=RECIPE,
        feed=Feed(split, task.dataset.normalisation, task.device),
        supervision=supervision,
        view_seed=9,
        checkpoint=task.workspace / "training.checkpoint.safetensors",
        what="test",
    )
    return loop.train(task, task.network(2), job).state_dict()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_with_stored_labels_is_training_with_the_teacher(make_task: MakeTask, precision: str) -> None:
    task = make_task(precision=precision)
    labels = stored(task)
    assert labels.logits.shape == (3, 12, 3) and labels.logits.dtype == torch.float16
    online = TeacherSupervision(Rounded(teacher(task).network), SoftLoss(20.0, t_squared=True))
    from_stored = trained(task, StoredSupervision(labels, SoftLoss(20.0, t_squared=True)))
    for name, tensor in trained(task, online).items():
        assert torch.equal(tensor, from_stored[name]), name


def test_labels_of_a_set_larger_than_memory_are_made_in_parts(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And it is recognised, and told from others, as a small one is."""
    task, plain = make_task(), images(make_task())
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(recognising, "BATCH", 5)
    count_as_large(monkeypatch, plain.pixels.nbytes)
    large = plain.at(torch.arange(len(plain)))
    made = MadeWhole(plain.pixels.numel())
    with made:
        labels = store_labels(task, teacher(task), large, RECIPE, temperature=20.0, view_seed=9)
        seen = recognising.recognition(teacher(task).network, condensed(task, large), task)
    assert made.names == [] and pixels_digest(large) == pixels_digest(plain)
    assert torch.equal(labels.logits, stored(make_task()).logits)
    assert seen == recognising.recognition(teacher(task).network, condensed(task, plain), task)


def condensed(task: Task, held: Images) -> CondensedSet:
    return CondensedSet(held, HardLabels(), task.dataset.classes, task.dataset.normalisation)


def test_a_teacher_in_training_mode_labels_as_plain_torch_does_and_nothing_moves(make_task: MakeTask) -> None:
    """Released code leaves its teacher in training mode: BatchNorm by each batch, which is what a set's views are."""
    task = make_task()
    network = teacher(task).network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    batch = task.dataset.normalisation.apply(images(task).pixels[:5])
    by_batch, by_statistics = in_mode(network, "train")(batch), in_mode(network, "eval")(batch)
    with torch.no_grad():
        torch.testing.assert_close(by_batch, copy.deepcopy(network).train()(batch))
    assert not torch.allclose(by_batch, by_statistics)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_in_halves_each_half_of_a_batch_has_statistics_of_its_own(make_task: MakeTask) -> None:
    """CV-DD's code cuts at half of the batch, rounded down."""
    task = make_task()
    network = teacher(task).network
    batch = task.dataset.normalisation.apply(images(task).pixels[:5])
    found, training = in_mode(network, "train-halves"), copy.deepcopy(network).train()
    with torch.no_grad():
        torch.testing.assert_close(found(batch), torch.cat([training(batch[:2]), training(batch[2:])]))
        for few in (1, 2, 3):  # of which half may be one image, and the last map one pixel
            torch.testing.assert_close(found(batch[:few]), training(batch[:few]))
    assert not torch.allclose(found(batch), in_mode(network, "train")(batch))


def test_labels_stored_in_training_mode_are_those_that_such_a_teacher_gives_online(make_task: MakeTask) -> None:
    task = make_task()
    made = teacher(task)
    labels = store_labels(task, made, images(task), RECIPE, temperature=20.0, view_seed=9, mode="train")
    assert not torch.equal(labels.logits, stored(task).logits), "and each has a file of its own"
    online = TeacherSupervision(Rounded(in_mode(made.network, "train")), SoftLoss(20.0, t_squared=True))
    from_stored = trained(task, StoredSupervision(labels, SoftLoss(20.0, t_squared=True)))
    for name, tensor in trained(task, online).items():
        assert torch.equal(tensor, from_stored[name]), name


def test_several_teachers_store_the_mean_of_their_logits(make_task: MakeTask) -> None:
    task = make_task()
    first, second = teacher(task), Teacher(loop.place(task.network(5), task).eval(), replace(REF, stage="1" * 32))
    alone = [store_labels(task, each, images(task), RECIPE, temperature=20.0, view_seed=9) for each in (first, second)]
    labels = store_labels(task, [first, second], images(task), RECIPE, temperature=20.0, view_seed=9)
    mean = (alone[0].logits.double() + alone[1].logits.double()) / 2
    torch.testing.assert_close(labels.logits.double(), mean, atol=1e-3, rtol=1e-3)  # each rounded to fp16
    assert not torch.equal(labels.logits, alone[0].logits) and labels.teachers == (first.ref, second.ref)


def test_several_teachers_store_what_they_give_online_when_norms_are_made_equal(make_task: MakeTask) -> None:
    task = make_task()
    first, second = teacher(task), Teacher(loop.place(task.network(5), task).eval(), replace(REF, stage="1" * 32))
    made = {
        combine: store_labels(
            task, [first, second], images(task), RECIPE, temperature=20.0, view_seed=9, combine=combine
        )
        for combine in COMBINATIONS
    }
    assert not torch.equal(made["mean"].logits, made["equal-norm"].logits), "and each has a file of its own"
    assert "combine" not in made["mean"].facts and made["equal-norm"].facts["combine"] == "equal-norm"
    for combine, labels in made.items():
        network = Rounded(together([first.network, second.network], combine))
        online = trained(task, TeacherSupervision(network, SoftLoss(20.0, kind="mse", hard_weight=0.1)))
        from_stored = trained(task, StoredSupervision(labels, SoftLoss(20.0, kind="mse", hard_weight=0.1)))
        assert all(torch.equal(tensor, from_stored[name]) for name, tensor in online.items())
        facts, read = labels.facts, labels_from(labels.facts, labels.tensors, (None, None))
        assert isinstance(read, StoredLabels) and read.facts == facts and read.combine == combine


def test_teachers_count_by_their_shares_stored_and_online(make_task: MakeTask) -> None:
    task, shares = make_task(), (0.75, 0.25)
    both = [teacher(task), Teacher(loop.place(task.network(5), task).eval(), replace(REF, stage="1" * 32))]
    alone = [store_labels(task, each, images(task), RECIPE, temperature=20.0, view_seed=9) for each in both]
    plain = store_labels(task, both, images(task), RECIPE, temperature=20.0, view_seed=9)
    labels = store_labels(task, both, images(task), RECIPE, temperature=20.0, view_seed=9, shares=shares)
    mean = 0.75 * alone[0].logits.double() + 0.25 * alone[1].logits.double()
    torch.testing.assert_close(labels.logits.double(), mean, atol=1e-3, rtol=1e-3)  # each rounded to fp16
    assert not torch.equal(labels.logits, plain.logits) and "shares" not in plain.facts
    read = labels_from(labels.facts, labels.tensors, (None, None))
    assert isinstance(read, StoredLabels) and read.shares == shares and read.facts == labels.facts
    batch = task.dataset.normalisation.apply(images(task).pixels)
    with torch.no_grad():
        found = together([each.network for each in both], shares=shares)(batch)
        expected = 0.75 * both[0].network(batch) + 0.25 * both[1].network(batch)
    torch.testing.assert_close(found, expected)


def test_a_single_teacher_of_several_is_that_teacher(make_task: MakeTask) -> None:
    task = make_task()
    made = teacher(task)
    labels = store_labels(task, [made], images(task), RECIPE, temperature=20.0, view_seed=9)
    assert torch.equal(labels.logits, stored(task).logits) and labels.facts == stored(task).facts
    assert together([made.network]) is made.network


def test_labels_carry_what_reproduces_their_views(make_task: MakeTask) -> None:
    labels = stored(make_task())
    assert TrainingRecipe.model_validate(labels.recipe) == RECIPE
    assert (labels.view_seed, labels.temperature, labels.teacher) == (9, 20.0, REF)


def test_an_interrupted_relabelling_continues(make_task: MakeTask) -> None:
    class Counting(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network, self.calls = network, 0

        def forward(self, batch: Tensor) -> Tensor:
            self.calls += 1
            logits: Tensor = self.network(batch)
            return logits

    whole = stored(make_task()).logits.clone()
    task = make_task()
    for leftover in task.workspace.iterdir():
        leftover.unlink()
    with pytest.raises(Interrupted):
        stored(make_task(should_stop=StopAfter(4)))
    counting = Counting(teacher(task).network)
    labels = store_labels(task, Teacher(counting, REF), images(task), RECIPE, temperature=20.0, view_seed=9)
    assert counting.calls == 9 - 4
    assert torch.equal(labels.logits, whole)


def test_logits_that_fp16_cannot_hold_fail_the_run(make_task: MakeTask) -> None:
    task = make_task()
    loud = teacher(task)
    loud.network.classifier.bias.data.fill_(1e6)  # type: ignore[union-attr, operator]
    with pytest.raises(RunFailure, match="not finite in fp16"):
        store_labels(task, loud, images(task), RECIPE, temperature=20.0, view_seed=9)


@pytest.mark.parametrize("form", [Int8(), TopK(2, 3)], ids=lambda form: form.store)
@pytest.mark.parametrize("keep", [1.0, 0.6])
def test_labels_of_fewer_bytes_are_those_of_all_and_continue_after_a_stop(
    make_task: MakeTask, form: LogitForm, keep: float
) -> None:
    """12 images in 3 epochs of batches of 5, 5 and 2: 9 batches, of which 0.6 are 5, all of them whole."""

    def labelled(task: Task) -> StoredLabels:
        return store_labels(
            *(task, teacher(task), images(task), RECIPE), temperature=20.0, view_seed=9, form=form, keep=keep
        )

    every, labels = stored(make_task()).logits, labelled(make_task())
    rows = (
        every if keep == 1 else torch.stack([every[0, :5], every[0, 5:10], every[1, :5], every[1, 5:10], every[2, :5]])
    )
    assert labels.logits.shape[:2] == rows.shape[:2]
    expected = {name: torch.from_numpy(part) for name, part in form.encode(rows.flatten(0, 1).numpy(), 20.0).items()}
    for name, tensor in labels.tensors.items():
        assert torch.equal(tensor.flatten(0, 1), expected[name]), name
    assert labels.bytes == rows[..., 0].numel() * {"int8": 3 + 4, "top-k": 2 * 4 + 2}[form.store]
    read = labels_from(labels.facts, labels.tensors, (None,))
    assert isinstance(read, StoredLabels) and (read.form, read.keep) == (form, keep)
    whole = {name: tensor.clone() for name, tensor in labels.tensors.items()}
    for leftover in make_task().workspace.iterdir():
        leftover.unlink()
    with pytest.raises(Interrupted):
        labelled(make_task(should_stop=StopAfter(3)))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in labelled(make_task()).tensors.items())


def test_files_of_labels_as_they_ever_were_are_called_as_ever(make_task: MakeTask) -> None:
    """A relabelling that an older program began goes on."""
    task = make_task()
    stored(task)
    made_of = [REF.stage, RECIPE.model_dump(mode="json"), 9, pixels_digest(images(task)), "fp32"]
    assert [path.name for path in task.workspace.glob("*.fp16")] == [f"relabel-{digest(made_of)}.fp16"]


def test_other_images_have_other_files(make_task: MakeTask) -> None:
    task = make_task()
    stored(task)
    altered = images(task)
    altered.pixels[0, 0, 0, 0] ^= 1
    store_labels(task, teacher(task), altered, RECIPE, temperature=20.0, view_seed=9)
    assert len(list(task.workspace.glob("relabel-*.fp16"))) == 2


def test_no_room_is_an_error_at_once_and_leaves_nothing(make_task: MakeTask) -> None:
    """The file is reserved in full: a memory-mapped write to a full disk would be a signal, not an error."""
    task, largest = make_task(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, largest[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            stored(task)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, largest)
    assert not list(task.workspace.iterdir())


def test_whatever_the_note_of_a_position_says_the_labels_are_the_same(make_task: MakeTask) -> None:
    whole = stored(make_task()).logits.clone()
    (labels,) = make_task().workspace.glob("relabel-*.fp16")
    labels.unlink()
    with pytest.raises(Interrupted):
        stored(make_task(should_stop=StopAfter(4)))
    position, half = labels.with_suffix(".json"), labels.read_bytes()
    of_the_older_schema = sealed(schema=1, done=4)
    for what, bad in [
        *misread(position.read_bytes()),
        ("more than all", sealed(schema=2, done=10, logits="")),
        ("fewer, with the hash of four", altered(position.read_bytes(), done=3)),
        ("an older schema", of_the_older_schema),
    ]:
        labels.write_bytes(half)
        position.write_bytes(bad)
        assert torch.equal(stored(make_task()).logits, whole), what


def sealed(**content: object) -> bytes:
    return json.dumps({**content, "checksum": digest(content)}).encode()


def altered(position: bytes, **changes: object) -> bytes:
    content = {name: value for name, value in json.loads(position).items() if name != "checksum"}
    return sealed(**{**content, **changes})


@pytest.mark.parametrize("byte", [0, 50, 101])
def test_a_logit_that_changed_since_a_labelling_was_broken_off_is_made_again(make_task: MakeTask, byte: int) -> None:
    """Of 102 bytes: five, five and two images of the first epoch, five of the next, three classes each in fp16."""
    whole = stored(make_task()).logits.clone()
    (labels,) = make_task().workspace.glob("relabel-*.fp16")
    labels.unlink()
    with pytest.raises(Interrupted):
        stored(make_task(should_stop=StopAfter(4)))
    half = bytearray(labels.read_bytes())
    half[byte] ^= 1
    labels.write_bytes(half)
    task = make_task()
    assert torch.equal(stored(task).logits, whole)
    assert list(task.workspace.glob("*corrupt*")), "what vouched for it is set aside"


def test_a_position_does_not_vouch_for_labels_that_are_gone(make_task: MakeTask) -> None:
    whole = stored(make_task()).logits.clone()
    task = make_task()
    (labels,) = task.workspace.glob("relabel-*.fp16")
    labels.unlink()
    assert torch.equal(stored(task).logits, whole)
