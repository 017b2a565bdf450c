"""Conformance of backbones."""

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import seeds
from bench.conformance.common import Conformance
from bench.extensions.registry import Registry
from bench.planning.networks import BATCHNORM, check_network
from bench.storage.tensor_files import read_tensors, write_tensors


class BackboneConformance(Conformance):
    """Holds a backbone to its contract.

    You may set, besides `plugins`:
        resolution: pixels a side of the images to try (default 32).
    """

    kind = "backbone"
    resolution: ClassVar[int] = 32
    classes: ClassVar[int] = 10

    def network(self, registry: Registry, subject: str, *, channels: int = 3, seed: int = 0) -> nn.Module:
        """The network as a run builds it: drawn from the seed."""
        build = registry.load("backbone", subject)
        with seeds.cpu_draws(seed):
            network = build(self.classes, self.resolution, channels)
        assert isinstance(network, nn.Module)
        return network

    def images(self, count: int, channels: int = 3) -> Tensor:
        """Images of noise in normalised space."""
        draws = torch.Generator().manual_seed(7)
        return torch.randn(count, channels, self.resolution, self.resolution, generator=draws)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_gives_one_logit_a_class(self, registry: Registry, subject: str, channels: int) -> None:
        """For gray and colour images; a run that asks for the backbone takes the same look at it beforehand."""
        build = registry.load("backbone", subject)
        check_network(subject, build, classes=self.classes, resolution=self.resolution, channels=channels)
        network = self.network(registry, subject, channels=channels).eval()
        with torch.no_grad():
            logits = network(self.images(2, channels))
        assert logits.shape == (2, self.classes)
        assert torch.isfinite(logits).all()

    def test_trains(self, registry: Registry, subject: str) -> None:
        """Every parameter gets a finite gradient, and a few steps on four images lower their loss."""
        network = self.network(registry, subject).train()
        images, labels = self.images(4), torch.arange(4)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        losses = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images), labels)
            loss.backward()
            for name, parameter in network.named_parameters():
                assert parameter.grad is not None, f"{name} gets no gradient"
                assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
            optimizer.step()
            losses.append(float(loss.detach()))
        assert min(losses[1:]) < losses[0], f"the loss does not fall: {losses}"

    def test_starts_from_its_seed(self, registry: Registry, subject: str) -> None:
        """The same weights from the same seed, others from another."""
        first, again, other = (self.network(registry, subject, seed=seed).state_dict() for seed in (0, 0, 1))
        assert list(first) == list(again)
        assert all(torch.equal(first[name], again[name]) for name in first), "all draws come from torch's generator"
        assert any(not torch.equal(first[name], other[name]) for name in first)

    def test_evaluates_every_image_for_itself(self, registry: Registry, subject: str) -> None:
        """In evaluation mode: the same twice, whatever else is in the batch, and no state changes."""
        network = self.network(registry, subject).eval()
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        images = self.images(4)
        with torch.no_grad():
            logits, again, alone = network(images), network(images), network(images[:1])
        assert torch.equal(logits, again)
        torch.testing.assert_close(alone, logits[:1], rtol=1e-3, atol=1e-4)
        assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())

    def test_its_state_survives_a_file(self, registry: Registry, subject: str, tmp_path: Path) -> None:
        """As safetensors, which refuses tensors that share memory."""
        network, other = self.network(registry, subject).eval(), self.network(registry, subject, seed=1).eval()
        write_tensors(tmp_path / "state.safetensors", network.state_dict())
        other.load_state_dict(read_tensors(tmp_path / "state.safetensors")[0])
        with torch.no_grad():
            assert torch.equal(network(self.images(2)), other(self.images(2)))

    def test_says_truly_whether_it_has_batch_norm(self, registry: Registry, subject: str) -> None:
        """Methods that match BatchNorm statistics choose by this trait."""
        has = any(
            isinstance(module, nn.modules.batchnorm._BatchNorm) for module in self.network(registry, subject).modules()
        )
        traits = registry.find("backbone", subject).offer.traits
        assert (BATCHNORM in traits) is has, f"its offer's traits are {sorted(traits)}; it has BatchNorm: {has}"
