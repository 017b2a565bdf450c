"""What matching asks of networks: two classes, and statistics that stand still."""

from torch import Tensor, nn
from torch.nn.attention import SDPBackend
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import UsageError
from bench.recipes import Setting

TWICE = SDPBackend.MATH  # the attention that has a second derivative: `torch.nn.attention.sdpa_kernel`


def check_classes(setting: Setting) -> None:
    """For methods that match what training a classifier gives.

    Raises:
        UsageError: there is one class.
    """
    if setting.classes < 2:
        raise UsageError("gradients of a classifier are matched, and with one class all are 0: take two classes")


def normalises_by_batch(network: nn.Module) -> bool:
    """Whether what the network makes of an image depends on the others in the batch."""
    return any(isinstance(module, _BatchNorm) for module in network.modules())


def freeze_statistics(network: nn.Module) -> nn.Module:
    """The network in training mode, but BatchNorm normalises by its running statistics and leaves them alone."""
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    return network


class StandingNorm(nn.Module):
    """BatchNorm by its running statistics, as plain arithmetic: `torch.func.vmap` has no rule for torch's own."""

    weight: nn.Parameter
    bias: nn.Parameter
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.eps, self._parameters, self._buffers = norm.eps, norm._parameters, norm._buffers

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, ...) -> the same."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        shape = (-1, *[1] * (images.dim() - 2))
        return (images * scale.view(shape) + shift.view(shape)).to(images.dtype)


def with_standing_norms(network: nn.Module) -> nn.Module:
    """The network, changed: its BatchNorms (which scale and shift) are `StandingNorm`s with the same tensors.

    Those that keep no running statistics normalise by the batch, and stay.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            network.set_submodule(name, StandingNorm(module))
    return network
