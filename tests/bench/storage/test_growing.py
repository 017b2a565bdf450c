"""What a model was given later changes no key of what was made before."""

from typing import ClassVar

import pytest

from bench.extensions.registry import Registry
from bench.planning.configuring import build, configure
from bench.recipes import Setting
from bench.storage.files import digest
from bench.storage.growing import GrowingModel
from bench.training.recipes import TeacherRecipe, TrainingRecipe

RECIPE = TrainingRecipe(epochs=3, batch_size=4, lr=0.1, weight_decay=0.0)
DIGITS = Setting("digits", 8, 1, 10, 1, "convnet3-bn", "quick")
BEFORE = {  # of each at its version
    "sre2l": "ebb23d2278705ce164bd10c2eb58bcd9",
    "cda": "a886d28418a88f6b539feac2f6f8d4c8",
    "rded": "66d91e197525ae1670362740021cc10b",
    "mtt": "28b959369858fdb84a50b2b92bfc38a7",
}


class Old(GrowingModel):
    size: int = 1


class Grown(Old):
    added: ClassVar[frozenset[str]] = frozenset({"colour"})
    colour: str = "red"


def test_what_was_added_is_said_only_where_it_is_set() -> None:
    assert Grown().model_dump() == Grown(colour="red").model_dump() == Old().model_dump() == {"size": 1}
    assert Grown(colour="blue").model_dump(mode="json") == {"size": 1, "colour": "blue"}
    assert Grown.model_validate(Grown().model_dump()) == Grown()


def test_the_key_of_a_recipe_is_what_it_was() -> None:
    assert digest(RECIPE.model_dump(mode="json")) == "e2fe628f0f8d1e2542d5ba7dfa7c7b6a"
    changed = RECIPE.model_copy(update={"soft_loss": "mse", "zeta": 2.0})
    assert changed.model_dump().keys() - RECIPE.model_dump().keys() == {"soft_loss", "zeta"}
    teacher = TeacherRecipe(**RECIPE.model_dump(), accumulation=2)
    assert teacher.training() == RECIPE.model_copy(update={"accumulation": 2})


@pytest.mark.parametrize("method", BEFORE)
def test_the_name_of_a_run_is_what_it_was(method: str) -> None:
    choice = configure(Registry(), method, DIGITS, ())
    assert digest(choice.identity()) == BEFORE[method]


def test_what_is_unsaid_can_be_set_and_said() -> None:
    kept = configure(Registry(), "sre2l", DIGITS, ["squeeze.ema_buffers=averaged", "squeeze.zeta=1.0"])
    assert kept.changed == {} and digest(kept.identity()) == BEFORE["sre2l"]
    other = configure(Registry(), "sre2l", DIGITS, ["squeeze.milestones=[0.5]", "squeeze.schedule=multistep"])
    assert other.changed["squeeze.milestones"] == [[], [0.5]]
    assert build(Registry(), other).config.squeeze.milestones == (0.5,)
    assert digest(other.identity()) != BEFORE["sre2l"]
