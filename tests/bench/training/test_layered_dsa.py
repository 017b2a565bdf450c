"""IDC's reading of strategy strings: which families act, in which order, and that each does what DSA's does."""

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.training.augmentation import layered_dsa
from bench.training.augmentation.layered_dsa import Layered
from bench.training.recipes import DSA_FAMILIES, TrainingRecipe
from bench.training.views import Views, apply

ALL = "_".join(DSA_FAMILIES)


def batch(count: int = 3, side: int = 16) -> Tensor:
    return torch.randn((count, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def families(strategy: str, seed: int = 0) -> tuple[str, ...]:
    return tuple(layer.family for layer in layered_dsa.draw(strategy, 2, 8, np.random.default_rng(seed)).layers)


def test_flip_and_color_always_then_one_other_then_cutout() -> None:
    counts: dict[str, int] = {}
    for seed in range(300):
        first, second, drawn, last = families(ALL, seed)
        assert (first, second, last) == ("flip", "color", "cutout")
        counts[drawn] = counts.get(drawn, 0) + 1
    assert set(counts) == {"crop", "scale", "rotate"} and min(counts.values()) > 70


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("color_crop_cutout", ("color", "crop", "cutout")),
        ("cutout_crop_color", ("color", "crop", "cutout")),
        ("flip", ("flip",)),
        ("cutout", ("cutout",)),
        ("", ()),
    ],
)
def test_only_what_the_string_names(strategy: str, expected: tuple[str, ...]) -> None:
    assert families(strategy) == expected


def test_layers_act_one_after_the_other() -> None:
    drawn = layered_dsa.draw(ALL, 3, 16, np.random.default_rng(1))
    expected = batch()
    for layer in drawn.layers:
        expected = layer.apply(expected)
    assert torch.equal(drawn.apply(batch()), expected)
    assert torch.equal(Layered(()).apply(batch()), batch())


def test_siamese_parameters_are_those_of_every_batch() -> None:
    shared = layered_dsa.draw(ALL, 1, 16, np.random.default_rng(1), siamese=True)
    together = shared.apply(batch(5))
    for index in range(5):
        torch.testing.assert_close(together[index : index + 1], shared.apply(batch(5)[index : index + 1]))


def test_gradients_flow_through() -> None:
    drawn = layered_dsa.draw(ALL, 2, 6, np.random.default_rng(2))
    assert torch.autograd.gradcheck(drawn.apply, (batch(2, 6).requires_grad_(),), eps=1e-5, atol=1e-4)


def test_a_recipe_asks_for_it_and_for_nothing_new_without_a_word() -> None:
    common = {"epochs": 1, "batch_size": 3, "lr": 0.1, "weight_decay": 0.0, "dsa": ALL}
    one, layered = TrainingRecipe(**common), TrainingRecipe(**common, dsa_reading="layered")  # type: ignore[arg-type]
    assert "dsa_reading" not in one.model_dump() and layered.model_dump()["dsa_reading"] == "layered"
    views = [Views(recipe, 5, 3, 16).at(0, 0) for recipe in (one, layered)]
    assert isinstance(views[1].augmentation, Layered) and not isinstance(views[0].augmentation, Layered)
    assert not torch.equal(*(apply(view, batch().float()) for view in views))
