"""SC-DD: contrastive training held to its equation, colours to torchvision; resumed training; probing; own weights."""

from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from elsewhere import ELSEWHERE, Watch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as vision

from bench import seeds
from bench.condensation import Task
from bench.data.datasets import Normalisation
from bench.errors import Interrupted, RunFailure, UsageError
from bench.extensions.registry import Registry
from bench.loops import checkpoints
from bench.planning.configuring import build, configure
from bench.testing import tiny_dataset, tiny_task
from bench.training.features import classifier_of
from bench.training.recipes import TrainingRecipe
from bench_statistics import colours
from bench_statistics.colours import ColourRecipe, Colours
from bench_statistics.contrastive import (
    ContrastiveRecipe,
    _Contrast,
    enqueue,
    follow,
    info_nce,
    self_supervised,
)
from bench_statistics.probing import probe, put, weights_in
from bench_statistics.sc_dd import SCDD

RECIPE = ContrastiveRecipe(epochs=2, batch_size=6, lr=0.1, weight_decay=1e-3, queue=20, parts=2)
PROBE = TrainingRecipe(epochs=2, batch_size=8, lr=0.5, weight_decay=0.0)
BACKBONE = "convnet3-bn"


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=seeds.generator("pixels", *shape), dtype=dtype)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return tiny_task(tmp_path, dataset=tiny_dataset(channels=3, resolution=8), backbone=BACKBONE, ipc=2)


def test_the_loss_is_that_of_the_equation() -> None:
    queries, keys, queue = (F.normalize(drawn(n, 5, dtype=torch.float64) - 0.5, dim=1) for n in (3, 3, 7))
    queries.requires_grad_()
    loss = info_nce(queries, keys + 0, queue, 0.2)
    terms = []
    for query, key in zip(queries, keys, strict=True):
        own, others = (query @ key / 0.2).exp(), sum((query @ each / 0.2).exp() for each in queue)
        terms.append(-(own / (own + others)).log())
    plain = torch.stack(terms).mean()
    torch.testing.assert_close(loss, plain)
    ours, theirs = (torch.autograd.grad(each, [queries], retain_graph=True)[0] for each in (loss, plain))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("batch", [4, 5, 12])
def test_the_queue_holds_the_last_keys(batch: int) -> None:
    queue, expected = torch.arange(12.0)[:, None].clone(), deque(range(12), maxlen=12)
    for step in range(7):
        fresh = 100 * (step + 1) + torch.arange(float(batch))
        enqueue(queue, fresh[:, None], step * batch)
        expected.extend(fresh.int().tolist())
        assert sorted(queue[:, 0].int().tolist()) == sorted(expected)


def test_the_key_network_follows() -> None:
    key, query = nn.Linear(2, 1), nn.Linear(2, 1)
    expected = 0.9 * key.weight.detach() + 0.1 * query.weight.detach()
    follow(key, query, 0.9)
    torch.testing.assert_close(key.weight, expected)


def test_colours_wait_for_no_device() -> None:
    changed = everything(2, [0, 1, 2, 3])
    with Watch() as watch:
        seen = changed.of_pixels(torch.ones(2, 3, 8, 8, device=ELSEWHERE))
    assert seen.device == ELSEWHERE and watch.waits == 0


def test_luminance_is_the_weighed_sum_of_channels() -> None:
    pixels = torch.rand(3, 3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.einsum("bchw,c->bhw", pixels, torch.tensor(colours.GREY, dtype=torch.float64))
    torch.testing.assert_close(colours.luminance(pixels)[:, 0], expected)


def everything(count: int, order: list[int]) -> Colours:
    yes, no = torch.ones(count, dtype=torch.bool), torch.zeros(count, dtype=torch.bool)
    amounts = torch.stack([drawn(count, 3)[:, at] * 0.8 + 0.6 for at in range(3)] + [drawn(count) - 0.5], 1)
    return Colours(yes, no, no, torch.tensor([order] * count), amounts, torch.linspace(0.1, 2, count))


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 0, 3, 1]])
def test_colours_are_jittered_as_by_torchvision(order: list[int]) -> None:
    pixels, jitter = drawn(6, 3, 8, 8), everything(6, order)
    pixels[0, :, :4] = 0.5  # grey, without a hue
    pixels[1] = 0.0
    theirs = [vision.adjust_brightness, vision.adjust_contrast, vision.adjust_saturation, vision.adjust_hue]
    expected = []
    for image, amounts in zip(pixels, jitter.amounts.tolist(), strict=True):
        for operation in order:
            image = theirs[operation](image, amounts[operation])
        expected.append(image)
    torch.testing.assert_close(jitter.of_pixels(pixels), torch.stack(expected), atol=2e-5, rtol=0)


def test_grey_and_blur_are_torchvisions() -> None:
    pixels = drawn(4, 3, 24, 24)
    jitter = replace(everything(4, [0, 1, 2, 3]), jittered=torch.zeros(4, dtype=torch.bool))
    half = torch.tensor([True, False, True, False])
    greyed = replace(jitter, grey=half).of_pixels(pixels)
    torch.testing.assert_close(greyed[half], vision.rgb_to_grayscale(pixels[half], num_output_channels=3))
    assert torch.equal(greyed[~half], pixels[~half])
    blurry = replace(jitter, blurred=half).of_pixels(pixels)
    for place in (0, 2):
        theirs = vision.gaussian_blur(pixels[place], [13, 13], [float(jitter.sigmas[place])] * 2)
        inside = (..., slice(6, -6), slice(6, -6))  # torchvision mirrors at the border
        torch.testing.assert_close(blurry[place][inside], theirs[inside])
    assert torch.equal(blurry[~half], pixels[~half])


def test_as_many_are_changed_as_the_recipe_says_and_of_one_channel_brightness_alone() -> None:
    recipe = ColourRecipe(jitter=(0.4, 0.4, 0.0, 0.0), blur_share=0.0)
    many = colours.draw(recipe, 4000, seeds.counter(3))
    assert float(many.jittered.float().mean()) == pytest.approx(0.8, abs=0.03)
    assert float(many.grey.float().mean()) == pytest.approx(0.2, abs=0.03)
    assert not many.blurred.any()
    assert 0.6 <= float(many.amounts[:, :2].min()) < 0.61 < 1.39 < float(many.amounts[:, :2].max()) <= 1.4
    assert many.amounts[:, 2:].unique(dim=0).tolist() == [[1.0, 0.0]]
    pixels, normalisation = drawn(5, 1, 8, 8), Normalisation((0.5,), (0.25,))
    seen = colours.draw(recipe, 5, seeds.counter(4)).apply((pixels - 0.5) / 0.25, normalisation)
    assert seen.shape == pixels.shape
    assert torch.equal(seen, normalisation.apply((normalisation.invert(seen) * 255).round().to(torch.uint8)))


def test_two_views_show_the_same_images_and_differ(task: Task, tmp_path: Path) -> None:
    plain = RECIPE.model_copy(update={"jitter_share": 0.0, "grey_share": 0.0, "blur_share": 0.0})
    whole = plain.model_copy(update={"crop_scale": (1.0, 1.0), "flip": False})
    exact = _Contrast(task, task.network(0), whole, 1, tmp_path / "a")
    queries, keys = exact._seen(0, 1, 0), exact._seen(1, 1, 0)
    other = _Contrast(task, task.network(0), plain, 1, tmp_path / "b")
    torch.testing.assert_close(queries.mean((1, 2, 3)), keys.mean((1, 2, 3)), atol=0.2, rtol=0)
    assert not torch.equal(other._seen(0, 1, 0), other._seen(1, 1, 0))


def test_keys_come_back_in_the_order_of_their_queries(task: Task, tmp_path: Path) -> None:
    """In evaluation mode parts and order have no say in an answer."""
    training = _Contrast(task, task.network(0), RECIPE, 1, tmp_path / "a")
    training.key.eval()
    plain = F.normalize(training.key(training._seen(1, 0, 1)), dim=1)
    torch.testing.assert_close(training._keys(0, 1), plain)


def test_batchnorm_sees_parts_and_remembers_as_of_the_whole(task: Task, tmp_path: Path) -> None:
    training = _Contrast(task, task.network(0), RECIPE, 1, tmp_path / "a")
    first = next(module for module in training.query.modules() if isinstance(module, nn.BatchNorm2d))
    seen: list[Tensor] = []
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    training.query_parts(training._seen(0, 0, 0))
    handle.remove()
    assert [len(each) for each in seen] == [3, 3]
    means = [each.mean((0, 2, 3)) for each in seen]
    stays = 0.9**0.5  # twice is once over the whole
    expected = (1 - stays) * (stays * means[0] + means[1])
    torch.testing.assert_close(first.running_mean, expected)


def test_a_stopped_training_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    dataset = tiny_dataset(channels=3, resolution=8)
    broken, whole = (tiny_task(tmp_path / name, dataset=dataset, backbone=BACKBONE) for name in "ab")
    expected = self_supervised(whole, RECIPE, seed=5, backbone=BACKBONE)
    asked = iter([False] * 3 + [True] + [False] * 100)
    with pytest.raises(Interrupted, match="pretrain"):
        self_supervised(replace(broken, should_stop=lambda: next(asked)), RECIPE, seed=5, backbone=BACKBONE)
    found = self_supervised(broken, RECIPE, seed=5, backbone=BACKBONE)
    assert found.hash == expected.hash
    assert found.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(found.tensors[name], expected.tensors[name]) for name in expected.tensors)


def test_a_checkpoint_holds_queue_and_key_network(task: Task, tmp_path: Path) -> None:
    training = _Contrast(task, task.network(0), RECIPE, 1, tmp_path / "a")
    for step in range(2):
        training._step(0, step)
    checkpoints.save(tmp_path / "a", training.state, {"done": 2})
    continued = _Contrast(task, task.network(9), RECIPE, 1, tmp_path / "a")
    assert not torch.equal(continued.queue, training.queue)
    assert checkpoints.restore(tmp_path / "a", continued.state) == {"done": 2}
    assert torch.equal(continued.queue, training.queue)
    for ours, theirs in ((continued.key, training.key), (continued.query, training.query)):
        assert all(torch.equal(ours.state_dict()[name], each) for name, each in theirs.state_dict().items())


def test_another_seed_or_recipe_is_another_stage(task: Task) -> None:
    hashes = {
        self_supervised(task, recipe, seed=seed, backbone=BACKBONE).hash
        for recipe, seed in ((RECIPE, 1), (RECIPE, 2), (RECIPE.model_copy(update={"temperature": 0.3}), 1))
    }
    assert len(hashes) == 3


def test_a_queue_must_hold_a_batch(task: Task) -> None:
    with pytest.raises(RunFailure, match="a queue of 3 keys cannot hold a batch of 6"):
        self_supervised(task, RECIPE.model_copy(update={"queue": 3}), seed=1, backbone=BACKBONE)


def test_probing_moves_the_classifier_and_nothing_else(task: Task, tmp_path: Path) -> None:
    network = task.network(3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    probe(task, network, PROBE, 1, tmp_path)
    name, _ = classifier_of(network)
    moved = {key for key, tensor in network.state_dict().items() if not torch.equal(tensor, before[key])}
    assert moved == {f"{name}.weight", f"{name}.bias"}


def moco_like(network: nn.Module, *, width: int) -> dict[str, Tensor]:
    """As MoCo saves what it trained: the key network and the queue beside, a projection in the classifier's place."""
    name, classifier = classifier_of(network)
    state = {key: tensor for key, tensor in network.state_dict().items() if not key.startswith(name)}
    head = {f"{name}.0.weight": torch.zeros(width, classifier.in_features), f"{name}.0.bias": torch.zeros(width)}
    query = {f"module.encoder_q.{key}": tensor for key, tensor in {**state, **head}.items()}
    key = {name.replace("encoder_q", "encoder_k"): 0 * tensor for name, tensor in query.items()}
    return {**query, **key, "module.queue": torch.zeros(4, 3)}


def test_weights_of_moco_lose_what_is_around_them_and_want_a_classifier(task: Task, tmp_path: Path) -> None:
    trained, network = task.network(1), task.network(2)
    torch.save({"epoch": 200, "state_dict": moco_like(trained, width=128)}, tmp_path / "moco.pth.tar")
    assert put(network, weights_in(tmp_path / "moco.pth.tar"), "moco") is False
    name, _ = classifier_of(network)
    kept = {key for key, tensor in network.state_dict().items() if torch.equal(tensor, trained.state_dict()[key])}
    assert kept >= {key for key in network.state_dict() if not key.startswith(name)}
    assert f"{name}.weight" not in kept


def test_weights_with_a_classifier_are_taken_whole(task: Task, tmp_path: Path) -> None:
    trained, network = task.network(1), task.network(2)
    wrapped = {f"module.{key}": tensor for key, tensor in trained.state_dict().items()}
    torch.save({"state_dict": wrapped}, tmp_path / "probed.pth")
    assert put(network, weights_in(tmp_path / "probed.pth"), "probed") is True
    assert all(torch.equal(network.state_dict()[key], tensor) for key, tensor in trained.state_dict().items())


def test_weights_of_another_network_are_refused(task: Task) -> None:
    with pytest.raises(RunFailure, match="mine holds weights of another network"):
        put(task.network(1), task.network(1, "resnet18").state_dict(), "mine")


def method(task: Task, *changes: str) -> SCDD:
    small = ("pretrain.epochs=1", "pretrain.batch_size=6", "pretrain.queue=12", "pretrain.parts=1", "probe.epochs=1")
    squeezed = ("squeeze.epochs=1", "squeeze.warmup_epochs=0")
    made = build(Registry(), configure(Registry(), "sc-dd", task.setting, [*small, *squeezed, *changes]))
    assert isinstance(made, SCDD)
    return made


def test_weights_that_are_handed_over_are_known_by_their_content(task: Task, tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    torch.save(task.network(1).state_dict(), path)
    choice = configure(Registry(), "sc-dd", task.setting, [f"pretrained={path}"])
    (tmp_path / "moved").mkdir()
    moved = path.rename(tmp_path / "moved" / "own.pth")
    assert configure(Registry(), "sc-dd", task.setting, [f"pretrained={moved}"]).identity() == choice.identity()
    torch.save(task.network(2).state_dict(), moved)
    assert configure(Registry(), "sc-dd", task.setting, [f"pretrained={moved}"]).identity() != choice.identity()


def test_what_is_no_file_of_weights_is_refused_before_any_work(task: Task, tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("weights")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, words in (("text.pth", "holds no weights"), ("list.pth", "a dict of named"), ("none.pth", "cannot be")):
        with pytest.raises(UsageError, match=words):
            configure(Registry(), "sc-dd", task.setting, [f"pretrained={tmp_path / name}"])


def test_one_network_may_be_recovered_from_and_another_label(task: Task, tmp_path: Path) -> None:
    """As in the release's commands: data_synthesis.py looks through a ResNet-50, train_kd.py asks a ResNet-18."""
    path = tmp_path / "own.pth"
    torch.save(task.network(1).state_dict(), path)
    parted = (
        'pool=["convnet3-bn", "convnet2-bn"]',
        'recover.without=["convnet2-bn"]',
        'relabel.without=["convnet3-bn"]',
    )
    made = method(task, f"pretrained={path}", *parted)
    made.check(task.setting)
    made.prepare(task)
    assert [each.ref.backbone for each in made._labellers] == ["convnet2-bn"]
    recovered = classifier_of(made._engine.pool[0].network)[1].weight
    assert len(made._engine.pool) == 1 and torch.equal(recovered, classifier_of(task.network(1))[1].weight)
    assert [key for key in task.facts if key.startswith("probed_top1_")] == ["probed_top1_convnet3-bn"]
    for several in (parted[:1], (*parted, "relabel.teacher=probed")):
        with pytest.raises(UsageError, match="are of one network, and convnet3-bn, convnet2-bn would take them"):
            method(task, f"pretrained={path}", *several).check(task.setting)


def test_images_are_recovered_from_own_weights_and_labelled_by_whom_is_asked_for(task: Task, tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    torch.save(task.network(1).state_dict(), path)
    made = method(task, f"pretrained={path}")
    made.prepare(task)
    recovered = made._engine.pool[0].network
    assert torch.equal(classifier_of(recovered)[1].weight, classifier_of(task.network(1))[1].weight)
    assert made._labellers[0].network is not recovered
    probed = method(task, f"pretrained={path}", "relabel.teacher=probed")
    probed.prepare(task)
    assert probed._labellers[0].network is probed._engine.pool[0].network
