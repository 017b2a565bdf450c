"""The forms of stored logits: their bytes by hand, and what is read against what was kept."""

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.labels.forms import FLOAT16, Int8, LogitForm, TopK, form_from

CLASSES, VIEWS = 10, 64
LOGITS = np.random.default_rng(0).normal(0, 4, (VIEWS, CLASSES)).astype(np.float16)
FORMS: dict[str, tuple[LogitForm, int]] = {  # with the bytes of a view of ten classes
    "fp16": (FLOAT16, 10 * 2),
    "int8": (Int8(), 10 * 1 + 2 + 2),
    "top-k": (TopK(3, CLASSES), 3 * 2 + 3 * 2 + 2),
}


def kept(form: LogitForm, logits: np.ndarray = LOGITS, temperature: float = 20.0) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in form.encode(logits, temperature).items()}


@pytest.mark.parametrize("name", FORMS)
def test_what_a_view_weighs(name: str) -> None:
    form, size = FORMS[name]
    tensors = kept(form)
    assert form.store == name and sum(tensor.nbytes for tensor in tensors.values()) == VIEWS * size
    for part, (dtype, shape) in form.parts(CLASSES).items():
        assert tensors[part].shape == (VIEWS, *shape) and tensors[part].numpy().dtype == dtype
    assert not form.unfit({part: tensor[None] for part, tensor in tensors.items()}, CLASSES)
    assert form_from(form.facts) == form


def test_float16_is_what_was_made() -> None:
    assert torch.equal(FLOAT16.decode(kept(FLOAT16)), torch.from_numpy(LOGITS)) and FLOAT16.facts == {}


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3])
def test_a_byte_errs_by_half_a_step_at_most(scale: float) -> None:
    """A step is a 255th of a view's range, rounded up to fp16 (a part in 1024, or the least that fp16 has)."""
    logits = (LOGITS * np.float16(scale)).astype(np.float16)
    found, wide = Int8().decode(kept(Int8(), logits)).double().numpy(), logits.astype(np.float64)
    step = np.ptp(wide, axis=1, keepdims=True) / 255
    bound = np.maximum(step * (1 + 2**-10), step + 2.0**-24) / 2
    assert (np.abs(found - wide) <= bound * (1 + 1e-5)).all()
    assert (found.min(1) == wide.min(1)).all()


def test_a_view_without_a_range_is_exact() -> None:
    flat = np.full((2, CLASSES), -7.25, dtype=np.float16)
    assert (Int8().decode(kept(Int8(), flat)).numpy() == flat).all()


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_the_largest_are_kept_and_the_rest_of_the_probability_is_spread_evenly(temperature: float) -> None:
    """FKD's marginal smoothing, worked out on probabilities."""
    scaled = LOGITS.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    expected = powers / powers.sum(1, keepdims=True)
    for row in expected:
        others = row.argsort()[:-3]
        row[others] = (1 - row[np.setdiff1d(np.arange(CLASSES), others)].sum()) / (CLASSES - 3)
    found = (TopK(3, CLASSES).decode(kept(TopK(3, CLASSES), LOGITS, temperature)) / temperature).softmax(1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=5e-3, atol=1e-7)
    largest = np.take_along_axis(LOGITS, LOGITS.argsort(1)[:, -3:], 1)
    decoded = TopK(3, CLASSES).decode(kept(TopK(3, CLASSES)))
    assert (np.sort(decoded.topk(3).values.numpy(), 1) == largest).all()


def test_more_classes_than_two_bytes_count_have_four() -> None:
    assert TopK(5, 32_767).parts(32_767)["which"][0].itemsize == 2
    assert TopK(5, 32_768).parts(32_768)["which"][0].itemsize == 4


@pytest.mark.parametrize("name", FORMS)
def test_tensors_of_another_shape_or_type_do_not_fit(name: str) -> None:
    form, _ = FORMS[name]
    tensors = {part: tensor[None] for part, tensor in kept(form).items()}
    assert form.unfit(tensors, CLASSES + 1)
    assert form.unfit({**tensors, "logits": tensors["logits"].int()}, CLASSES)


def test_an_index_beyond_the_classes_does_not_fit() -> None:
    tensors = {part: tensor[None] for part, tensor in kept(TopK(3, CLASSES)).items()}
    tensors["which"][0, 5, 1] = CLASSES
    assert "classes that there are not" in TopK(3, CLASSES).unfit(tensors, CLASSES)


def test_a_form_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(LookupError):
        form_from({"store": "int4"})
