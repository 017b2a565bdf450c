"""Dataset cards: the TOML that says what a source dataset is. Imports no torch, so that listing cards stays quick."""

import hashlib
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bench.data.class_lists import KEY, with_listed
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.storage.names import below, brief, check_name
from bench.storage.regular_files import LONGEST
from bench.storage.users_toml import hint, read_fields, validated

SplitName = Literal["train", "test"]
Unit01 = Annotated[float, Field(strict=True, ge=0, le=1)]
Spread = Annotated[float, Field(strict=True, ge=0.001, le=1)]  # a quarter of a gray level is no picture
Count = Annotated[int, Field(strict=True, ge=0, lt=10**15)]
Pixels = Annotated[int, Field(strict=True, ge=1, le=4096)]  # a side; one image of more takes over 50 MB decoded

NORMALISATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5,), (0.5,)),
}


def spelled(text: str) -> str:
    """The path, if a file system can have it.

    Raises:
        ValueError: a name in it is too long, or holds a NUL.
    """
    if "\0" in text:
        raise ValueError("a path holds no NUL")
    if too_long := [part for part in PurePath(text).parts if len(part.encode()) > LONGEST]:
        raise ValueError(f"{brief(too_long[0])} is longer than the {LONGEST} bytes that a name may have")
    return text


def _address(url: str) -> str:
    parts = urlsplit(url)  # a ValueError of its own for brackets that are none
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise ValueError("an address that begins with https:// or http:// and has a host is expected")
    if "@" in parts.netloc:
        raise ValueError("an address holds no user name or password: cards are shown and shared")
    _ = parts.port  # a ValueError for one that is no number
    return url


def _checksum(text: str) -> str:
    algorithm, _, digits = text.partition(":")
    if algorithm not in (known := _hex_digits()):
        raise ValueError(f"unknown algorithm {brief(algorithm)}; {hint(algorithm, sorted(known))}")
    if len(digits) != known[algorithm]:
        raise ValueError(f"{algorithm} has {known[algorithm]} hex digits, here are {len(digits)}")
    return text


def _hex_digits() -> dict[str, int]:
    sizes = {name: hashlib.new(name).digest_size for name in hashlib.algorithms_guaranteed}
    return {name: 2 * size for name, size in sizes.items() if size}


def _whole(number: object) -> object:
    """Raises ValueError: true and 1.0 equal 1 and are none."""
    if type(number) is not int:
        raise ValueError("Input should be a valid integer")
    return number


def _folder_name(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise ValueError("the name of a folder in the archive is expected, not a path")
    return below(spelled(name))


class Fetch(BaseModel):
    """An official download.

    Attributes:
        url: its address.
        file: where it is kept, relative to the data root.
        bytes: its size, where known.
        checksum: "algorithm:hex", an algorithm of hashlib.
        extract: the folder inside the archive that is put beside it, for archives that are not read as they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: Annotated[str, AfterValidator(_address)]
    file: Annotated[str, AfterValidator(spelled), AfterValidator(below)]
    bytes: int | None = Field(default=None, strict=True, ge=0, lt=2**63)
    checksum: Annotated[str, Field(pattern=r"^[a-z0-9_]+:[0-9a-f]+$"), AfterValidator(_checksum)]
    extract: Annotated[str, AfterValidator(_folder_name)] | None = None


class SourceCard(BaseModel):
    """One layout in which the dataset can be found below the data root, or beside a user's own card.

    Attributes:
        options: the reader's own: each reader says which it takes.
        fetch: set where the layout can be downloaded.
        differs: in what its images are not those of the other sources, in a few words: copies in a lossy format, say.
            Stages and runs take them for another dataset, and every row says it.
        later: the card came to name it when runs of it were kept, and its images are the other sources' pixel for
            pixel: the card's hash stays what it was.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    layout: str
    options: dict[str, Any] = Field(default_factory=dict)
    fetch: Fetch | None = None
    differs: str | None = Field(default=None, min_length=1)
    later: bool = False

    def content(self) -> dict[str, Any]:
        """What hashes are made of: without `differs` where it is not set, as once no source had it."""
        return self.model_dump(mode="json", exclude={"later", *(["differs"] if self.differs is None else [])})


class SplitCard(BaseModel):
    """A test split cut out of the training images, where a source has none of its own.

    Attributes:
        test: its share of each class, above 0 and below 1.
        seed: decides which images they are, the same on every machine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    test: float = Field(strict=True, gt=0, lt=1)
    seed: int = Field(default=0, strict=True, ge=-(2**63), lt=2**63)

    def __str__(self) -> str:
        return f"{100 * self.test:g} % of train, by class, seed {self.seed}"


class Elsewhere(BaseModel):
    """How others keep their sets of the dataset, where a set alone does not tell whose it is.

    It decides what must be said of such a set, and nothing of how the dataset is read.

    Attributes:
        who: they, as "DC and DM".
        class_ids: the ids as they number the classes; None: in class order.
        mean, std: the constants that they normalise with; None: the card's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    who: Annotated[str, Field(min_length=1)]
    class_ids: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    mean: tuple[Unit01, ...] | None = None
    std: tuple[Spread, ...] | None = None


def _named(name: str) -> str:
    check_name(name)
    return name


class DatasetCard(BaseModel):
    """What a dataset is. Unknown and missing fields are refused.

    Attributes:
        name: what runs and tables call it.
        like: the offered dataset whose recipes and published numbers are this one's too; it must have the same
            resolution, channels and number of classes (see `bench.data.identity`).
        resolution: pixels a side of the square images in use.
        resize: other images' shorter side is scaled to this many pixels (bilinear, antialiased) before the central
            square of `resolution` is cut out; None: to `resolution` itself.
        channels: 3 (RGB) or 1 (gray); encoded images are converted.
        classes: how many there are; None: as many as the reader finds.
        class_ids: None: the reader finds them. Class order is the sorted ids whatever order they are written in.
        class_names: id -> words.
        images: how many each split holds, where that is fixed; another number is refused.
        split: cuts the test split out of train; refused where a source has one of its own.
        depth: bits a pixel, 9 to 16, of gray images that have more than 8: 0 to 2^depth - 1 becomes 0 to 255. Images
            of 8 bits stay as they are.
        mean, std: per channel, for pixels in [0, 1]. A card may say `normalisation = "imagenet"` (or "half": 0.5 and
            0.5) in their place.
        elsewhere: how others keep their sets of it.
        later: fields that the card came to have when runs of it were kept, of which the images are the same: its hash
            stays what it was without them.
    """

    also: ClassVar[tuple[str, ...]] = ("normalisation", KEY)  # fields beside those below
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, AfterValidator(_named)]
    like: str | None = None
    title: str = ""
    resolution: Pixels
    resize: Pixels | None = None
    channels: Annotated[Literal[1, 3], BeforeValidator(_whole)] = 3
    classes: Annotated[Count, Field(ge=2)] | None = None
    class_ids: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(default=None, min_length=2)
    class_names: dict[str, str] = Field(default_factory=dict)
    images: dict[SplitName, Count] = Field(default_factory=dict)
    split: SplitCard | None = None
    depth: int | None = Field(default=None, strict=True, ge=9, le=16)
    mean: tuple[Unit01, ...]
    std: tuple[Spread, ...]
    licence: str = "not stated"
    citation: str = "not stated"
    homepage: str | None = None
    elsewhere: Elsewhere | None = None
    later: tuple[Literal["class_ids", "class_names"], ...] = ()
    sources: tuple[SourceCard, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _named_normalisation(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if "normalisation" not in fields:
            needed = {name for name, field in cls.model_fields.items() if field.is_required()}
            if needed - fields.keys() == {"mean", "std"} and fields.keys() <= {*cls.model_fields, *cls.also}:
                way = 'say normalisation = "half" until `bench data constants` has printed them for this card'
                raise ValueError(f"mean and std are missing, or a normalisation; {way}")
            return fields
        rest = {name: value for name, value in fields.items() if name != "normalisation"}
        if stated := sorted({"mean", "std"} & rest.keys()):
            raise ValueError(f"normalisation and {stated[0]} are two ways to say one thing; keep one")
        name = fields["normalisation"]
        if not isinstance(name, str) or name not in NORMALISATIONS:
            known = ", ".join(NORMALISATIONS)
            raise ValueError(f"unknown normalisation {brief(name)}; choose from {known}, or give mean and std")
        mean, std = NORMALISATIONS[name]
        repeats = 3 if len(mean) == 1 and fields.get("channels", 3) == 3 else 1  # what is no count is refused by itself
        return {**rest, "mean": mean * repeats, "std": std * repeats}

    @model_validator(mode="after")
    def _consistent(self) -> "DatasetCard":
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std need {self.channels} values each, one a channel")
        if self.resize is not None and self.resize < self.resolution:
            raise ValueError(f"resize {self.resize} is smaller than resolution {self.resolution}")
        ids = self.class_ids
        if ids is not None and len(set(ids)) != len(ids):
            raise ValueError("class_ids holds one id twice")
        if ids is not None and self.classes not in (None, len(ids)):
            raise ValueError(f"classes says {self.classes}, class_ids has {len(ids)}")
        if (theirs := self.elsewhere) is not None:
            if {len(theirs.mean or self.mean), len(theirs.std or self.std)} != {self.channels}:
                raise ValueError(f"elsewhere: mean and std need {self.channels} values each, one a channel")
            if theirs.class_ids is not None and sorted(theirs.class_ids) != sorted(ids or ()):
                raise ValueError("elsewhere: its class_ids are not those of the card in another order")
        return self

    @property
    def order(self) -> tuple[str, ...] | None:
        """The class ids in class order, where the card lists them."""
        return tuple(sorted(self.class_ids)) if self.class_ids is not None else None

    def hash(self) -> str:
        """Content hash of the card: part of every stage's key.

        Fields of `_ADDED` count where a card sets them. Sources that differ do not: a dataset that is read from one has
        a hash of its own (`bench.data.opening`), and those of the others stay as they were before it was added. Nor
        does `elsewhere`, nor what is called `later`.
        """
        from bench.storage.files import digest  # it imports torch, which listing cards does not need

        unset = {"elsewhere", "later", *(name for name in _ADDED if getattr(self, name) is None)}
        fields = type(self).model_fields
        before = {name: fields[name].get_default(call_default_factory=True) for name in self.later}
        sources = [source.content() for source in self.sources if source.differs is None and not source.later]
        return digest({**self.model_dump(mode="json", exclude=unset), **before, "sources": sources})


_ADDED = ("like", "split", "depth")  # since hashes are kept: a card without them is the card that it was


def is_path(name_or_path: str) -> bool:
    """Whether the user named a card of their own and not a registered dataset."""
    return name_or_path.endswith(".toml")


def check_dataset(registry: Registry, name_or_path: str) -> None:
    """Looks a name up; the path of a card is taken as it is.

    Raises:
        UsageError: nobody offers it; the nearest is named, or the card in the folder that it is.
    """
    if is_path(name_or_path):
        return
    if not registry.has("dataset", name_or_path) and (cards := _cards_in(name_or_path)):
        raise UsageError(f"{name_or_path!r} is a folder; a dataset of your own is named by its card: {cards[0]}")
    registry.find("dataset", name_or_path)


def _cards_in(folder: str) -> list[Path]:
    """The cards in a folder; none where the name is of no folder, or longer than any."""
    try:
        return sorted(Path(folder).glob("*.toml"))
    except OSError:  # up to Python 3.12; from 3.13 on there are none
        return []


def read_card(path: Path) -> DatasetCard:
    """The card in a TOML file. Raises UsageError as `read_toml`, and for what its list of classes lacks."""
    what = "dataset card"
    return validated(DatasetCard, with_listed(read_fields(path, what), path), f"{what} {path}")
