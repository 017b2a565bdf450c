"""Published tables: which claims are their cells, and what is run for each, as TOML files that plugins offer.

name = "sre2l-table-3"
title = "SRe2L, Table 3: how long to recover"
aside = ["recover.groups"]       # keys of methods that change what a cell costs and not what it gives
selection = false                # true: cells of other tables, put together for what they take

[[cells]]                        # every claim that has all of these is a cell, in the order of the claims
source = "SRe2L paper Table 3 (recovery budget 1000 it)"
dataset = "tiny-imagenet"        # likewise method, ipc, backbone, eval_backbone, metric
run.set = ["recover.iterations=1000"]   # what the claim does not say; likewise run.method, ipc, backbone, protocol

[[notes]]                        # said beside the verdict of every cell that has all of these, as those of [[cells]]
backbone = "resnet50"
says = "the paper labels by a ResNet-18 in one place and by the recovery's network, as here, in another"

A table holds no number: those are the claims'. So a cell of a table and a row of a report, beside which
`bench report --claims` shows a published number, are the same by one rule, `Claim.keys`.

A reason makes a measurement "not the same", a note lets its verdict stand. Of both there are few kinds:

- A reason is what is known not to be the paper's: a budget, a value, a network, an arithmetic, the epoch that is
  reported, or all of a recipe that no paper and no release has (its source begins with "ours"). It is said where it is
  known, by the row, its recipe, its method or its protocol, and holds in every table (`reasons`).
- A note is what a number may hang on and nobody knows: the recipe is the paper's, but for a detail that it leaves open
  and that is filled in here. A number that is met speaks for what was filled in, and one that is missed has its likely
  cause beside it. The table says it. Copies of the images in a lossy format, which the data says, are one too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from bench.errors import UsageError
from bench.recipes import value_at
from bench.results.changes import told
from bench.results.claims import COSTS, EVERY, Claim, Claims, Key, cell_of, is_other_setting
from bench.results.fields import FULL
from bench.results.metrics import metric
from bench.results.protocol_names import base_of, is_varied, name_of
from bench.results.scores import IN_POINTS
from bench.storage.names import brief, nearest
from bench.storage.users_toml import read_toml

if TYPE_CHECKING:
    from bench.extensions.registry import Registry

STRICT = ConfigDict(extra="forbid", frozen=True)
ROUNDING = 0.5  # points that are granted besides both deviations
PICKS = ("source", "method", "dataset", "ipc", "backbone", "eval_backbone", "metric")
KINDS = {"method": "method", "dataset": "dataset", "backbone": "backbone", "eval_backbone": "backbone"}


class Asked(BaseModel):
    """What is run for a claim where its own fields do not say it; `set` as the option --set."""

    model_config = STRICT

    method: str | None = None
    ipc: int | None = Field(default=None, strict=True, ge=1)
    backbone: str | None = None
    protocol: str | None = None
    set: tuple[str, ...] = ()


class Those(BaseModel):
    """The claims that have all that is given here."""

    model_config = STRICT

    source: str | None = None
    method: str | None = None
    dataset: str | None = None
    ipc: str | None = None
    backbone: str | None = None
    eval_backbone: str | None = None
    metric: str | None = None

    def takes(self, claim: Claim) -> bool:
        """Whether the claim has them all."""
        return all(getattr(self, name) in (None, getattr(claim, name)) for name in PICKS)

    @property
    def words(self) -> str:
        """What is given, as an error shows it."""
        given = {name: getattr(self, name) for name in PICKS if getattr(self, name) is not None}
        return ", ".join(f"{name} {value!r}" for name, value in given.items())


class Pick(Those):
    """Claims that are cells, and what is run for them."""

    source: str
    run: Asked = Asked()


class Note(Those):
    """What is said beside the verdicts of cells: a detail that their paper leaves open."""

    says: str = Field(min_length=1)


class PublishedTable(BaseModel):
    """See the module's docstring."""

    model_config = STRICT

    name: str
    title: str
    aside: tuple[str, ...] = ()
    selection: bool = Field(default=False, strict=True)
    cells: tuple[Pick, ...] = Field(min_length=1)
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One number of a published table, and what is run for it.

    Attributes:
        number: its place in the table, from 1.
        claim: the number, under our names of what it is of.
        run: what is run where that is not what the claim says.
        aside: keys of a method that do not make it another cell.
        notes: what is said beside its verdict, and leaves it.
    """

    number: int
    claim: Claim
    run: Asked
    aside: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def wanted(self) -> Claim:
        """The claim as a run of ours has its cell: the method, ipc, backbone and protocol that are run for it."""
        claim, run = self.claim, self.run
        ipc = claim.ipc if run.ipc is None else str(run.ipc)
        given = {name: getattr(run, name) or getattr(claim, name) for name in ("method", "backbone", "protocol")}
        return replace(claim, **given, ipc=ipc)

    @property
    def protocol(self) -> str:
        """What it is evaluated by: the first that the claim names, or nothing."""
        return next(iter(self.wanted.protocol.split()), "")

    def why_not(self, registry: "Registry") -> str | None:
        """Why it cannot be run here whatever data there is, or None."""
        wanted = self.wanted
        asked = {(kind, str(getattr(wanted, field))) for field, kind in KINDS.items()}
        if lacking := sorted(pair for pair in asked if not registry.has(*pair)):
            return f"there is {' and '.join(self._no(registry, *pair) for pair in lacking)}"
        if self.claim.metric in COSTS:
            return f"its number is a cost, {self.claim.metric}, and no accuracy"
        numbered = wanted.ipc.isascii() and wanted.ipc.isdigit() and int(wanted.ipc) > 0
        if not numbered and (wanted.method, wanted.ipc) != (FULL, EVERY):
            return f"it has no number of images per class but {wanted.ipc or 'none'!r}"
        if not self.protocol:
            return "it is not known how the students were trained"
        known = registry.has("protocol", self.protocol)
        return None if known else f"there is {self._no(registry, 'protocol', self.protocol)}"

    def _no(self, registry: "Registry", kind: str, name: str) -> str:
        """That there is none. A name that the table's author wrote may be misspelt; one of a claim is a paper's."""
        match = nearest(name, registry.names(kind)) if name in (getattr(self.run, kind, None) or "").split() else None
        return f"no {kind} {name!r}" + (f" (did you mean {match!r}?)" if match else "")

    @property
    def keys(self) -> list[Key]:
        """The places of rows that may be of this cell: of what is run for it, and of its claim, as everywhere."""
        return [*self.wanted.keys, *self.claim.keys]

    def answered_by(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is a measurement of this cell: its place, and nothing changed but what the cell changes.

        Nor has it fewer classes than the dataset, or soft labels of another method, as a control has them.
        """
        return self.approached_by(row) and not is_varied(row) and not self.changed_besides(row)

    def approached_by(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has the cell's place and what the cell changes, and maybe more, or a variant of its protocol.

        Where it does not answer the cell, it can be shown beside it as "not the same", with the reason.
        """
        place = cell_of({**row, "protocol_id": base_of(row)})
        changes = map(_parsed, self.run.set)
        return not is_other_setting(row) and place in self.keys and all(_has(row, *change) for change in changes)

    def changed_besides(self, row: Mapping[str, Any]) -> dict[str, list[Any]]:
        """What was changed in a row that the cell does not change, without what changes no result."""
        of_cell = {key for key, _ in map(_parsed, self.run.set)} | set(self.aside)
        return {key: each for key, each in (row.get("changed") or {}).items() if key not in of_cell}


def find_table(registry: "Registry", name: str) -> PublishedTable:
    """The table of a name. Raises UsageError: nobody offers it, or its file is wrong, or of another name."""
    path = Path(registry.load("table", name))
    found = read_toml(PublishedTable, path, "published table")
    if found.name != name:
        raise UsageError(f"published table {path}: its name is {brief(found.name)}, and it is offered as {name!r}")
    return found


def cells(table: PublishedTable, claims: Claims) -> list[Cell]:
    """The cells of a table in its order; one that is picked twice stands at its first place.

    Raises:
        UsageError: the table asks for claims that nobody offers, or has a note on none of its cells.
    """
    picked = dict.fromkeys((claim, pick.run) for pick in table.cells for claim in _picked(table, pick, claims))
    for note in table.notes:
        if not any(note.takes(claim) for claim, _ in picked):
            raise UsageError(f"published table {table.name}: a note is on no cell: none has {note.words}")
    return [
        Cell(number, claim, run, table.aside, tuple(note.says for note in table.notes if note.takes(claim)))
        for number, (claim, run) in enumerate(picked, 1)
    ]


def _picked(table: PublishedTable, pick: Pick, claims: Claims) -> list[Claim]:
    found = [claim for claim in claims.all if pick.takes(claim)]
    if not found:
        raise UsageError(f"published table {table.name}: no claim has {pick.words}{_meant(pick, claims)}")
    return found


def _meant(pick: Pick, claims: Claims) -> str:
    """The nearest to the first of its values that no claim has at all."""
    for name in PICKS:
        given, known = getattr(pick, name), {getattr(claim, name) for claim in claims.all}
        if given is not None and given not in known and (match := nearest(given, sorted(known))):
            return f"; did you mean {match!r}?"
    return ""


def verdict(claim: Claim, row: Mapping[str, Any], apart: Sequence[str]) -> str:
    """What a finished row says to a published number.

    Args:
        apart: what makes the two different things, in words (see `reasons`).

    Returns:
        "not the same" where anything does; otherwise "within" where the measured mean lies within the published one
        plus or minus both deviations and half a point (of what is in percent or points), else "above" or "below".
    """
    if apart:
        return "not the same"
    found = metric(row, claim.score)
    assert found.mean is not None, "of what was not measured a reason says so"
    difference, rounding = found.mean - claim.value, ROUNDING if found.unit in IN_POINTS else 0.0
    if abs(difference) <= (claim.std or 0.0) + (found.std or 0.0) + rounding:
        return "within"
    return "above" if difference > 0 else "below"


def reasons(cell: Cell, row: Mapping[str, Any], differs: Sequence[str]) -> Iterator[str]:
    """Why a row is not what was published, in words: a budget, a change, and what its method and protocol say."""
    if row["budget"] != "paper":
        yield f"{row['budget']} budget"
    if row.get("set_budget") not in (None, "paper"):
        yield f"a set made under the {row['set_budget']} budget"
    if (found := metric(row, cell.claim.score)).mean is None:
        yield f"measured was no {found.words}"
    if changed := cell.changed_besides(row):
        yield told(changed)
    if is_varied(row):
        yield f"trained by {name_of(row)}"
    yield from of_claim(cell.claim)
    yield from differs


def of_claim(claim: Claim) -> list[str]:
    """What a published number says of itself that no measurement here is."""
    best = claim.metric == f"{claim.score}_best"
    return ["published is the best of all epochs, measured the last"] if best else []


def _parsed(change: str) -> tuple[str, Any]:
    """As --set reads it: JSON, or else text; of METHOD:KEY the key."""
    key, _, text = change.partition("=")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return key.rpartition(":")[2], value


def _has(row: Mapping[str, Any], key: str, value: Any) -> bool:  # noqa: ANN401 - any JSON value
    try:
        return bool(value_at(row.get("config") or {}, key) == value)
    except KeyError:
        return False
