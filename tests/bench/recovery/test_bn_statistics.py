"""Statistics of BatchNorm inputs and R_BN (SRe2L equation 7)."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.errors import RunFailure
from bench.recovery.statistics import batchnorms, bn_loss, measured, moments


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
    layers = batchnorms(network)
    with measured(layers) as found:
        network(images)
    parts = list(network.children())
    first_input = parts[0](images)
    second_input = parts[3](torch.relu(parts[1](first_input)))
    for layer, its_input in zip(layers, (first_input, second_input), strict=True):
        for ours, expected in zip(found[layer], moments(its_input), strict=True):
            torch.testing.assert_close(ours, expected)


def test_nothing_stays_attached_to_the_network(network: nn.Module) -> None:
    with pytest.raises(ZeroDivisionError), measured(batchnorms(network)):
        raise ZeroDivisionError
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_the_first_multiplier_weighs_the_first_layer_alone(network: nn.Module) -> None:
    layers = batchnorms(network)
    with measured(layers) as found:
        network(torch.randn(4, 2, 6, 6))
    alone = [bn_loss({layer: found[layer]}, layers[0]) for layer in layers]
    torch.testing.assert_close(bn_loss(found, layers[0], 10.0), 10 * alone[0] + alone[1])
    torch.testing.assert_close(bn_loss(found, layers[0]), alone[0] + alone[1])


def test_norms_are_not_squared(network: nn.Module) -> None:
    (first, _) = batchnorms(network)
    assert first.running_mean is not None and first.running_var is not None
    offset = torch.tensor([3.0, 4.0, 0.0, 0.0])
    loss = bn_loss({first: (first.running_mean + offset, first.running_var - 2 * offset)}, first)
    assert loss.item() == pytest.approx(5 + 10)


def test_a_perfect_match_has_gradient_zero_and_not_nan(network: nn.Module) -> None:
    (first, _) = batchnorms(network)
    assert first.running_mean is not None and first.running_var is not None
    mean, variance = (tensor.clone().requires_grad_() for tensor in (first.running_mean, first.running_var))
    bn_loss({first: (mean, variance)}, first).backward()
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
    with measured(batchnorms(network)) as found:
        network(torch.randn(5, 3))
    assert list(found) == [network.body]


@pytest.mark.parametrize(
    "network", [nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), nn.BatchNorm1d(2, track_running_stats=False)]
)
def test_a_network_without_running_statistics_is_refused(network: nn.Module) -> None:
    with pytest.raises(RunFailure, match="has no BatchNorm with running statistics"):
        batchnorms(network)
