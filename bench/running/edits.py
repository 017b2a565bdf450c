"""Whose code made what is kept: what of it was edited since, or is another plugin's by now.

The code of a plugin is not part of what a run is: its author says by `version` when it would give other results. So
what is done stays, and is said to be from before; but no mean is taken over scores of two codes.
"""

from collections.abc import Iterable, Iterator, Mapping

from bench.extensions.named import FILE_PREFIX
from bench.extensions.registry import Registered, Registry
from bench.results.outcomes import Environment, Evaluation, Provenance
from bench.results.records import Record
from bench.results.spec import EvaluationSpec, Job, RunSpec

Offers = Mapping[str, Registered]  # by kind and name, as "protocol easiest"
Kept = Environment | Evaluation | Provenance


def of_set(spec: RunSpec, registry: Registry) -> Offers:
    """What makes a run's set: its method, who labels it, and the network that it condenses with."""
    methods = [spec.method.name, *([spec.labeller.name] if spec.labeller else [])]
    named = [*(("method", name) for name in methods), ("backbone", spec.backbone)]
    return {f"{kind} {name}": registry.find(kind, name) for kind, name in named if registry.has(kind, name)}


def of_scores(each: EvaluationSpec, registry: Registry) -> Offers:
    """What makes the scores of an evaluation: its protocol and the network that it trains."""
    named = (("protocol", each.protocol), ("backbone", each.backbone))
    return {f"{kind} {name}": registry.find(kind, name) for kind, name in named}


def of_all(spec: RunSpec, evaluations: Iterable[EvaluationSpec], registry: Registry) -> Offers:
    """What makes a run and scores it."""
    found = dict(of_set(spec, registry))
    for each in evaluations:
        found |= of_scores(each, registry)
    return found


def code(offers: Offers) -> dict[str, str]:
    """For the record, of each offer that is not the suite's: its plugin, and what that one's code is known by."""
    return {name: f"{found.plugin} {found.code}" for name, found in offers.items() if found.code}


def edits(kept: Kept | None, now: Offers) -> list[str]:
    """What of the code has changed since, as "the protocol easiest was edited"; nothing where that is not known.

    Records from before they had `code` know of plugins that are files alone.
    """
    if kept is None:
        return []
    changed = _edits if kept.code is not None else _edits_of_files
    return [f"the {name} {said}" for name, said in changed(kept, now)]


def _edits(kept: Kept, now: Offers) -> Iterator[tuple[str, str]]:
    for name, found in now.items():
        plugin, _, then = (kept.code or {}).get(name, "").rpartition(" ")
        if then == found.code:
            continue
        same = plugin == found.plugin
        yield name, "was edited" if same else f"moved from {called(plugin)} to {called(found.plugin)}"


def _edits_of_files(kept: Kept, now: Offers) -> Iterator[tuple[str, str]]:
    if "plugins" not in kept.model_fields_set:
        return
    for name, found in now.items():
        if found.plugin.startswith(FILE_PREFIX) and kept.plugins.get(found.plugin) != found.version:
            there = found.plugin in kept.plugins
            yield name, "was edited" if there else f"moved to {called(found.plugin)}"


def called(plugin: str) -> str:
    """A plugin in messages."""
    return plugin.removeprefix(FILE_PREFIX) or "the suite"


def edits_of_set(record: Record, registry: Registry) -> list[str]:
    """What of the code has changed since a finished set was made."""
    spec, kept = record.spec, record.environment
    offers = of_set(spec, registry)
    if kept.code is None:  # then networks were not kept
        offers = {name: found for name, found in offers.items() if name.startswith("method ")}
    return edits(kept, offers) if record.status == "done" else []


def edits_of_scores(record: Record, each: EvaluationSpec, registry: Registry) -> list[str]:
    """What of the code has changed since the scores of an evaluation were made, be it some of them."""
    now, scores = of_scores(each, registry), record.evaluations[each.key].scores
    return list(dict.fromkeys(said for score in scores for said in edits(score.made, now)))


def said_of_edits(record: Record, job: Job, registry: Registry) -> tuple[dict[str, list[str]], list[str]]:
    """What each evaluation asked for is to be doubted for, by key, and what to tell whoever asked.

    One file that holds the method and its protocol is told of once, for the set.
    """
    of_the_set = _before("its images are", edits_of_set(record, registry))
    keys = {each.key: each for each in job.evaluations}
    of_theirs = {key: _before("its scores are", edits_of_scores(record, each, registry)) for key, each in keys.items()}
    name, remedy = record.spec.name, f"or take the run away: bench clean {record.spec.name} --yes"
    told = [f"{name}: {said}; if it would give other images now, raise its `version`, {remedy}" for said in of_the_set]
    if not told:
        ways = "raise the protocol's `version` or rename the network"
        told = [
            f"{name}, {key}: {said}; if it would give others now, {ways}, {remedy}"
            for key, all_said in of_theirs.items()
            for said in all_said
        ]
    return {key: [*of_the_set, *of_its_own] for key, of_its_own in of_theirs.items()}, told


def _before(what: str, found: list[str]) -> list[str]:
    return [f"{what} from before {' and '.join(found)}"] if found else []
