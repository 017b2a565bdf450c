"""Pages of `bench show`: one function a kind, each from a name to text."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import torch
from pydantic import BaseModel
from tabulate import tabulate

from bench.cli.cells_page import cell_sections
from bench.cli.run_page import Facts, flat, joined, section
from bench.data.cards import DatasetCard
from bench.data.finding import DatasetNotFound, find_source, load_card, reader_of
from bench.data.identity import known_as
from bench.errors import UsageError, why
from bench.evaluation import Protocol
from bench.extensions.answers import answers_of
from bench.extensions.registry import Registered, Registry
from bench.planning.configuring import condenser, field_of, keys_of
from bench.planning.ladders import find_ladder
from bench.recipes import Recipe, Setting
from bench.results.claims import load as load_claims
from bench.results.published import cells, find_table
from bench.speed.tables import read_table

H = TypeVar("H")

SHAPES = ((32, 10), (64, 200), (224, 1000))  # pixels a side and classes of CIFAR-10, Tiny-ImageNet and ImageNet-1K
BACKBONE, IPC = "resnet18", 10  # what recipes are shown for


def method(registry: Registry, name: str) -> str:
    """What the method does, its hyper-parameters, and its recipe and protocol on every dataset."""
    registered = registry.find("method", name)
    found = condenser(registry, name)
    needs = ", ".join(sorted(registered.offer.needs)) or "nothing"
    facts = [*_origin(registered), ("version of method", found.version), ("needs of a backbone", needs)]
    settings = _settings(registry)
    with answers_of(registry, "method", name):
        recipes = _recipes(
            {each: found.recipe(setting) for each, setting in settings.items()},
            {"paper's protocol": {each: found.protocol(setting) for each, setting in settings.items()}},
        )
        keys = _config(found.Config, "hyper-parameters, set with --set KEY=VALUE")
    return _page(f"method {name}", registered, facts, _doc(found), keys, recipes, _notes(found))


def backbone(registry: Registry, name: str) -> str:
    """What the network has, and how many parameters at the usual shapes."""
    registered = registry.find("backbone", name)
    build = registry.load("backbone", name)
    facts = [*_origin(registered), ("has", ", ".join(sorted(registered.offer.traits)) or "no traits")]
    for resolution, classes in SHAPES:
        facts.append((f"parameters, {resolution} px, {classes} classes", _parameters(build, resolution, classes)))
    return _page(f"backbone {name}", registered, facts, _doc(build))


def dataset(registry: Registry, name: str, data_root: Path) -> str:
    """The card, and where the dataset was looked for and found."""
    registered, card = registry.find("dataset", name), load_card(registry, name)
    facts = [*_origin(registered), *_facts(card), ("card", registered.offer.target)]
    sources, where = _sources(registry, card), _whereabouts(registry, name, card, data_root)
    return _page(f"dataset {name}", registered, facts, card.title, sources, where)


def own_dataset(registry: Registry, path: str, data_root: Path) -> str:
    """The same of a user's own card."""
    card = load_card(registry, path)
    facts = tabulate([*_facts(card), ("card", path)], tablefmt="plain", disable_numparse=True)
    where = _whereabouts(registry, path, card, data_root)
    return joined([f"dataset {card.name}", card.title, facts, _sources(registry, card), where])


def _facts(card: DatasetCard) -> list[tuple[str, object]]:
    stated = [(name, getattr(card, name)) for name in ("split", "depth")]
    return [
        *([("like", card.like)] if card.like else []),
        ("classes", card.classes or "as found"),
        ("images", ", ".join(f"{count:,} {split}" for split, count in card.images.items()) or "as found"),
        ("resolution", f"{card.resolution} px, {card.channels} channels"),
        ("mean", ", ".join(map(str, card.mean))),
        ("std", ", ".join(map(str, card.std))),
        ("licence", card.licence),
        ("citation", card.citation),
        ("homepage", card.homepage or "none"),
        *((name, value) for name, value in stated if value is not None),
    ]


def _sources(registry: Registry, card: DatasetCard) -> str:
    sources = [(each.layout, _described(registry, card, number)) for number, each in enumerate(card.sources)]
    return section("layouts it is read from", sources)


def _described(registry: Registry, card: DatasetCard, number: int) -> str:
    return "; ".join(filter(None, [_download(registry, card, number), card.sources[number].differs]))


def _download(registry: Registry, card: DatasetCard, number: int) -> str:
    """The official addresses, the card's or the reader's own; where there are none, what is looked for."""
    reader, source = reader_of(registry, card, number), card.sources[number]
    addresses = ", ".join(fetch.url for fetch in reader.fetches(card, source))
    return addresses or "; ".join(filter(None, [reader.looked_for(card, source), "not fetched from here"]))


def protocol(registry: Registry, name: str) -> str:
    """What it trains on, and its recipe on every dataset."""
    registered, found = registry.find("protocol", name), registry.load("protocol", name)
    assert isinstance(found, Protocol)
    facts = [*_origin(registered), ("version of protocol", found.version), ("labels", found.labels)]
    variants = section("variants", [(f"+{each}", what) for each, what in found.variants.items()])
    by_dataset = {each: found.recipe(setting) for each, setting in _settings(registry).items()}
    recipes = {each: recipe for each, recipe in by_dataset.items() if recipe is not None}
    return _page(f"protocol {name}", registered, facts, _lead(type(found)), variants, _recipes(recipes, {}))


def report_format(registry: Registry, name: str) -> str:
    """A form of table."""
    registered = registry.find("format", name)
    facts = [*_origin(registered), ("files", f"*{registry.load('format', name).suffix}")]
    return _page(f"format {name}", registered, facts, _lead(type(registry.load("format", name))))


def reader(registry: Registry, name: str) -> str:
    """A layout on disk, and the options that cards may give it."""
    registered, found = registry.find("reader", name), registry.load("reader", name)
    return _page(f"reader {name}", registered, _origin(registered), _doc(found), _config(found.Options, "options"))


def ladder(registry: Registry, name: str) -> str:
    """What each rung changes, and what was published of it."""
    registered, found = registry.find("ladder", name), find_ladder(registry, name)
    rows = [
        (each.name, each.change, each.method, each.protocol, " ".join(each.set), each.published) for each in found.rungs
    ]
    head = ("rung", "change", "method", "protocol", "--set", "published top-1 %")
    rungs = tabulate(rows, head, disable_numparse=True, maxcolwidths=[None, None, None, None, 60, None])
    facts = [*_origin(registered), ("title", found.title), ("published in", found.source)]
    return _page(f"ladder {name}", registered, facts, rungs)


def published_table(registry: Registry, name: str, data_root: Path) -> str:
    """Its cells: what each is of and what was published; of which a verdict is known before, and what is beside it."""
    registered, found = registry.find("table", name), find_table(registry, name)
    listed = cells(found, load_claims(registry))
    return _page(
        f"published table {name}",
        registered,
        [*_origin(registered), ("title", found.title)],
        *cell_sections(registry, listed),
        section("their datasets", _datasets(registry, {cell.wanted.dataset for cell in listed}, data_root)),
    )


def _datasets(registry: Registry, names: Iterable[str], data_root: Path) -> list[tuple[str, str]]:
    """Of each that is known, whether it is here."""
    found = []
    for name in sorted(each for each in names if registry.has("dataset", each)):
        try:
            found.append((name, f"found as {find_source(registry, name, load_card(registry, name), data_root)}"))
        except DatasetNotFound:
            found.append((name, f"not below {data_root} (--data-root); bench show {name} says what is looked for"))
        except UsageError as error:
            found.append((name, str(error)))
    return found


def speed_table(registry: Registry, name: str) -> str:
    """Whose steps are measured side by side."""
    registered, found = registry.find("speed table", name), read_table(Path(registry.load("speed table", name)))
    rows = [(each.method, each.backbone, each.batch_size, each.published_as) for each in found.rows]
    steps = tabulate(rows, ("method", "backbone", "batch", "published as"), disable_numparse=True)
    facts = [*_origin(registered), ("title", found.title), ("published in", found.source), ("dataset", found.dataset)]
    return _page(f"speed table {name}", registered, facts, steps)


def pages(data_root: Path) -> dict[str, Callable[[Registry, str], str]]:
    """The page of each kind. Datasets are looked for below the folder."""
    return {
        "method": method,
        "backbone": backbone,
        "dataset": partial(dataset, data_root=data_root),
        "protocol": protocol,
        "format": report_format,
        "reader": reader,
        "ladder": ladder,
        "table": partial(published_table, data_root=data_root),
        "speed table": speed_table,
    }


def _page(heading: str, registered: Registered, facts: Facts, *sections: str) -> str:
    return joined(
        [heading, registered.offer.summary, tabulate(facts, tablefmt="plain", disable_numparse=True), *sections]
    )


def _origin(registered: Registered) -> list[tuple[str, object]]:
    return [("plugin", f"{registered.plugin} {registered.version or '(named on the command line)'}")]


def _doc(thing: object) -> str:
    """Its docstring; that of a partial function is the whole function's."""
    return inspect.getdoc(thing.func if isinstance(thing, partial) else thing) or ""


def _notes(thing: type) -> str:
    """What its plugin's package says: what of a paper and its code is followed, and what differs."""
    return inspect.getdoc(import_module(thing.__module__.partition(".")[0])) or ""


def _lead(thing: object) -> str:
    """The first paragraph of its docstring: what it is, without how it is made."""
    return _doc(thing).partition("\n\n")[0]


def _config(model: type[BaseModel], title: str) -> str:
    """Every key with its type and default."""
    rows = []
    for key, field in ((key, field_of(model, key)) for key in keys_of(model)):
        default = "required of the recipe" if field.is_required() else repr(field.default)
        rows.append((key, _type_name(field.annotation), default))
    return f"{title}\n{tabulate(rows, ('key', 'type', 'default'), disable_numparse=True)}" if rows else ""


def _type_name(annotation: Any) -> str:  # noqa: ANN401 - any annotation
    """As it would be written, without the bounds that pydantic checks."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(inner[0])
    if origin is Literal:
        return " | ".join(map(repr, inner))
    if origin in (Union, UnionType):
        return " | ".join(_type_name(each) for each in inner)
    if origin is not None:
        return f"{origin.__name__}[{', '.join(_type_name(each) for each in inner)}]"
    if annotation in (type(None), ...):
        return "None" if annotation is not ... else "..."
    return str(getattr(annotation, "__name__", annotation))


def _settings(registry: Registry) -> dict[str, Setting]:
    """What recipes are shown for: every offered dataset."""
    return {name: _setting(load_card(registry, name)) for name in registry.names("dataset")}


def _setting(card: DatasetCard) -> Setting:
    return Setting.of(card, card.like or card.name, card.classes or 2, IPC, BACKBONE)


def _recipes(recipes: Mapping[str, Recipe], more: Mapping[str, Mapping[str, object]]) -> str:
    """What recipes set, a column for all datasets that have it alike; their sources; what the quick budget takes."""
    flats = {dataset: dict(flat(recipe.values)) for dataset, recipe in recipes.items()}
    keys = list(dict.fromkeys(key for values in flats.values() for key in values))
    columns = {
        dataset: (*(values[dataset] for values in more.values()), *(flats[dataset].get(key, "") for key in keys))
        for dataset in recipes
    }
    alike = _alike(columns)
    rows = list(zip((*more, *keys), *alike, strict=True))
    headings = (f"recipe for {BACKBONE}, ipc {IPC}", *("\n".join(names) for names in alike.values()))
    table = tabulate(rows, headings, disable_numparse=True) if rows else ""
    sources = _alike({dataset: recipe.source for dataset, recipe in recipes.items()})
    notes = _alike({dataset: "; ".join(recipe.taken()) for dataset, recipe in recipes.items() if recipe.quick})
    said = (("sources", sources), ("what the quick budget takes", notes))
    told = [section(title, [(", ".join(names), text) for text, names in each.items()]) for title, each in said]
    return joined([table, *told])


def _alike(of_each: Mapping[str, H]) -> dict[H, list[str]]:
    """Each different value, and who has it."""
    found: dict[H, list[str]] = {}
    for name, value in of_each.items():
        found.setdefault(value, []).append(name)
    return found


def _parameters(build: Any, resolution: int, classes: int) -> str:  # noqa: ANN401 - a Builder
    """Counted on the meta device, which holds shapes and no memory; some networks are not made for some sizes."""
    try:
        with torch.device("meta"):
            network = build(classes, resolution, 3)
    except (ValueError, RuntimeError, UsageError) as error:
        return f"none: {why(error)}"
    return f"{sum(parameter.numel() for parameter in network.parameters()):,}"


def _whereabouts(registry: Registry, name: str, card: DatasetCard, data_root: Path) -> str:
    try:
        found = find_source(registry, name, card, data_root)
        known_as(registry, card, len(found.source.classes))  # refuses a `like` that is none
    except UsageError as error:
        return str(error)
    return f"found as {found}"
