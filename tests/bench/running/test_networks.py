"""What a run could not use of a network is seen before it: other outputs than classes, no tensor, NaN, an exception."""

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.running.networks import check_network

Outputs = namedtuple("Outputs", ["logits", "aux_logits"])
CONTRACT = "a backbone must return logits (N, classes)"


class Wrapped(nn.Module):
    """A linear layer over all pixels, and something done to its logits."""

    def __init__(self, outputs: int, pixels: int, answer: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.linear, self.answer = nn.Linear(pixels, outputs), answer

    def forward(self, images: Tensor) -> Any:  # noqa: ANN401 - that is what is tested
        return self.answer(self, self.linear(images.flatten(1)))


def builder(answer: Callable[[nn.Module, Tensor], Any], outputs: int | None = None) -> Callable[..., nn.Module]:
    """Builds such networks, for as many outputs as classes unless told otherwise."""
    return lambda classes, resolution, channels: Wrapped(outputs or classes, channels * resolution**2, answer)


def refuses(network: nn.Module, logits: Tensor) -> Tensor:
    raise ValueError("only for\nlarger images")


def look(build: Callable[..., Any]) -> None:
    check_network("mine", build, classes=3, resolution=8, channels=1)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (builder(lambda network, logits: logits, 1000), f"gives 1000 outputs for 3 classes; {CONTRACT}"),
        (builder(lambda network, logits: (logits, logits)), f"returns a tuple of 2; {CONTRACT}"),
        (builder(lambda network, logits: {"logits": logits}), f"returns a dict with logits; {CONTRACT}"),
        (builder(lambda network, logits: logits.sum()), "returns a tensor of shape () for 2 images and 3 classes"),
        (builder(lambda network, logits: logits.argmax(1)), "returns a tensor of shape (2,)"),
        (builder(lambda network, logits: logits.long()), "returns torch.int64 values"),
        (builder(refuses), "cannot run on images (2, 1, 8, 8) and 3 classes: ValueError: only for"),
        (lambda classes, resolution, channels: 7, "builds a int; it must build a torch.nn.Module"),
    ],
    ids=["outputs", "tuple", "dict", "scalar", "classes", "integers", "raises", "no-network"],
)
def test_what_a_run_cannot_use_is_refused_in_one_line(build: Callable[..., Any], said: str) -> None:
    with pytest.raises(UsageError, match=r"^backbone 'mine' ") as caught:
        look(build)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_only_training_returns_is_seen_too() -> None:
    """As torchvision's GoogLeNet and Inception do: one tensor when tested, two when trained."""
    auxiliary = builder(lambda network, logits: Outputs(logits, logits) if network.training else logits)
    with pytest.raises(UsageError, match="returns a Outputs of 2"):
        look(auxiliary)


def test_a_network_that_looks_at_values_is_run_for_real() -> None:
    look(builder(lambda network, logits: logits if float(logits.sum()) < 1e9 else None))
    with pytest.raises(UsageError, match="NaN or infinity for blank images"):
        look(builder(lambda network, logits: logits * float(logits.sum()) * torch.inf * 0))


def test_a_look_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    look(builder(lambda network, logits: logits + 0 * float(logits.sum())))
    assert torch.equal(before, torch.get_rng_state())
