"""How ConvNets are called: "convnet3", and what is not as usual behind it, "convnet3-w64-ln-sigmoid-max"."""

import re
from dataclasses import dataclass

WIDTH = 128
NORMS = {"": "instance norm", "bn": "BatchNorm", "ln": "layer norm", "gn": "group norm", "none": "no norm"}
ACTIVATIONS = {"": "ReLU", "sigmoid": "sigmoid", "leaky": "leaky ReLU", "swish": "swish"}
POOLINGS = {"": "average pools", "max": "max-pools", "nopool": "no pools"}
RULE = "convnetD-wN-NORM-ACTIVATION-POOLING"
ABOUT = (
    "ConvNet of D blocks, N wide, with a norm (bn, ln, gn or none), an activation (sigmoid, leaky or swish) and "
    "pools (max or nopool); a part that is as usual is left out: 128 wide, instance norm, ReLU, average pools. So "
    "convnet3-w64, convnet6-bn, convnet3-none-max"
)
_TABLES = (NORMS, ACTIVATIONS, POOLINGS)
_DEPTH, _WIDTH = re.compile(r"convnet([1-9])"), re.compile(r"w([1-9]\d{0,3})")


@dataclass(frozen=True)
class Shape:
    """What tells one ConvNet from another; the last three are keys of `NORMS`, `ACTIVATIONS` and `POOLINGS`."""

    depth: int
    width: int = WIDTH
    norm: str = ""
    activation: str = ""
    pooling: str = ""

    @property
    def name(self) -> str:
        """Its one name."""
        width = "" if self.width == WIDTH else f"w{self.width}"
        return "-".join(filter(None, (f"convnet{self.depth}", width, self.norm, self.activation, self.pooling)))

    @property
    def summary(self) -> str:
        """A line about it, in which activation and pools stand where they are not as usual."""
        blocks = f"ConvNet of {self.depth} block{'s' if self.depth > 1 else ''}, width {self.width}, {NORMS[self.norm]}"
        activation = ACTIVATIONS[self.activation] if self.activation else ""
        return ", ".join(filter(None, (blocks, activation, POOLINGS[self.pooling] if self.pooling else "")))


def shape_of(name: str) -> Shape | None:
    """What a name says, its parts in whatever order, those as usual too; None where it is no ConvNet's."""
    head, *parts = name.split("-")
    depth = _DEPTH.fullmatch(head)
    widths = [int(found[1]) for part in parts if (found := _WIDTH.fullmatch(part))]
    norms, activations, poolings = ([part for part in parts if part in table] for table in _TABLES)
    said = [len(each) for each in (widths, norms, activations, poolings)]
    if not depth or "" in parts or max(said) > 1 or sum(said) < len(parts):
        return None
    first = (next(iter(each), "") for each in (norms, activations, poolings))
    return Shape(int(depth[1]), next(iter(widths), WIDTH), *first)
