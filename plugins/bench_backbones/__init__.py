"""The networks of the field, by name."""

from collections.abc import Sequence

from bench.hookspecs import Offer, Rule, hookimpl
from bench_backbones.convnet_names import ABOUT, RULE, shape_of

_BATCHNORM = frozenset({"batchnorm"})
_CONVNETS = (  # those that are listed by name; all others are had by the rule
    *("convnet1", "convnet2", "convnet3", "convnet4", "convnet5"),
    *("convnet1-bn", "convnet2-bn", "convnet3-bn", "convnet4-bn", "convnet5-bn"),
    *("convnet3-none", "convnet4-none", "convnet3-w32", "convnet3-w32-bn", "convnet4-w32", "convnet4-w32-bn"),
)


def _convnet(name: str) -> Offer | None:
    if (shape := shape_of(name)) is None:
        return None
    traits = _BATCHNORM if shape.norm == "bn" else frozenset()
    return Offer(shape.name, f"bench_backbones.convnet:{shape.name}", shape.summary, traits)


def _convnets() -> list[Offer]:
    """The usual ones, and one under the name that G-VBSM's and EDC's pools give it."""
    usual = [offer for name in _CONVNETS if (offer := _convnet(name))]
    known = "convnet3 under the name that G-VBSM's and EDC's pools give it"
    return [*usual, Offer("convnet3-w128", "bench_backbones.convnet:convnet3", known)]


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


def _further_resnets() -> list[Offer]:
    """As SRe2L's Table 9 and the DC family's tables have them."""
    kept = [
        Offer(
            name=f"resnet{depth}-imagenet-stem",
            target=f"bench_backbones.resnet:resnet{depth}_imagenet_stem",
            summary=f"ResNet-{depth} of torchvision at every resolution, its 7x7 stem and max-pool included",
            traits=_BATCHNORM,
        )
        for depth in (18, 50, 101)
    ]
    pooled = "ResNet-18 of the DC family with average pools for strides, from 16 pixels"
    instance = "ResNet-18 with instance norm, as the DC family has it; 3x3 stem without max-pool up to 64 pixels"
    return [
        *kept,
        Offer("resnet18-instance", "bench_backbones.resnet:resnet18_instance", instance),
        Offer("resnet18-ap", "bench_backbones.resnet_ap:resnet18_ap", f"{pooled}, instance norm"),
        Offer("resnet18-ap-bn", "bench_backbones.resnet_ap:resnet18_ap_bn", f"{pooled}, BatchNorm", _BATCHNORM),
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
    vgg_instance = "VGG-11 with instance norm and one linear layer, as the DC family has it"
    alex = "AlexNet: torchvision's above 64 pixels, the DC family's small one up to there"
    alex_bn = "AlexNet with BatchNorm: the DC family's small one at every resolution"
    lenet = "LeNet of the DC family: two convolutions, three linear layers, from 16 pixels"
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
        Offer("vgg11-instance", "bench_backbones.vgg:vgg11_instance", vgg_instance),
        Offer("alexnet", "bench_backbones.alexnet:alexnet", alex),
        Offer("alexnet-bn", "bench_backbones.alexnet:alexnet_bn", alex_bn, _BATCHNORM),
        Offer("mlp", "bench_backbones.plain:mlp", "MLP of the DC family: three linear layers, 128 wide"),
        Offer("lenet", "bench_backbones.plain:lenet", lenet),
        Offer("resnet10-ap", "bench_backbones.resnet_ap:resnet10_ap", pooled),
        Offer("swin-tiny", "bench_backbones.swin:swin_tiny", "Swin-T, stochastic depth 0.1, from 32 pixels", version=2),
        Offer(
            "convnext-tiny", "bench_backbones.convnext:convnext_tiny", "ConvNeXt-Tiny of torchvision, from 32 pixels"
        ),
    ]


@hookimpl
def bench_backbones() -> Sequence[Offer | Rule]:
    """ConvNets, ResNets, and one network of each of several other families."""
    rule = Rule(RULE, ABOUT, _convnet)
    return [*_convnets(), rule, *_frepo(), *_resnets(), *_further_resnets(), *_others()]
