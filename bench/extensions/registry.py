"""Finding plugins, refusing duplicates, listing the broken with their reason."""

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from bench import hookspecs
from bench.errors import UsageError, why
from bench.extensions import own
from bench.extensions.code import code_of_file, code_of_module, content_of
from bench.extensions.named import Neighbours, identity, load_file, remedy
from bench.extensions.rules import RuleOfPlugin
from bench.hookspecs import Offer, Rule
from bench.storage.names import NAME, VARIANT, check_name, unknown
from bench.version import __version__

GROUP = "bench.plugins"
OURS = "condensation-bench"  # the distribution whose plugins are the suite's own
KINDS = {
    "method": "bench_methods",
    "backbone": "bench_backbones",
    "dataset": "bench_datasets",
    "reader": "bench_readers",
    "protocol": "bench_protocols",
    "format": "bench_report_formats",
    "claims": "bench_claims",
    "speed table": "bench_speed_tables",
    "ladder": "bench_ladders",
    "table": "bench_published_tables",
    "executor": "bench_executors",
}


@dataclass(frozen=True)
class Registered:
    """An offer and the plugin it came from.

    `version` is that of the distribution, where it has one, and of a plugin in a file its content ("sha256:" and the
    first 12 hexadecimal digits). `code` is what its whole code is known by (`bench.extensions.code`); "" of the suite's
    own plugins, whose versions are kept by hand.
    """

    offer: Offer
    plugin: str
    version: str | None
    code: str = ""

    @property
    def foreign(self) -> bool:
        """Whether its plugin is a stranger's, and none of the suite's own."""
        return bool(self.code)


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be imported or whose hook raised."""

    plugin: str
    reason: str


class Registry:
    """Everything that plugins offer, by kind and name.

    Args:
        extra: what `--plugin` names: importable modules or paths of Python files.

    Raises:
        UsageError: an extra plugin that does not exist, fails to import or offers what is none, or two plugins with one
            name or one offer.
    """

    def __init__(self, extra: Sequence[str] = ()) -> None:
        self.manager = pluggy.PluginManager("bench")
        self.manager.add_hookspecs(hookspecs)
        self.extra = tuple(extra)
        self.broken: list[Broken] = []
        self._versions: dict[str, str | None] = {}
        self._code: dict[str, str] = {}
        self._neighbours = Neighbours()
        self._asked_for: dict[str, str] = {}  # by the plugin's name, as the user typed it
        self._register("bench", own)
        self._versions["bench"] = __version__
        for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
            self._add(point)
        for named in {identity(named): named for named in extra}.values():
            self._add_named(named)
        self._rules: dict[str, list[RuleOfPlugin]] = {kind: [] for kind in KINDS}
        self._offers = {kind: self._collect(kind, hook) for kind, hook in KINDS.items()}
        for kind in KINDS:
            self._rules[kind] = [rule for rule in self._rules[kind] if self._is_sound(rule)]

    def _add(self, point: EntryPoint) -> None:
        try:
            self._register(point.name, point.load())
        except (UsageError, KeyboardInterrupt):
            raise
        except BaseException as error:  # sys.exit too: no plugin ends a command that does not need it
            self.broken.append(Broken(point.name, _reason(error)))
            return
        self._versions[point.name] = point.dist.version if point.dist else None
        if point.dist is None or point.dist.name != OURS:
            self._code[point.name] = code_of_module(point.module)

    def _add_named(self, named: str) -> None:
        """A plugin named on the command line. Unlike an installed one it was asked for, so its failure is an error."""
        try:
            module = self._of_file(Path(named)) if named.endswith(".py") else importlib.import_module(named)
            self._asked_for[module.__name__] = named
            if not self._register(module.__name__, module):
                return
            if named.endswith(".py"):
                self._versions[module.__name__] = content_of(Path(named))
                self._code[module.__name__] = code_of_file(Path(named))
            else:
                self._code[module.__name__] = code_of_module(module.__name__)
        except (UsageError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise UsageError(f"plugin {named!r} cannot be loaded: {_reason(error)}{remedy(named, error)}") from error

    def _of_file(self, path: Path) -> ModuleType:
        if path.is_file():
            self._neighbours.add(path)
        return load_file(path)

    def _register(self, name: str, plugin: object) -> bool:
        """Whether it is a new one: installed and named as well it is the same plugin, not a second one."""
        if self.manager.is_registered(plugin):
            return False
        if self.manager.has_plugin(name):
            other = _origin(self.manager.get_plugin(name))
            raise UsageError(f"two plugins are called {name!r}: {other} and {_origin(plugin)}")
        self.manager.register(plugin, name)
        try:
            self._check_hooks(plugin)
        except AttributeError:
            self.manager.unregister(plugin)
            raise
        return True

    def _check_hooks(self, plugin: object) -> None:
        """pluggy lets a hook of a misspelt name pass in silence; its author would look for the fault elsewhere."""
        callers = self.manager.get_hookcallers(plugin) or []
        if not callers:
            raise AttributeError("it implements no hook (see bench.hookspecs; mark each function with @hookimpl)")
        known = [name for name in dir(hookspecs) if name.startswith("bench_")]
        for caller in callers:
            if not caller.has_spec():
                raise AttributeError(str(unknown("hook", caller.name, known)))

    def _collect(self, kind: str, hook: str) -> dict[str, Registered]:
        found: dict[str, Registered] = {}
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            plugin = implementation.plugin_name
            for offer in self._offers_of(plugin, implementation.function):
                if isinstance(offer, Rule):
                    self._rules[kind].append(RuleOfPlugin(kind, plugin, offer))
                    continue
                if offer.name in found:
                    raise _offered_twice(kind, offer.name, found[offer.name].plugin, plugin)
                found[offer.name] = self._registered(offer, plugin)
        return dict(sorted(found.items()))

    def _registered(self, offer: Offer, plugin: str) -> Registered:
        return Registered(offer, plugin, self._versions.get(plugin), self._code.get(plugin, ""))

    def _is_sound(self, rule: RuleOfPlugin) -> bool:
        """Whether a rule can tell what other plugins' offers are; one that cannot is listed among the broken.

        Raises:
            UsageError: it offers what another plugin lists, or cannot tell, and its plugin was asked for.
        """
        others = [each for each in self.registered(rule.kind) if each.plugin != rule.plugin]
        try:
            both = next((each for each in others if rule.offers(each.offer.name)), None)
        except UsageError as error:
            if named := self._asked_for.get(rule.plugin):
                raise UsageError(f"plugin {named!r} cannot be loaded: {error}") from error
            self.broken.append(Broken(rule.plugin, str(error)))
            return False
        if both is not None:
            raise _offered_twice(rule.kind, both.offer.name, both.plugin, rule.plugin)
        return True

    def _offers_of(self, plugin: str, function: Callable[[], Iterable[Offer | Rule]]) -> list[Offer | Rule]:
        try:
            offers = list(function())
            if stray := [offer for offer in offers if not isinstance(offer, Offer | Rule)]:
                raise TypeError(f"hooks return Offer objects, not {type(stray[0]).__name__}")
            for offer in offers:
                if isinstance(offer, Offer):
                    check_name(offer.name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if named := self._asked_for.get(plugin):
                raise UsageError(f"plugin {named!r} cannot be loaded: {_reason(error)}") from error
            self.broken.append(Broken(plugin, _reason(error)))
            return []
        return offers

    def names(self, kind: str) -> list[str]:
        """The names offered of a kind (a key of `KINDS`) one by one, sorted; `has` tells of those by a rule, too."""
        return list(self._offers[kind])

    def has(self, kind: str, name: str) -> bool:
        """Whether `find` finds something. Raises UsageError: a rule cannot tell."""
        return self._found(kind, _split(kind, name)[0]) is not None

    def registered(self, kind: str) -> list[Registered]:
        """All offers of a kind with the plugins they came from, sorted by name, without those by a rule."""
        return list(self._offers[kind].values())

    def rules(self, kind: str) -> list[Rule]:
        """The rules by which more of a kind is had."""
        return [each.rule for each in self._rules[kind]]

    def find(self, kind: str, name: str) -> Registered:
        """The offer of that kind and name; of a protocol's variant ("hard+no-flip") that of the protocol.

        Raises:
            UsageError: there is none (the message names the nearest one, and plugins that could not be loaded), two
                plugins have it by a rule, or a rule cannot tell.
        """
        name = _split(kind, name)[0]
        if found := self._found(kind, name):
            return found
        meant = self.respelt(kind, name) or self._summed_up_as(kind, name)
        error = unknown(kind, name, self._offers[kind], meant=meant)
        if self.broken:
            notes = "; ".join(f"{broken.plugin}: {broken.reason}" for broken in self.broken)
            raise UsageError(f"{error} (plugins that could not be loaded: {notes})")
        raise error

    def _found(self, kind: str, name: str) -> Registered | None:
        """What has that very name: what is listed, or else had by a rule; one that fails matters where none has it."""
        if listed := self._offers[kind].get(name):
            return listed
        read, failure = self._read(kind, name)
        by_rule = [each for each in read if each.offer.name == name]
        if failure is not None and not by_rule:
            raise failure
        if plugins := [each.plugin for each in by_rule[1:] if each.plugin != by_rule[0].plugin]:
            raise _offered_twice(kind, name, by_rule[0].plugin, plugins[0])
        return by_rule[0] if by_rule else None

    def _read(self, kind: str, name: str) -> tuple[list[Registered], UsageError | None]:
        """What the rules make of a name, which may be another than the thing's own; and why the first failed."""
        found, failure = list[Registered](), None
        for rule in self._rules[kind]:
            try:
                if offer := rule.read(name):
                    found.append(self._registered(offer, rule.plugin))
            except UsageError as error:
                failure = failure or error
        return found, failure

    def respelt(self, kind: str, name: str) -> str | None:
        """The name that a rule has for what it reads in this one."""
        return next((read.offer.name for read in self._read(kind, name)[0]), None)

    def _summed_up_as(self, kind: str, word: str) -> str | None:
        """The one offer whose summary holds a word, as that of the format `table` holds "text"."""
        words = {name: re.findall(r"\w+", found.offer.summary.lower()) for name, found in self._offers[kind].items()}
        holding = [name for name, each in words.items() if word.lower() in each]
        return holding[0] if len(holding) == 1 else None

    def load(self, kind: str, name: str) -> Any:  # noqa: ANN401 - whatever the plugin offers
        """The thing itself, imported now; a protocol in the variant that the name asks for ("hard+no-flip").

        Raises:
            UsageError: unknown, or its import fails (the message says why), or it has no such variant.
        """
        registered, (name, variant) = self.find(kind, name), _split(kind, name)
        try:
            found = registered.offer.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, UsageError) else _reason(error)
            reason += remedy(self._asked_for.get(registered.plugin, ""), error)
            raise UsageError(f"{kind} {name!r} of plugin {registered.plugin!r} is unavailable: {reason}") from error
        if variant is None:
            return found
        if not NAME.fullmatch(variant):
            raise UsageError(f"{name}{VARIANT}{variant}: {variant!r} is no name of a variant")
        return found.variant(variant)


def _split(kind: str, name: str) -> tuple[str, str | None]:
    """A name, and the variant that it asks for: protocols have variants, nothing else has."""
    base, plus, variant = name.partition(VARIANT)
    return (base, variant) if kind == "protocol" and plus else (name, None)


def _offered_twice(kind: str, name: str, one: str, other: str) -> UsageError:
    return UsageError(f"two plugins offer the {kind} {name!r}: {one!r} and {other!r}")


def _reason(error: BaseException) -> str:
    name, said = type(error).__name__, why(error)
    return name if said == name else f"{name}: {said}"


def _origin(plugin: object) -> str:
    return str(getattr(plugin, "__file__", None) or plugin)
