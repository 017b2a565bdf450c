"""What a run could not use of a network is seen before it: other outputs than classes, no tensor, NaN, an exception."""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.planning.networks import check_network
from bench.testing import tiny_task

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


def look(build: Callable[..., Any], traits: frozenset[str] = frozenset()) -> None:
    check_network("mine", build, classes=3, resolution=8, channels=1, traits=traits)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (builder(lambda network, logits: logits, 1000), f"gives 1000 outputs for 3 classes; {CONTRACT}"),
        (builder(lambda network, logits: (logits, logits)), f"returns a tuple of 2; {CONTRACT}"),
        (builder(lambda network, logits: {"logits": logits}), f"returns a dict with logits; {CONTRACT}"),
        (builder(lambda network, logits: logits.sum()), "returns a tensor of shape () for 2 images and 3 classes"),
        (builder(lambda network, logits: logits.argmax(1)), "returns a tensor of shape (2,)"),
        (builder(lambda network, logits: logits.long()), "returns torch.int64 values"),
        (
            builder(lambda network, logits: logits.softmax(1)),
            f"ends with a softmax, whose outputs are no logits; {CONTRACT}",
        ),
        (builder(lambda network, logits: logits if network.training else logits.sigmoid()), "ends with a sigmoid"),
        (builder(refuses), "cannot run on images (2, 1, 8, 8) and 3 classes: ValueError: only for"),
        (lambda classes, resolution, channels: 7, "builds a int; it must build a torch.nn.Module"),
    ],
    ids=[
        "outputs",
        "tuple",
        "dict",
        "scalar",
        "classes",
        "integers",
        "probabilities",
        "when-tested",
        "raises",
        "no-network",
    ],
)
def test_what_a_run_cannot_use_is_refused_in_one_line(build: Callable[..., Any], said: str) -> None:
    with pytest.raises(UsageError, match=r"^backbone 'mine' ") as caught:
        look(build)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_without_the_batchnorm_of_its_offer_is_refused() -> None:
    """Else a method that matches its statistics would find none, once the network is trained."""
    plain = builder(lambda network, logits: logits)
    with pytest.raises(
        UsageError, match=r"'mine' has no torch.nn.BatchNorm2d; leave 'batchnorm' out of its offer's traits"
    ):
        look(plain, frozenset({"batchnorm"}))
    look(lambda *sizes: nn.Sequential(nn.BatchNorm2d(1), plain(*sizes)), frozenset({"batchnorm"}))


def test_what_only_training_returns_is_seen_too() -> None:
    """As torchvision's GoogLeNet and Inception do: one tensor when tested, two when trained."""
    auxiliary = builder(lambda network, logits: Outputs(logits, logits) if network.training else logits)
    with pytest.raises(UsageError, match="returns a Outputs of 2"):
        look(auxiliary)


def test_a_network_that_looks_at_values_is_run_for_real() -> None:
    look(builder(lambda network, logits: logits if float(logits.sum()) < 1e9 else None))
    with pytest.raises(UsageError, match="NaN or infinity for blank images"):
        look(builder(lambda network, logits: logits * float(logits.sum()) * torch.inf * 0))


def test_a_network_that_is_tested_without_a_graph_passes() -> None:
    """As students are tested; `numpy` refuses what requires a gradient."""

    def in_numpy(network: nn.Module, logits: Tensor) -> Tensor:
        return logits if network.training else torch.from_numpy(logits.numpy())

    look(builder(in_numpy))


def test_a_look_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    look(builder(lambda network, logits: logits + 0 * float(logits.sum())))
    assert torch.equal(before, torch.get_rng_state())


class Odd(nn.Module):
    """Its weights are tied; a buffer has fewer numbers than places, one is no plain tensor, one none, some are late."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.last = nn.LazyBatchNorm1d()
        self.register_buffer("scale", torch.ones(1, 3, 1, 1).expand(1, 3, 2, 2))
        self.register_buffer("sparse", torch.eye(2).to_sparse())
        self.register_buffer("count", torch.tensor(7))
        self.register_buffer("none", None)


def test_weights_of_any_kind_go_to_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch locks pages: of plain tensors alone, and never into places that share a number."""

    def locked(tensor: Tensor) -> Tensor:
        assert tensor.layout == torch.strided, "cannot pin: only dense CPU tensors can be pinned"
        return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype).copy_(tensor)

    empty_like = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda like, *, pin_memory: locked(empty_like(like)))
    monkeypatch.setattr(Tensor, "pin_memory", locked)
    monkeypatch.setattr(nn.Module, "to", lambda network, *_, **__: network)
    task = replace(tiny_task(tmp_path), device=torch.device("cuda"), networks=lambda _: lambda *_: Odd())
    network = task.network(0)
    assert isinstance(network, Odd) and network.first.weight is network.second.weight
    expected = {"scale": torch.ones(1, 3, 2, 2), "sparse": torch.eye(2), "count": torch.tensor(7)}
    assert {name: network.get_buffer(name).to_dense().tolist() for name in expected} == {
        name: each.tolist() for name, each in expected.items()
    }
    assert network.last(network.first(torch.ones(2, 3))).shape == (2, 3)
