"""Recipes as data: the hyper-parameters a paper gives for a dataset, and what the quick budget takes of them.

A recipe book is a TOML file with one table per dataset under `[recipes]`:

    [recipes.tiny-imagenet]
    source = "SRe2L paper Table 7a and 7c"
    [recipes.tiny-imagenet.recover]
    iterations = 1000
    [recipes.tiny-imagenet.backbones.resnet50.recover]   # what differs for one backbone
    iterations = 2000
    [recipes.tiny-imagenet.ipcs.50.recover]              # what differs from 50 images per class on, to the next number
    lr = 0.05
    [recipes.tiny-imagenet.quick]                        # fractions that --budget quick takes
    "recover.iterations" = 0.1

A backbone's table, and one for images per class, may have a `source` of its own; a backbone's may have a `quick`, laid
over the recipe's. A dataset without a table of its own takes `small` (up to 64 pixels) or `large`; the record says
which was taken.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Budget = Literal["paper", "quick"]
Values = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What a recipe may depend on. Resolution in pixels a side; `classes` is how many are used."""

    dataset: str
    resolution: int
    channels: int
    classes: int
    ipc: int
    backbone: str
    budget: Budget = "paper"


@dataclass(frozen=True)
class Recipe:
    """Nested values, where they come from, and the fraction of each that the quick budget takes."""

    name: str
    source: str
    values: Values
    quick: dict[str, float] = field(default_factory=dict)

    def at(self, budget: Budget) -> Values:
        """The values at a budget; a scaled integer stays an integer of at least 1."""
        values = merge({}, self.values)
        if budget == "quick":
            for key, fraction in self.quick.items():
                put(values, key, _scaled(look(values, key), fraction))
        return values

    def taken(self, besides: Sequence[str] = ()) -> tuple[str, ...]:
        """What the quick budget takes: "recover.iterations 4000 -> 400"; not of the keys that a user set himself."""
        scaled = self.at("quick")
        keys = [key for key in self.quick if key not in besides]
        return tuple(f"{key} {look(self.values, key):g} -> {look(scaled, key):g}" for key in keys)


class RecipeBook:
    """The recipes of one method or protocol, by dataset."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._recipes: dict[str, Any] = dict(tables["recipes"])

    @classmethod
    def load(cls, path: Path) -> "RecipeBook":
        """Reads a recipe book from TOML."""
        return cls(tomllib.loads(path.read_text(encoding="utf-8")))

    def names(self) -> list[str]:
        """The recipes in the book."""
        return list(self._recipes)

    def pick(self, setting: Setting) -> Recipe:
        """The recipe for a setting: the dataset's own, or that for its size.

        Of its tables for images per class, that of the largest number which the setting reaches is laid over it, or
        the first where it reaches none; then that of the backbone.
        """
        size = "small" if setting.resolution <= 64 else "large"
        name = setting.dataset if setting.dataset in self._recipes else size
        table = dict(self._recipes[name])
        source, quick = table.pop("source"), table.pop("quick", {})
        for_backbone = dict(table.pop("backbones", {}).get(setting.backbone, {}))
        for_ipc = dict(_for_ipc(table.pop("ipcs", {}), setting.ipc))
        source = for_backbone.pop("source", for_ipc.pop("source", source))
        quick = {**quick, **for_backbone.pop("quick", {})}
        return Recipe(name, source, merge(merge(table, for_ipc), for_backbone), quick)


def _for_ipc(tables: Mapping[str, Values], ipc: int) -> Values:
    """The table of the largest number that `ipc` reaches, or the first; nothing where there are none."""
    numbers = sorted(map(int, tables))
    reached = [number for number in numbers if number <= ipc] or numbers[:1]
    return tables[str(reached[-1])] if reached else {}


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Values:
    """A deep copy of `base` with `changes` laid over it, table by table."""
    merged = {key: merge(value, {}) if isinstance(value, Mapping) else value for key, value in base.items()}
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = merge(below if isinstance(below, Mapping) else {}, value) if isinstance(value, Mapping) else value
    return merged


def look(values: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - any value
    """The value at a dotted key. Raises KeyError with the whole key."""
    node: Any = values
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            raise KeyError(key)
        node = node[part]
    return node


def put(values: Values, key: str, value: Any) -> None:  # noqa: ANN401 - any value
    """Sets the value at a dotted key, making tables on the way."""
    *path, last = key.split(".")
    for part in path:
        values = values.setdefault(part, {})
    values[last] = value


def _scaled(value: float, fraction: float) -> float:
    return max(1, round(value * fraction)) if isinstance(value, int) else value * fraction
