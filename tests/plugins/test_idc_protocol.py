"""The evaluation of IDC's release: its recipes by dataset, and by the images of a class that are trained on."""

from dataclasses import replace

import pytest

from bench.extensions.registry import Registry
from bench.recipes import Setting
from bench.testing import ProtocolConformance
from bench.training import schedules
from bench.training.protocol import TrainingProtocol
from bench.training.recipes import TrainingRecipe

CIFAR = Setting("cifar10", 32, 3, 10, 40, "convnet3")
IMAGENET = Setting("imagenet-10", 224, 3, 10, 90, "convnet5")


def recipe(setting: Setting) -> TrainingRecipe:
    protocol: TrainingProtocol = Registry().load("protocol", "idc")
    return protocol.plan(setting).training


class TestIdc(ProtocolConformance):
    name = "idc"


def test_cifar_is_trained_on_as_by_the_release() -> None:
    assert recipe(CIFAR) == TrainingRecipe(
        epochs=1000,
        batch_size=64,
        optimizer="sgd",
        lr=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="multistep",
        milestones=(0.6665, 0.8332),
        milestone_factor=0.2,
        dsa="color_crop_flip_scale_rotate",
        dsa_reading="layered",
        mix="cutmix",
        mix_probability=0.5,
    )
    for dataset in ("cifar100", "tiny-imagenet", "fashion-mnist", "photographs"):
        assert recipe(replace(CIFAR, dataset=dataset, ipc=1)) == recipe(CIFAR)


@pytest.mark.parametrize(
    ("classes", "epochs"), [(10, (3000, 2000, 1500, 1000, 500, 300)), (100, (2000, 1300, 1000, 600, 300, 200))]
)
def test_the_rate_drops_where_the_release_drops_it(classes: int, epochs: tuple[int, ...]) -> None:
    """`MultiStepLR` at 2n // 3 and 5n // 6; at 500 and at 200 epochs one of the two comes an epoch later."""
    for n in (*epochs, 1000):
        at = recipe(CIFAR).model_copy(update={"epochs": n})
        factors = [schedules.multiplier(at, epoch) for epoch in range(n)]
        first, second = factors.index(0.2), next(epoch for epoch, each in enumerate(factors) if each < 0.1)
        assert first == 2 * n // 3
        assert second == 5 * n // 6 + (n in (500, 200))


@pytest.mark.parametrize(
    ("ipc", "ten", "hundred"),
    [
        (1, 3000, 2000),
        (9, 2000, 1300),
        (10, 2000, 1300),
        (20, 1500, 1000),
        (90, 1000, 600),
        (180, 1000, 600),
        (450, 500, 300),
        (900, 300, 200),
    ],
)
def test_epochs_on_imagenet_go_by_the_images_that_are_trained_on(ipc: int, ten: int, hundred: int) -> None:
    of_ten, of_hundred = recipe(replace(IMAGENET, ipc=ipc)), recipe(replace(IMAGENET, ipc=ipc, classes=100))
    assert (of_ten.epochs, of_ten.lr, of_ten.weight_decay, of_ten.batch_size) == (ten, 0.01, 5e-4, 64)
    assert (of_hundred.epochs, of_hundred.lr, of_hundred.weight_decay, of_hundred.batch_size) == (
        hundred,
        0.1,
        1e-4,
        128,
    )
    assert (of_ten.crop, of_ten.crop_scale, of_ten.flip, of_ten.dsa) == ("resized", (0.5, 1.0), True, "")
    assert (of_ten.jitter, of_ten.lighting, of_ten.mix, of_ten.mix_probability) == (0.4, 0.1, "cutmix", 1.0)


def test_digits_are_never_mirrored_and_single_ones_not_mixed() -> None:
    svhn, mnist = replace(CIFAR, dataset="svhn"), replace(CIFAR, dataset="mnist", resolution=28, channels=1)
    for setting in (svhn, mnist, replace(mnist, dataset="digits", resolution=8)):
        assert "flip" not in recipe(setting).dsa and not recipe(setting).flip
    one, four = recipe(replace(svhn, ipc=1)), recipe(replace(svhn, ipc=4))
    assert (one.mix, one.dsa) == ("none", "color_crop_cutout_scale_rotate")
    assert (four.mix, four.dsa) == ("cutmix", "color_crop_scale_rotate")
    assert (recipe(mnist).mix, recipe(mnist).dsa) == ("none", "color_crop_scale_rotate")
