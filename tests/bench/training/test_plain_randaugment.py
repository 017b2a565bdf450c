"""Torchvision's policy against torchvision's own code, operation by operation and in its draws."""

from collections import Counter

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms.autoaugment import _apply_op

from bench.data.datasets import Normalisation
from bench.training.augmentation.plain_randaugment import OPERATIONS, POLICY, draw
from bench.training.recipes import TrainingRecipe
from bench.training.views import BatchView, Views, apply

SIZE, MAGNITUDE = 32, 9
NORMALISATION = Normalisation((0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
IMAGES = torch.randint(256, (3, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
THEIR_NAMES = {
    **{"identity": "Identity", "shear-x": "ShearX", "shear-y": "ShearY", "rotate": "Rotate", "color": "Color"},
    **{"translate-x": "TranslateX", "translate-y": "TranslateY", "brightness": "Brightness", "contrast": "Contrast"},
    **{"sharpness": "Sharpness", "posterize": "Posterize", "solarize": "Solarize"},
    **{"autocontrast": "AutoContrast", "equalize": "Equalize"},
}
THEIRS = RandAugment(magnitude=MAGNITUDE)._augmentation_space(31, (SIZE, SIZE))


def test_there_are_the_operations_that_torchvision_has() -> None:
    assert {THEIR_NAMES[name] for name in OPERATIONS} == set(THEIRS)


@pytest.mark.parametrize("magnitude", [1, 9, 30])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_torchvisions(name: str, sign: int, magnitude: int) -> None:
    magnitudes, signed = THEIRS[THEIR_NAMES[name]]
    strength = float(magnitudes[magnitude]) if magnitudes.ndim else 0.0
    strength *= sign if signed else 1
    theirs = _apply_op(IMAGES, THEIR_NAMES[name], strength, InterpolationMode.NEAREST, None)
    made = OPERATIONS[name](IMAGES, sign * magnitude / 30, [0.0] * 3)
    rounded = name in ("color", "contrast", "sharpness")  # before torchvision's older functions blend
    torch.testing.assert_close(made.int(), theirs.int(), atol=int(rounded), rtol=0)


def test_every_image_takes_two_operations_all_of_them_as_likely() -> None:
    drawn = draw(MAGNITUDE, 14_000, np.random.default_rng(0))
    assert len(drawn.layers) == 2 and drawn.policy is POLICY
    for layer in drawn.layers:
        counts = Counter(layer.chosen.tolist())
        assert set(counts) == set(range(14)) and all(880 < count < 1_120 for count in counts.values())
        assert 6_700 < int(layer.reversed.sum()) < 7_300
        assert set(layer.strengths) == {0.3}


def test_images_are_changed_before_they_are_cropped() -> None:
    """An upper half that is turned by half a turn shows what was below."""
    half_turn = draw(MAGNITUDE, 3, np.random.default_rng(1))
    boxes = torch.tensor([[0, 0, SIZE // 2, SIZE]] * 3)
    images = NORMALISATION.apply(IMAGES)
    seen = apply(BatchView(0, 0, torch.arange(3), boxes=boxes, randaugment=half_turn), images, None, NORMALISATION)
    before = apply(
        BatchView(0, 0, torch.arange(3), boxes=boxes), half_turn.apply(images, NORMALISATION), None, NORMALISATION
    )
    assert torch.equal(seen, before)
    after = half_turn.apply(apply(BatchView(0, 0, torch.arange(3), boxes=boxes), images, None), NORMALISATION)
    assert not torch.equal(seen, after)


def test_a_recipe_names_the_policy() -> None:
    recipe = TrainingRecipe(
        epochs=1, batch_size=2, lr=0.1, weight_decay=0, randaugment=9, randaugment_policy="torchvision"
    )
    drawn = Views(recipe, 0, 4, SIZE).at(0, 0).randaugment
    assert drawn is not None and drawn.policy is POLICY
    with pytest.raises(ValueError, match=r"randaugment \(11\) goes up to 10 in timm's policy"):
        TrainingRecipe(epochs=1, batch_size=2, lr=0.1, weight_decay=0, randaugment=11)
