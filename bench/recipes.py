"""Recipes as data: the hyper-parameters a paper gives for a dataset, and what the quick budget takes of them.

A recipe book is a TOML file with one table per dataset under `[recipes]`:

    [recipes.tiny-imagenet]
    source = "SRe2L paper Table 7a and 7c"
    ipc = 50                                             # of the paper's own cell: what a run has that names none
    differs = ["..."]                                    # what still differs from the paper, said beside its numbers
    [recipes.tiny-imagenet.recover]
    iterations = 1000
    [recipes.tiny-imagenet.quick]                        # fractions that --budget quick takes
    "recover.iterations" = 0.1
    [recipes.tiny-imagenet.classes.100.recover]          # what differs from 100 classes in use on, to the next number
    lr = 0.2
    [recipes.tiny-imagenet.ipcs.50.recover]              # what differs from 50 images per class on
    lr = 0.05
    [recipes.tiny-imagenet.ipcs]
    upwards = true                                       # each is the paper's own for larger numbers, too
    [recipes.tiny-imagenet.backbones."resnet50 resnet101".recover]   # what differs for these backbones
    iterations = 2000
    [recipes.tiny-imagenet.backbones."convnet* !convnet*-bn*".recover]   # for all called so but those with "!"
    iterations = 500
    [recipes.small]
    like = "tiny-imagenet"                               # all else as there
    source = "ours, which is Tiny-ImageNet's"

A `source` that begins with "ours" says that no paper and no release has these values for it: beside a published number
that is a difference by itself (`Recipe.ours`).

What differs is laid over the rest in this order, and may be anything that a recipe holds, its `source` and `quick` too.
`ipc` and `differs` are of the dataset whose table has them, and of none that is `like` it.
A dataset without a table of its own takes `small` (up to 64 pixels) or `large`; the record says which was taken.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Protocol

Budget = Literal["paper", "quick"]
Values = dict[str, Any]
SIZES = ("small", "large")
OURS = "ours"  # what a source begins with that is neither a paper nor its release
ITS_OWN = ("ipc", "differs")  # what no other dataset's table takes over
BY = ("classes", "ipcs", "backbones")  # tables of what differs
RESERVED = frozenset({*ITS_OWN, *BY, "source", "quick", "like"})  # words of a table that are no hyper-parameters
UPWARDS = "upwards"
BUT = "!"  # before the name of backbones that are none of those of a table
NOT_KNOWN = "this dataset"  # in a setting's `dataset`; no card may be called so


class HasShape(Protocol):
    """What says of which shape images are: a dataset, or its card."""

    @property
    def resolution(self) -> int:
        """Pixels a side."""

    @property
    def channels(self) -> int:
        """1 or 3."""


@dataclass(frozen=True)
class Setting:
    """What a recipe may depend on.

    Attributes:
        dataset: what the dataset is known as, or `NOT_KNOWN`.
        resolution: pixels a side.
        classes: how many are used.
    """

    dataset: str
    resolution: int
    channels: int
    classes: int
    ipc: int
    backbone: str
    budget: Budget = "paper"

    @classmethod
    def of(
        cls, images: HasShape, known_as: str | None, classes: int, ipc: int, backbone: str, budget: Budget = "paper"
    ) -> "Setting":
        """That of so many classes of images, of a dataset that is known as that or, with None, as none."""
        return cls(known_as or NOT_KNOWN, images.resolution, images.channels, classes, ipc, backbone, budget)


@dataclass(frozen=True)
class Recipe:
    """Nested values, where they come from, and the fraction of each that the quick budget takes.

    Attributes:
        ipc: images per class of the cell that the paper is known for on this dataset, or None.
        differs: what stays different from the paper with these values, a few words each.
    """

    name: str
    source: str
    values: Values
    quick: dict[str, float] = field(default_factory=dict)
    ipc: int | None = None
    differs: tuple[str, ...] = ()

    @property
    def ours(self) -> str | None:
        """Its source as far as the first semicolon where that is no paper's and no release's, else None.

        Of a recipe over another (`over`) the first counts: whose network it works with, `differs` says.
        """
        own = self.source.partition("; ")[0]
        return own if own.startswith(OURS) else None

    def under(self, key: str) -> "Recipe":
        """The same as the part of another recipe that is called so."""
        quick = {f"{key}.{name}": fraction for name, fraction in self.quick.items()}
        return Recipe(self.name, f"{key}: {self.source}", {key: self.values}, quick, differs=self.differs)

    def over(self, base: "Recipe") -> "Recipe":
        """This recipe with all that it leaves out as in another."""
        values = merge(base.values, self.values)
        quick, differs = {**base.quick, **self.quick}, (*self.differs, *base.differs)
        return Recipe(self.name, f"{self.source}; {base.source}", values, quick, self.ipc, differs)

    def at(self, budget: Budget) -> Values:
        """The values at a budget; a scaled integer stays an integer of at least 1, or 0 if it is."""
        values = merge({}, self.values)
        if budget == "quick":
            for key, fraction in self.quick.items():
                set_value_at(values, key, _scaled(value_at(values, key), fraction))
        return values

    def taken(self) -> tuple[str, ...]:
        """What the quick budget takes: "recover.iterations 4000 -> 400". Users change what it leaves."""
        scaled = self.at("quick")
        keys = [key for key in self.quick if value_at(scaled, key) != value_at(self.values, key)]
        return tuple(f"{key} {value_at(self.values, key):g} -> {value_at(scaled, key):g}" for key in keys)


class RecipeBook:
    """The recipes of one method or protocol, by dataset."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._recipes: dict[str, Any] = dict(tables["recipes"])

    @classmethod
    def load(cls, *paths: Path) -> "RecipeBook":
        """Reads a recipe book from TOML files, each laid over those before it."""
        tables: Values = {}
        for path in paths:
            tables = merge(tables, tomllib.loads(path.read_text(encoding="utf-8")))
        return cls(tables)

    @classmethod
    def load_several(cls, path: Path) -> "dict[str, RecipeBook]":
        """Reads the books of one TOML file, by name: `[NAME.recipes.DATASET]`.

        A book with `like = "OTHER"` takes all else from an earlier one.
        """
        books: dict[str, Values] = {}
        for name, tables in tomllib.loads(path.read_text(encoding="utf-8")).items():
            books[name] = merge(books[tables["like"]], tables) if "like" in tables else tables
        return {name: cls(tables) for name, tables in books.items()}

    def names(self) -> list[str]:
        """The recipes in the book."""
        return list(self._recipes)

    def pick(self, setting: Setting) -> Recipe:
        """The recipe for a setting: the dataset's own, or that for its size.

        Of its tables for images per class, that of the largest number which the setting reaches counts, or the first
        where it reaches none; for another number than that the source says so, unless they hold upwards.
        """
        own = setting.dataset in self._recipes and setting.dataset not in SIZES
        name = setting.dataset if own else SIZES[setting.resolution > 64]
        table = self._whole(name)
        classes = table.pop("classes", {})
        table = merge(table, classes.get(_reached(classes, setting.classes), {}))
        upwards = table.get("ipcs", {}).get(UPWARDS, False)
        ipcs = {number: each for number, each in table.pop("ipcs", {}).items() if number != UPWARDS}
        ipc = _reached(ipcs, setting.ipc) or min(ipcs, key=int, default="")
        table = merge(table, ipcs.get(ipc, {}))
        table = merge(table, _for(table.pop("backbones", {}), setting.backbone))
        source, quick, differs = table.pop("source"), table.pop("quick", {}), table.pop("differs", ())
        papers_ipc = table.pop("ipc", None)
        held = ipc in ("", str(setting.ipc)) or (upwards and int(ipc) < setting.ipc)
        stretched = "" if held else f"; at IPC {setting.ipc} as at {ipc}"
        return Recipe(name, source + stretched, table, quick, papers_ipc, tuple(differs))

    def _whole(self, name: str) -> Values:
        """A table with what it takes from another."""
        table = dict(self._recipes[name])
        like = table.pop("like", None)
        if not like:
            return table
        return merge(_taken_over(self._whole(like)), table)


def _taken_over(table: Mapping[str, Any]) -> Values:
    """A table without what is of its dataset alone, in what differs too."""
    kept = {key: value for key, value in table.items() if key not in ITS_OWN}
    return kept | {by: {name: _cut(each) for name, each in kept[by].items()} for by in BY if by in kept}


def _cut(value: Any) -> Any:  # noqa: ANN401 - a table, or the mark of some
    return _taken_over(value) if isinstance(value, Mapping) else value


def _reached(numbers: Iterable[str], amount: int) -> str:
    """The largest of the numbers that an amount reaches; "" where it reaches none."""
    return max((each for each in numbers if int(each) <= amount), key=int, default="")


def _for(tables: Mapping[str, Values], backbone: str) -> Values:
    """What all tables say whose names, divided by spaces, have the backbone's among them."""
    found: Values = {}
    for names, table in tables.items():
        found = merge(found, table) if _is_among(names.split(), backbone) else found
    return found


def _is_among(names: Sequence[str], backbone: str) -> bool:
    taken_out = [name[1:] for name in names if name.startswith(BUT)]
    return _any_is(names, backbone) and not _any_is(taken_out, backbone)


def _any_is(names: Iterable[str], backbone: str) -> bool:
    return any(fnmatchcase(backbone, name) for name in names)


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Values:
    """A deep copy of `base` with `changes` laid over it, table by table."""
    merged = {key: merge(value, {}) if isinstance(value, Mapping) else value for key, value in base.items()}
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = merge(below if isinstance(below, Mapping) else {}, value) if isinstance(value, Mapping) else value
    return merged


def value_at(values: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - any value
    """The value at a dotted key. Raises KeyError with the whole key."""
    node: Any = values
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            raise KeyError(key)
        node = node[part]
    return node


def set_value_at(values: Values, key: str, value: Any) -> None:  # noqa: ANN401 - any value
    """Sets the value at a dotted key, making tables on the way."""
    *path, last = key.split(".")
    for part in path:
        values = values.setdefault(part, {})
    values[last] = value


def _scaled(value: float, fraction: float) -> float:
    """Of something something is left; of nothing nothing, such as of no epochs of warm-up."""
    if not isinstance(value, int):
        return value * fraction
    return max(1, round(value * fraction)) if value else 0
