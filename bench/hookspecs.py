"""What a plugin may offer: the table of contents of the extension surface.

A plugin is a module. It implements any of these hooks with `@hookimpl` and is found through the entry-point group
`bench.plugins` or named on the command line with `--plugin MODULE_OR_FILE`. Built-in plugins use the same door.

An offer names a thing and says where it is; heavy imports wait until the thing is used, so keep torch out of the
module that holds the hooks where you can, and give the target as "package.module:attribute".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("bench")
hookimpl = pluggy.HookimplMarker("bench")


@dataclass(frozen=True)
class Offer:
    """One thing a plugin offers.

    Attributes:
        name: what users type: lower-case letters, digits, hyphens and dots. A plugin with another name is not loaded.
        target: the thing itself, a "package.module:attribute" that is imported when used, or a path (dataset cards).
        summary: one line for `bench list` and `bench show`.
        traits: what the thing has, e.g. {"batchnorm"} for a backbone.
        needs: the traits a method needs of its backbone.
        version: of a backbone: raise it when the network of its name becomes another, so that teachers and trainings of
            the one before are not taken for its own. (Methods, protocols and readers have a `version` of their own.)

    Raises:
        TypeError: traits or needs that are no set of texts; the plugin is then not loaded.
    """

    name: str
    target: object
    summary: str
    traits: frozenset[str] = field(default=frozenset())
    needs: frozenset[str] = field(default=frozenset())
    version: int = 1

    def __post_init__(self) -> None:
        """A text is a sequence of letters, which are no traits."""
        for what in ("traits", "needs"):
            given = getattr(self, what)
            if isinstance(given, str) or not all(isinstance(each, str) for each in given):
                example = given if isinstance(given, str) else "batchnorm"
                raise TypeError(f"{what} of the offer {self.name!r} are a set: {what}=frozenset({{{example!r}}})")
            object.__setattr__(self, what, frozenset(given))

    def load(self) -> Any:  # noqa: ANN401 - whatever the plugin offers
        """The thing itself. Raises whatever its import raises."""
        if not isinstance(self.target, str):
            return self.target
        module, colon, attribute = self.target.partition(":")
        if not colon:
            said = f"{self.target!r} is no 'package.module:attribute'; a path is given as a pathlib.Path"
            raise TypeError(f"its target is a text, and {said}")
        return getattr(import_module(module), attribute)


@dataclass(frozen=True)
class Rule:
    """Things that are had by a rule in their names, beside those that are offered one by one: a ConvNet of any width.

    Attributes:
        names: the rule, as `bench list` shows it: "convnetD-wN".
        summary: what it says, in one sentence or two.
        read: what a name means: its offer, or None where the name does not follow the rule. A thing has one name, its
            offer's; a name that is read and is another is answered with that.
    """

    names: str
    summary: str
    read: Callable[[str], Offer | None]


@hookspec
def bench_methods() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Condensation methods. Targets are subclasses of `bench.condensation.Condenser`."""


@hookspec
def bench_backbones() -> Sequence[Offer | Rule]:  # type: ignore[empty-body]
    """Networks. Targets are callables `build(classes, resolution, channels) -> torch.nn.Module`."""


@hookspec
def bench_datasets() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Source datasets. Targets are paths of card files (TOML, see `bench.data.datasets.DatasetCard`)."""


@hookspec
def bench_readers() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Layouts in which a dataset can lie on disk. Targets are subclasses of `bench.data.datasets.Reader`."""


@hookspec
def bench_protocols() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Ways of turning a condensed set into scores. Targets are `bench.evaluation.Protocol` instances."""


@hookspec
def bench_report_formats() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Forms of a comparison table. Targets are `bench.reporting.ReportFormat` instances."""


@hookspec
def bench_claims() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Published numbers. Targets are paths of CSV files (see `bench.results.claims`)."""


@hookspec
def bench_speed_tables() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Named tables for `bench speed --table`. Targets are paths of TOML files (see `bench.speed.tables`)."""


@hookspec
def bench_ladders() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Named ladders for `bench run --ladder`. Targets are paths of TOML files (see `bench.planning.ladders`)."""


@hookspec
def bench_published_tables() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Tables of papers for `bench reproduce`. Targets are paths of TOML files (see `bench.results.published`)."""


@hookspec
def bench_executors() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Who does the pieces of runs, for `bench run --executor`.

    Targets are callables that make `bench.running.executors.workers.Workers` of a `Hiring`. The trait "elsewhere" says
    that other machines do them: then what is not on this one may be planned for.
    """


@hookspec
def bench_run_started(run: str, spec: Mapping[str, Any]) -> None:
    """A run begins. `run` is its name, `spec` the content of its spec.json. For trackers; called in the parent.

    Another process may turn out to have it: then this one tells nothing more of it.
    """


@hookspec
def bench_progress(run: str, what: str, done: int, total: int) -> None:
    """Work advanced: `done` of `total` steps of `what` ("squeeze", "recover", ...). At most a few times a second."""


@hookspec
def bench_run_finished(run: str, record: Mapping[str, Any], folder: str) -> None:
    """A run ended, well or not. `record` is the content of its record.json, `folder` where that lies."""
