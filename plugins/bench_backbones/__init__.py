"""The networks of the field, by name."""

from collections.abc import Sequence

from bench.hookspecs import Offer, hookimpl

_NORMS = {"": "instance norm", "-bn": "BatchNorm", "-none": "no norm"}
_DEPTHS = {"": (1, 2, 3, 4, 5), "-bn": (1, 2, 3, 4, 5), "-none": (3, 4)}
_BATCHNORM = frozenset({"batchnorm"})


def _convnets() -> list[Offer]:
    return [
        Offer(
            name=f"convnet{depth}{suffix}",
            target=f"bench_backbones.convnet:convnet{depth}{suffix.replace('-', '_')}",
            summary=f"ConvNet of {depth} block{'s' if depth > 1 else ''}, width 128, {norm}",
            traits=_traits(suffix),
        )
        for suffix, norm in _NORMS.items()
        for depth in _DEPTHS[suffix]
    ]


def _convnets_by_width() -> list[Offer]:
    """As the pools of G-VBSM and EDC name them."""
    narrow = [
        Offer(
            name=f"convnet{depth}-w32{suffix}",
            target=f"bench_backbones.convnet:convnet{depth}_w32{suffix.replace('-', '_')}",
            summary=f"ConvNet of {depth} blocks, width 32, {_NORMS[suffix]}",
            traits=_traits(suffix),
        )
        for depth in (3, 4)
        for suffix in ("", "-bn")
    ]
    known = "convnet3 under the name that G-VBSM's and EDC's pools give it"
    return [*narrow, Offer("convnet3-w128", "bench_backbones.convnet:convnet3", known)]


def _traits(suffix: str) -> frozenset[str]:
    return _BATCHNORM if suffix == "-bn" else frozenset()


def _frepo() -> list[Offer]:
    """As FRePo's code: one to be tested, one to condense with."""
    about = "FRePo's conv, 128 wide and doubling: 3 blocks up to 32 pixels, 4 up to 64, 5 above"
    return [
        Offer("frepo-conv", "bench_backbones.frepo:frepo_conv", f"{about}, no norm"),
        Offer("frepo-conv-bn", "bench_backbones.frepo:frepo_conv_bn", f"{about}, BatchNorm", _BATCHNORM),
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


def _others() -> list[Offer]:
    """One network of each family."""
    mobile = "MobileNetV2: torchvision's above 64 pixels, 0.5 wide up to there"
    shuffle = "ShuffleNetV2-0.5 of torchvision; 1x1 stem without max-pool up to 64 pixels"
    wider = "MobileNetV2 as CV-DD has it: torchvision's above 64 pixels, 1.0 wide up to there, too"
    shuffle_whole = "ShuffleNetV2 as CV-DD has it: torchvision's 1.0 above 64 pixels, 0.5 wide up to there"
    dense = "DenseNet-121 of torchvision; 3x3 stem without norm and max-pool up to 64 pixels"
    efficient = "EfficientNet-B0 of torchvision; stem of stride 1 up to 64 pixels"
    vgg = "VGG-11 with BatchNorm: torchvision's above 64 pixels, one linear layer up to there"
    pooled = "ResNetAP-10 of IDC: instance norm, average pools for strides, from 16 pixels"
    alex = "AlexNet: torchvision's above 64 pixels, the DC family's small one up to there"
    return [
        Offer("mobilenetv2", "bench_backbones.mobilenet:mobilenetv2", mobile, _BATCHNORM),
        Offer("mobilenetv2-1.0", "bench_backbones.mobilenet:mobilenetv2_whole", wider, _BATCHNORM),
        Offer("shufflenetv2-0.5", "bench_backbones.shufflenet:shufflenetv2_half", shuffle, _BATCHNORM),
        Offer("shufflenetv2", "bench_backbones.shufflenet:shufflenetv2", shuffle_whole, _BATCHNORM),
        Offer("densenet121", "bench_backbones.densenet:densenet121", dense, _BATCHNORM),
        Offer("efficientnet-b0", "bench_backbones.efficientnet:efficientnet_b0", efficient, _BATCHNORM),
        Offer(
            "wrn-16-2", "bench_backbones.wide_resnet:wrn_16_2", "Wide ResNet of 16 layers, twice as wide", _BATCHNORM
        ),
        Offer("vgg11-bn", "bench_backbones.vgg:vgg11_bn", vgg, _BATCHNORM),
        Offer("alexnet", "bench_backbones.alexnet:alexnet", alex),
        Offer("resnet10-ap", "bench_backbones.resnet_ap:resnet10_ap", pooled),
        Offer("swin-tiny", "bench_backbones.swin:swin_tiny", "Swin-T of torchvision, from 32 pixels"),
    ]


@hookimpl
def bench_backbones() -> Sequence[Offer]:
    """ConvNets, ResNets, and one network of each of several other families."""
    return [*_convnets(), *_convnets_by_width(), *_frepo(), *_resnets(), *_others()]
