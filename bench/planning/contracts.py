"""What methods and protocols are held to while a run is planned: what their members say, before hours depend on it."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from bench.condensation import Condenser, Grid, PixelFormat
from bench.evaluation import LabelSource, Protocol
from bench.extensions.registry import Registry
from bench.labels import KINDS
from bench.recipes import RESERVED, Recipe
from bench.storage.names import VARIANT

FORMS = get_args(PixelFormat)
LABELS = get_args(LabelSource)
ALIKE = 0.85  # by difflib's measure: "labels" for "label", "pixel_fromat" for "pixel_format"


def wrong_config(method: type[Condenser[Any]], recipe: object) -> Iterator[str]:
    """Hyper-parameters that no recipe book can give, and what is no recipe."""
    if taken := [key for key in method.Config.model_fields if key in RESERVED]:
        yield f"a field of its Config cannot be called {taken[0]!r}: in recipe books that word means something else"
    if not isinstance(recipe, Recipe):
        yield f"recipe returned a {type(recipe).__name__}; it must return a bench.recipes.Recipe"


def wrong_members(method: Condenser[Any]) -> Iterator[str]:
    """A form of images, a kind of labels or a decoder that there is none of."""
    kind, decoder = method.label_kind, method.decoder
    if method.pixel_format not in FORMS:
        yield f"pixel_format is {method.pixel_format!r}; it must be one of {', '.join(FORMS)}"
    if kind is not None and kind not in KINDS:
        yield f"label_kind is {kind!r}; it must be None or one of {', '.join(sorted(KINDS))}"
    if decoder is not None and type(decoder) is not Grid:  # a manifest names its kind, and readers know no other
        yield f"decoder is a {type(decoder).__name__}; there is none but bench.condensation.Grid, and no subclass of it"


def wrong_protocol(name: str, protocol: object) -> Iterator[str]:
    """What is no protocol, is called otherwise than it is offered, or trains on labels of no kind."""
    if isinstance(protocol, type) and issubclass(protocol, Protocol):
        yield f"it is the class {protocol.__name__}; offer an instance, {protocol.__name__}()"
    elif not isinstance(protocol, Protocol):
        yield f"it is a {type(protocol).__name__}, no bench.evaluation.Protocol"
    if (own := getattr(protocol, "name", None)) != name:
        yield f"it calls itself {own!r}; its `name` must be the one that it is offered under"
    if (labels := getattr(protocol, "labels", None)) not in LABELS:
        yield f"labels is {labels!r}; it must be one of {', '.join(LABELS)}"


def misspelt(registry: Registry, kind: str, name: str) -> Iterator[str]:
    """What to say of members that nobody asks for and that are called nearly as one that is asked for."""
    name = name.partition(VARIANT)[0]
    offered = registry.find(kind, name)
    if not offered.foreign:  # the suite's own are held to it by its tests
        return
    contract = Condenser if kind == "method" else Protocol
    loaded = registry.load(kind, name)
    cls = loaded if isinstance(loaded, type) else type(loaded)
    for given, meant in near_misses(cls, contract):
        yield f"{kind} {name}: nobody asks for its {given!r}; was {meant!r} meant?"


def near_misses(cls: type, contract: type) -> list[tuple[str, str]]:
    """Public members of a class, and those of its contract that they nearly are and that it does not have besides."""
    known = [name for name in dir(contract) if not name.startswith("_")]
    own = {name for each in cls.__mro__ if not issubclass(contract, each) for name in vars(each)}
    strange = sorted(name for name in own if not name.startswith("_") and name not in known)
    found = [(name, get_close_matches(name, [each for each in known if each not in own], 1, ALIKE)) for name in strange]
    return [(name, near[0]) for name, near in found if near]
