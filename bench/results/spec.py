"""RunSpec: what a run is, and its name. Frozen, complete (no default is left open) and hashed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from bench.data.cards import is_path
from bench.errors import understood
from bench.hardware.choices import Compile, Precision
from bench.recipes import Budget, value_at
from bench.storage.artefacts import shaped
from bench.storage.files import digest

ALL_IS_NAMED = ConfigDict(extra="forbid")  # what a newer program adds to a spec may decide what a run is


@dataclass(frozen=True)
class MethodChoice:
    """A method with every hyper-parameter resolved.

    `recipe` and `source` say where the values came from, `quick` what the quick budget took of them ("key: a -> b");
    `changed` holds what the user changed, by key: the recipe's value at the budget (None where it was not kept) and his
    own; `engine` is the config's own, where the method has such a knob; `differs` says what stays different from the
    paper. Only name, version and config, without what `aside` names of it, decide the result.
    """

    __pydantic_config__: ClassVar = ALL_IS_NAMED
    name: str
    version: int
    config: dict[str, Any]
    recipe: str
    source: str
    quick: tuple[str, ...]
    changed: dict[str, Annotated[list[Any], Field(min_length=2, max_length=2)]]
    plugin: str
    plugin_version: str | None
    engine: str | None = None
    differs: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()

    def identity(self) -> dict[str, Any]:
        """What of it decides the result."""
        deciding = {key: value for key, value in self.config.items() if key not in self.aside}
        return {"name": self.name, "version": self.version, "config": deciding}


def _as_now(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A method's choice with what older ones leave out, or say otherwise."""
    changed = choice["changed"]
    if not isinstance(changed, Mapping):  # once the keys alone were kept
        changed = {key: [None, value_at(choice["config"], key)] for key in changed}
    return {"quick": [], "differs": [], **choice, "changed": changed}


@dataclass(frozen=True)
class Origin:
    """Where a set that was not made here came from, by its manifest. Nothing of it decides a result: its content does.

    Attributes:
        name: of the set.
        method, backbone, iterations, budget: what made it, as far as the manifest says.
        protocol: what it was made for: the meaning of "paper".
        class_order: how its labels were understood (`bench.interchange.class_order.ClassOrder.how`).
        images: how many there are in all, and `images_per_class` the fewest and the most of a class, where classes have
            different numbers; None where each has as many as the run's ipc.
    """

    __pydantic_config__: ClassVar = ALL_IS_NAMED
    name: str
    method: str
    protocol: str
    class_order: str
    backbone: str | None = None
    iterations: int | None = None
    budget: Budget | None = None
    images: int | None = None
    images_per_class: tuple[int, int] | None = None


@dataclass(frozen=True)
class RunSpec:
    """One synthesis: everything that decides the condensed set, and nothing else.

    Attributes:
        dataset: name of the card; `card` is what finds it (the name, or the path of a user's own card).
        classes: the class ids in use, in order; `all_classes` is how many the dataset has.
        split: how the dataset's test split was cut out of train, in words; the card's hash covers it.
        dataset_source: the layout that the dataset was read from; None in older specs.
        source_differs: in what its images are not those of the card's other sources; the card's hash covers it.
        device: "cpu" or "cuda".
        machine: the GPU's own name, or "cpu": what one machine began another does not go on with.
        precision: the arithmetic of labelling and of evaluations, which a ranking compares.
        synthesis_precision: that of what comes before, prepare and units; None where it is the same.
        compile: whether loops compile their steps ("auto": where it pays).
        labeller: for a control, the method whose labels the images get; None means the method's own.
        known_as: the name under which recipes and claims know the dataset, or None; what follows from it is in the
            method's config, so it is not hashed.
        origin: of a set that was not made here, or of the one whose labels a control gets; not part of the hash.
        images, images_per_class: of a set of all training images, as of `Origin`; the card's hash covers them.
    """

    __pydantic_config__: ClassVar = ALL_IS_NAMED
    method: MethodChoice
    dataset: str
    card: str
    card_hash: str
    classes: tuple[str, ...]
    all_classes: int
    ipc: int
    backbone: str
    seed: int
    budget: Budget
    device: str
    machine: str
    precision: Precision
    labeller: MethodChoice | None = None
    compile: Compile = "auto"
    known_as: str | None = None
    synthesis_precision: Precision | None = None
    split: str | None = None
    dataset_source: str | None = None
    source_differs: str | None = None
    origin: Origin | None = None
    images: int | None = None
    images_per_class: tuple[int, int] | None = None

    @property
    def made_in(self) -> Precision:
        """The arithmetic of prepare and units."""
        return self.synthesis_precision or self.precision

    @property
    def brought(self) -> Origin | None:
        """Where the images came from, if they were not made here; a control's were."""
        return None if self.labeller else self.origin

    @property
    def maker(self) -> tuple[str, str | None]:
        """The method and the backbone that made the images, here or elsewhere (None where that is not known)."""
        return (self.brought.method, self.brought.backbone) if self.brought else (self.method.name, self.backbone)

    @cached_property
    def hash(self) -> str:
        """Content hash of what decides the condensed set and its costs."""
        return digest(
            {
                "method": self.method.identity(),
                "dataset": [self.dataset, self.card_hash, list(self.classes)],
                "ipc": self.ipc,
                "backbone": self.backbone,
                "seed": self.seed,
                "budget": self.budget,
                "made_on": self._made_on,
                "labeller": self.labeller.identity() if self.labeller else None,
            }
        )

    @property
    def _made_on(self) -> list[str]:
        """Without what is left at its default, so that earlier runs keep their names."""
        compiled = [] if self.compile == "auto" else [self.compile]
        made_in = [] if self.made_in == self.precision else [f"synthesis in {self.made_in}"]
        return [self.machine, self.precision, *compiled, *made_in]

    @cached_property
    def name(self) -> str:
        """The run folder's name: what it is, and the first digits of its hash."""
        parts = [self.method.name, self.dataset, f"ipc{self.ipc}", self.backbone, f"s{self.seed}", self.hash[:6]]
        return "-".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The content of spec.json."""
        return {**asdict(self), "hash": self.hash, "name": self.name}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RunSpec":
        """The inverse of `to_json`. Older specs do not say `known_as`: one found by its name is known as it.

        Raises:
            CorruptArtefact: a part is missing, unknown or of another type.
        """
        fields = {name: value for name, value in dict(content).items() if name not in ("hash", "name")}
        with understood("the spec"):
            fields.setdefault("known_as", None if is_path(fields["card"]) else fields["dataset"])
            for each in ("method", "labeller"):
                fields[each] = fields[each] and _as_now(fields[each])
        spec: RunSpec = shaped(cls, fields)
        return spec


@dataclass(frozen=True)
class EvaluationSpec:
    """One protocol on one evaluation backbone, over `seeds` trainings.

    `asked` is the protocol as the user named it ("paper"), `protocol` the one it resolved to.
    """

    asked: str
    protocol: str
    version: int
    backbone: str
    seeds: int

    @property
    def key(self) -> str:
        """Names the evaluation's files."""
        return f"{self.protocol}-{self.backbone}"

    @property
    def protocol_id(self) -> str:
        """The resolved protocol with its version; scores under different ids never stand in one ranking."""
        return f"{self.protocol}@{self.version}"


@dataclass(frozen=True)
class Job:
    """A run to do: its spec, its evaluations, and the run that is its control (None for a control itself)."""

    spec: RunSpec
    evaluations: tuple[EvaluationSpec, ...]
    controls: dict[str, str]

    def measurements(self) -> list[list[EvaluationSpec]]:
        """Its evaluations, those together that are one under several names."""
        found: dict[str, list[EvaluationSpec]] = {}
        for each in self.evaluations:
            found.setdefault(each.key, []).append(each)
        return list(found.values())

    def to_json(self) -> dict[str, Any]:
        """For the child process."""
        evaluations = [asdict(evaluation) for evaluation in self.evaluations]
        return {"spec": self.spec.to_json(), "evaluations": evaluations, "controls": self.controls}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Job":
        """The inverse of `to_json`."""
        evaluations = tuple(EvaluationSpec(**evaluation) for evaluation in content["evaluations"])
        return cls(RunSpec.from_json(content["spec"]), evaluations, dict(content["controls"]))


def joined(first: Job | None, second: Job) -> Job:
    """One job with the evaluations of both, each once."""
    if first is None:
        return second
    evaluations = tuple(dict.fromkeys([*first.evaluations, *second.evaluations]))
    return Job(first.spec, evaluations, {**first.controls, **second.controls})
