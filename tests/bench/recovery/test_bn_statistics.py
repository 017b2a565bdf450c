"""Statistics of BatchNorm inputs and R_BN (SRe2L equation 7)."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.errors import RunFailure
from bench.recovery.layers import ByLayer, layers_of, watched
from bench.recovery.pool import Member
from bench.recovery.recipes import MatchingRecipe
from bench.recovery.statistics import batchnorms, moments
from bench.recovery.terms import Observed, StatisticsMatching

ALONE = MatchingRecipe(iterations=1, lr=1.0, bn_weight=1.0)


def r_bn(network: nn.Module, found: ByLayer, first_multiplier: float = 1.0) -> Tensor:
    """R_BN of what was measured of some of a network's BatchNorms, by their places."""
    observed = Observed(
        targets=torch.zeros(1, 1, dtype=torch.int64),
        logits=torch.zeros(1, 1, 1),
        statistics={place: tuple(each[None] for each in kept) for place, kept in found.items()},
        goals=dict(Member(network).goals(ALONE)),
        class_goals={},
    )
    return StatisticsMatching(first_multiplier, share=1.0).loss(observed)[0]


@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 6), st.integers(1, 5)),
        st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 7)),
        st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_moments_are_numpys_over_all_but_the_channels(shape: tuple[int, ...], seed: int) -> None:
    values = np.random.default_rng(seed).normal(2, 3, shape)
    by_channel = np.moveaxis(values, 1, 0).reshape(shape[1], -1)
    mean, variance = moments(torch.from_numpy(values))
    np.testing.assert_allclose(mean, by_channel.mean(1), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(variance, by_channel.var(1, ddof=0), rtol=1e-10, atol=1e-10)


def test_half_precision_inputs_are_measured_in_fp32() -> None:
    values = torch.full((64, 1, 32, 32), 300.0, dtype=torch.bfloat16)
    mean, variance = moments(values)
    assert (mean.dtype, variance.dtype) == (torch.float32, torch.float32)
    assert mean.item() == 300.0
    assert variance.item() == 0.0


def test_what_is_measured_is_the_input_of_each_layer(network: nn.Module) -> None:
    images = torch.randn(4, 2, 6, 6)
    with watched(layers_of(network, ("batchnorm",)), 4) as found:
        network(images)
    parts = list(network.children())
    first_input = parts[0](images)
    second_input = parts[3](torch.relu(parts[1](first_input)))
    assert list(found) == [0, 1]
    for place, its_input in enumerate((first_input, second_input)):
        for ours, expected in zip(found[place], moments(its_input), strict=True):
            torch.testing.assert_close(ours, expected)


def test_nothing_stays_attached_to_the_network(network: nn.Module) -> None:
    with pytest.raises(ZeroDivisionError), watched(layers_of(network, ("batchnorm",)), 4):
        raise ZeroDivisionError
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_the_first_multiplier_weighs_the_first_layer_alone(network: nn.Module) -> None:
    with watched(layers_of(network, ("batchnorm",)), 4) as found:
        network(torch.randn(4, 2, 6, 6))
    alone = [r_bn(network, {place: found[place]}) for place in found]
    torch.testing.assert_close(r_bn(network, found, 10.0), 10 * alone[0] + alone[1])
    torch.testing.assert_close(r_bn(network, found), alone[0] + alone[1])


def test_norms_are_not_squared(network: nn.Module) -> None:
    (first, _) = batchnorms(network)
    assert first.running_mean is not None and first.running_var is not None
    offset = torch.tensor([3.0, 4.0, 0.0, 0.0])
    loss = r_bn(network, {0: (first.running_mean + offset, first.running_var - 2 * offset)})
    assert loss.item() == pytest.approx(5 + 10)


def test_a_perfect_match_has_gradient_zero_and_not_nan(network: nn.Module) -> None:
    (first, _) = batchnorms(network)
    assert first.running_mean is not None and first.running_var is not None
    mean, variance = (tensor.clone().requires_grad_() for tensor in (first.running_mean, first.running_var))
    r_bn(network, {0: (mean, variance)}).backward()
    assert mean.grad is not None and variance.grad is not None
    assert mean.grad.eq(0).all() and variance.grad.eq(0).all()


class _WithUnreachedHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.auxiliary = nn.BatchNorm1d(3), nn.BatchNorm1d(3)

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.body(inputs)
        return out


def test_a_layer_that_is_not_reached_has_no_term() -> None:
    network = _WithUnreachedHead().eval()
    with watched(layers_of(network, ("batchnorm",)), 4) as found:
        network(torch.randn(5, 3))
    assert list(found) == [0]
    assert layers_of(network, ("batchnorm",))[0].module is network.body


@pytest.mark.parametrize(
    "network", [nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), nn.BatchNorm1d(2, track_running_stats=False)]
)
def test_a_network_without_running_statistics_is_refused(network: nn.Module) -> None:
    with pytest.raises(RunFailure, match="has no BatchNorm with running statistics"):
        batchnorms(network)
