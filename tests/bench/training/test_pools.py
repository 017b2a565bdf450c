"""Which batches are labelled where a part is kept, and what a student is shown of them."""

from collections import Counter

import pytest
import torch

from bench.training.recipes import TrainingRecipe
from bench.training.soft_labels.pools import AllBatches, DrawnFromPool, Pool, labelled
from bench.training.views import Views

RECIPE = TrainingRecipe(
    epochs=6, batch_size=5, lr=0.05, weight_decay=0.0, crop="resized", flip=True, mix="cutmix", dsa="color"
)


def views(images: int = 12, **changes: object) -> Views:
    return Views(RECIPE.model_copy(update=changes), 9, images, 8)


def test_all_are_the_training_s_own_batches_in_their_order() -> None:
    every, own = AllBatches(views()), views()
    assert (every.rows, every.steps) == ((6, 12), 6 * 3)
    for step in range(every.steps):
        assert torch.equal(every.at(step).indices, own.at(*divmod(step, 3)).indices)
    assert isinstance(labelled(RECIPE, 9, 12, 8, 1.0), AllBatches)


@pytest.mark.parametrize(
    ("images", "keep", "rows"),
    [
        (12, 0.5, (9, 5)),  # of 6 x 3 batches half; the third of an epoch, of two images, is not whole
        (12, 0.99, (12, 5)),  # there are no more whole ones
        (12, 0.001, (1, 5)),
        (10, 0.5, (6, 5)),  # of 6 x 2, all whole
        (6, 0.5, (3, 6)),  # a single image joins the batch before it, which is the only one
        (3, 0.5, (3, 3)),  # a set smaller than a batch is one
    ],
)
def test_a_pool_is_the_first_whole_batches(images: int, keep: float, rows: tuple[int, int]) -> None:
    pool, own = Pool(views(images), keep), views(images)
    assert pool.rows == rows and pool.steps == rows[0]
    whole = [own.at(epoch, batch) for epoch in range(6) for batch in range(own.batches)]
    whole = [view for view in whole if len(view) == rows[1]]
    for step in range(pool.steps):
        ours, theirs = pool.at(step), whole[step]
        assert (ours.epoch, ours.start) == (step, 0), "where its labels lie"
        assert torch.equal(ours.indices, theirs.indices) and ours.mix is not None and theirs.mix is not None
        assert ours.mix.box == theirs.mix.box


def test_a_student_draws_from_the_pool_with_replacement_by_a_seed_of_its_own() -> None:
    drawn = DrawnFromPool(views(epochs=400), 0.01, 1)
    assert drawn.batches == 3 and drawn.batch_size == 5
    places = [drawn.at(epoch, batch).epoch for epoch in range(400) for batch in range(3)]
    counts = Counter(places)
    assert set(counts) == set(range(12)) and all(65 < count < 140 for count in counts.values())
    assert any(len(set(places[epoch : epoch + 3])) < 3 for epoch in range(0, 1200, 3)), "also twice in an epoch"
    again, other = DrawnFromPool(views(epochs=400), 0.01, 1), DrawnFromPool(views(epochs=400), 0.01, 2)
    assert [again.at(epoch, 0).epoch for epoch in range(20)] == places[0:60:3]
    assert [other.at(epoch, 0).epoch for epoch in range(20)] != places[0:60:3]
