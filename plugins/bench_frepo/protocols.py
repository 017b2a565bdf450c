"""How FRePo trains on its sets: by the squared error to their targets, for so many steps as a set has images for."""

from dataclasses import replace
from pathlib import Path

from bench.recipes import Recipe, RecipeBook, Setting
from bench.training.protocol import TrainingProtocol

BOOKS = RecipeBook.load_several(Path(__file__).with_name("protocols.toml"))
STEPS = {  # of a student, by images of a set (release: `script/eval.py`)
    **{10: 1_000, 100: 2_000, 200: 20_000, 400: 5_000, 500: 5_000},
    **{1_000: 10_000, 2_000: 40_000, 5_000: 40_000},
}
WARM_UP = 500  # steps
WITHOUT_NORM = {"frepo-conv-bn": "frepo-conv", "convnet3-bn": "convnet3-none", "convnet4-bn": "convnet4-none"}


class CountedBook(RecipeBook):
    """A book whose trainings are as long as the steps that the release makes with so many images.

    The release knows eight sizes of sets, and stops at others. Here the largest of these that a set reaches counts, or
    the smallest. Epochs are as many as these steps take, rounded up where a batch is left over.
    """

    def __init__(self, book: RecipeBook) -> None:
        self._book = book

    def names(self) -> list[str]:
        """The other book's."""
        return self._book.names()

    def pick(self, setting: Setting) -> Recipe:
        """The other book's recipe, with epochs and warm-up in place."""
        recipe, images = self._book.pick(setting), setting.classes * setting.ipc
        steps = STEPS[max((size for size in STEPS if size <= images), default=min(STEPS))]
        batches = batches_of(images, recipe.values["batch_size"])
        lengths = {"epochs": -(-steps // batches), "warmup_epochs": max(1, round(WARM_UP / batches))}
        return replace(recipe, source=f"{recipe.source}: {steps:,} steps", values={**recipe.values, **lengths})


class FRePoProtocol(TrainingProtocol):
    """A training on a network without norm."""

    def student(self, setting: Setting) -> str:
        """Networks that condense with BatchNorm have one without for this (release: `eval_normalization`)."""
        return WITHOUT_NORM.get(setting.backbone, setting.backbone)


def batches_of(images: int, size: int) -> int:
    """Batches of an epoch, as `bench.training.views.Views` makes them: a single image joins the batch before."""
    whole, rest = divmod(images, min(size, images))
    return whole + (rest > 1)


FREPO = FRePoProtocol("frepo", "own", CountedBook(BOOKS["frepo"]))
