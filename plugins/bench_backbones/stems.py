"""What fits a network of torchvision to small or gray images: its first convolution, built anew with changes."""

from torch import nn

SMALL_SIDE = 64  # pixels: up to here images get the stems of CIFAR and Tiny-ImageNet, above torchvision's own
_SAME = ("in_channels", "out_channels", "kernel_size", "stride", "padding")


def fit_stem(network: nn.Module, name: str, **changes: int) -> None:
    """Replaces a convolution by one like it but for some of nn.Conv2d's arguments; one that has them already stays.

    The new one has nn.Conv2d's default initialisation, as in the releases, which replace it in a network that is built.

    Args:
        name: of the convolution in the network, e.g. "features.0.0".
        changes: e.g. `in_channels=1, stride=1`.
    """
    stem = network.get_submodule(name)
    assert isinstance(stem, nn.Conv2d)
    if all(getattr(stem, argument) in (value, (value, value)) for argument, value in changes.items()):
        return
    arguments = {**{argument: getattr(stem, argument) for argument in _SAME}, **changes}
    network.set_submodule(name, nn.Conv2d(**arguments, bias=stem.bias is not None))
