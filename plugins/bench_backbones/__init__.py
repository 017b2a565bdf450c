"""The networks of the field, by name."""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl

_NORMS = {"": "instance norm", "-bn": "BatchNorm", "-none": "no norm"}
_DEPTHS = {"": (3, 4, 5), "-bn": (3, 4, 5), "-none": (3, 4)}
_BATCHNORM = frozenset({"batchnorm"})


def _convnets() -> list[Offer]:
    return [
        Offer(
            name=f"convnet{depth}{suffix}",
            target=f"bench_backbones.convnet:convnet{depth}{suffix.replace('-', '_')}",
            summary=f"ConvNet of {depth} blocks, width 128, {norm}",
            traits=_BATCHNORM if suffix == "-bn" else frozenset(),
        )
        for suffix, norm in _NORMS.items()
        for depth in _DEPTHS[suffix]
    ]


def _resnets() -> list[Offer]:
    return [
        Offer(
            name=f"resnet{depth}",
            target=f"bench_backbones.resnet:resnet{depth}",
            summary=f"ResNet-{depth} of torchvision; 3x3 stem without max-pool up to 64 pixels",
            traits=_BATCHNORM,
        )
        for depth in (18, 50, 101)
    ]


@hookimpl
def bench_backbones() -> Sequence[Offer]:
    """ConvNets and ResNets."""
    return [*_convnets(), *_resnets()]
