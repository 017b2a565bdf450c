"""From what the user named to the jobs to do: the grid, checked before anything is written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.condensation import Condenser
from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.evaluation import PAPER, Protocol
from bench.extensions.answers import answers_of, held
from bench.extensions.registry import Registry
from bench.hardware.choices import Precision
from bench.hardware.devices import AUTO, device_name, plain_precision
from bench.labels import KINDS
from bench.planning import cells, remarks
from bench.planning.all_images import Extent, all_images
from bench.planning.checks import check_backbone, check_real_images
from bench.planning.configuring import build, configure, own_protocol, share_changes
from bench.planning.contracts import misspelt, wrong_protocol
from bench.planning.inventory import Chosen, Inventory
from bench.planning.request import Request, backbones_of, computed_on, inventory_of, methods_of
from bench.progress import Progress
from bench.recipes import Setting
from bench.results.answers import has_answers
from bench.results.fields import CONTROL
from bench.results.spec import EvaluationSpec, Job, MethodChoice, RunSpec, joined
from bench.storage.names import VARIANT, unknown
from bench.training.variants import temperature_of


class Planner:
    """Makes jobs from a request. `remarks` are what it chose for the user, a line each.

    Args:
        runs: the folder of runs; what lies there finished needs no look at its networks.
        inventory: what planners share that plan one command.
    """

    def __init__(
        self,
        registry: Registry,
        request: Request,
        progress: Progress,
        runs: Path | None = None,
        inventory: Inventory | None = None,
    ) -> None:
        methods = tuple(dict.fromkeys(name for asked in request.methods for name in methods_of(registry, asked)))
        self.registry, self.request = registry, replace(request, methods=methods)
        self.device, self.precision = computed_on(request)
        self.machine = request.machine or device_name(self.device)
        self._inventory, self._runs = inventory or inventory_of(registry, request, progress), runs
        self.remarks = self._inventory.remarks
        asked = [registry.find("method", name) for name in methods]  # refuses what nobody offers
        needs = {each.offer.name: each.offer.needs for each in (*asked, *registry.registered("method"))}
        self._backbones = backbones_of(methods, request.backbones, needs)
        self._changes = share_changes(registry, methods, request.changes)
        self.remarks.extend(said for name in methods for said in misspelt(registry, "method", name))
        self._taking_all = {name for name in methods if registry.load("method", name).takes_all}

    def jobs(self) -> list[Job]:
        """Every job in order, each control before the runs that are compared with it.

        Raises:
            UsageError: anything that cannot be right, in one line.
        """
        self._check_names()
        found: dict[str, Job] = {}
        for name in self.request.datasets:
            chosen, of_it, asked = self._inventory.chosen(name, self.request.classes), dict[str, Job](), list[Job]()
            dataset = chosen.dataset
            for spec in self._specs(chosen, self._ipcs(dataset)):
                own, *controls = self._with_control(spec, dataset)
                asked.append(own)
                for job in (own, *controls):
                    of_it[job.spec.name] = joined(of_it.get(job.spec.name), job)
            self._check_networks(of_it.values(), dataset)
            if self.request.protocols == (PAPER,):
                self.remarks.extend(remarks.of_rankings(dataset, self.request.methods, asked))
            found |= of_it
        self._inventory.keep()
        return list(found.values())

    def _check_names(self) -> None:
        for backbone in self._every_backbone():
            self.registry.find("backbone", backbone)
        for protocol in self.request.protocols:
            self._check_protocol(protocol)
        for method, backbones in self._backbones.items():
            for backbone in backbones:
                self._check_backbone(method, backbone)

    def _check_protocol(self, asked: str) -> None:
        origin = self.request.origin
        name = origin.protocol if origin and asked == PAPER else asked
        try:
            self.registry.find("protocol", name)
        except UsageError as error:
            theirs = origin is not None and name == origin.protocol
            hint = " (the set's manifest names it: load its plugin by --plugin, or name another by --protocol)"
            raise UsageError(f"{error}{hint if theirs else ''}") from error
        if asked != PAPER:
            self.remarks.extend(misspelt(self.registry, "protocol", name))

    def _check_backbone(self, method: str, backbone: str) -> None:
        try:
            check_backbone(self.registry, method, backbone)
        except UsageError as error:
            raise UsageError(f"{error}{self._instead(method)}") from error

    def _instead(self, method: str) -> str:
        """How a method, or all that need the same, can have a backbone of their own beside others."""
        needs = {name: self.registry.find("method", name).offer.needs for name in self._backbones}
        if len(needs) == 1:
            return ""
        shared = [trait for trait in sorted(needs[method]) if sum(trait in each for each in needs.values()) > 1]
        if shared:
            return f" (for all that need it: --backbone {shared[0]}=NAME)"
        return f" (for it alone: --backbone {method}=NAME)"

    def _every_backbone(self) -> list[str]:
        named = [name for names in self._backbones.values() for name in names]
        return list(dict.fromkeys([*named, *self.request.eval_backbones]))

    def _check_networks(self, jobs: Iterable[Job], dataset: Dataset) -> None:
        """Looks at the networks of what is left to do."""
        networks = self._inventory.networks
        for job in jobs:
            if self._runs and has_answers(self._runs, job):
                continue
            method, setting = job.spec.method, self._setting(dataset, job.spec.ipc, job.spec.backbone)
            for backbone in dict.fromkeys([job.spec.backbone, *(each.backbone for each in job.evaluations)]):
                networks.check(backbone, dataset)
            with answers_of(self.registry, "method", method.name):
                networks.check_named(method.name, build(self.registry, method).backbones(setting), dataset)

    def _ipcs(self, dataset: Dataset) -> tuple[int, ...]:
        """Those that the user named, or the papers' own; any where all methods take all images."""
        ipcs, methods = self.request.ipcs, [name for name in self.request.methods if name not in self._taking_all]
        if not ipcs and not methods:
            return (cells.USUAL,)
        if not ipcs:
            setting = self._setting(dataset, cells.USUAL, self._every_backbone()[0])
            ipc, why = cells.usual_ipc(self.registry, methods, setting)
            self.remarks.append(f"{dataset.name} at {ipc} images per class, {why}; --ipc says otherwise")
            ipcs = (ipc,)
        if (least := min(ipcs)) < 1:
            raise UsageError(f"--ipc must be at least 1, not {least}")
        return ipcs

    def _specs(self, chosen: Chosen, ipcs: Sequence[int]) -> list[RunSpec]:
        return [
            self._spec(chosen, method, backbone, extent)
            for ipc in ipcs
            for method in self.request.methods
            for backbone in self._backbones[method]
            for extent in self._extents(method, chosen.dataset, ipc)
        ]

    def _extents(self, method: str, dataset: Dataset, ipc: int) -> list[Extent]:
        """One a seed; of a method that takes all images one."""
        if method not in self._taking_all:
            return [Extent(ipc, seed) for seed in self.request.seeds]
        every = all_images(dataset, method)
        self.remarks.append(remarks.of_all_images(dataset, method))
        return [every]

    def _setting(self, dataset: Dataset, ipc: int, backbone: str) -> Setting:
        return dataset.setting(ipc, backbone, self.request.budget)

    def _spec(self, chosen: Chosen, method: str, backbone: str, extent: Extent) -> RunSpec:
        dataset = chosen.dataset
        setting = self._setting(dataset, extent.ipc, backbone)
        choice = configure(self.registry, method, setting, self._changes[method])
        with answers_of(self.registry, "method", method):
            self._check_real_images(choice, setting, dataset)
        return RunSpec(
            method=choice,
            dataset=dataset.name,
            card=chosen.card,
            card_hash=dataset.card_hash,
            classes=dataset.classes,
            all_classes=chosen.all_classes,
            split=dataset.split,
            dataset_source=dataset.source,
            source_differs=dataset.source_differs,
            backbone=backbone,
            budget=self.request.budget,
            device=self.device.type,
            machine=self.machine,
            precision=self.precision,
            compile=self.request.compile,
            known_as=dataset.known_as,
            synthesis_precision=self._synthesis_precision(method),
            origin=self.request.origin,
            **vars(extent),
        )

    def _synthesis_precision(self, name: str) -> Precision | None:
        """That of a method, where it is not the run's."""
        method: type[Condenser[Any]] = self.registry.load("method", name)
        if not (method.plain_arithmetic and self.request.precision == AUTO):
            return None
        plain = plain_precision(self.device)
        return None if plain == self.precision else plain

    def _check_real_images(self, choice: MethodChoice, setting: Setting, dataset: Dataset) -> None:
        """Refuses more images per class than real ones, where the method or the control needs so many."""
        needed = build(self.registry, choice).real_images(setting)
        check_real_images(dataset, needed, f"{choice.name} needs {needed} real images a class for --ipc {setting.ipc}")
        if self._has_control(choice.name):
            control = f"the control draws {setting.ipc} real images a class (--no-control leaves it out)"
            check_real_images(dataset, setting.ipc, control)

    def _has_control(self, method: str) -> bool:
        """Real images at random are no control of themselves, nor of all that there are."""
        return self.request.control and method != CONTROL and method not in self._taking_all

    def _with_control(self, spec: RunSpec, dataset: Dataset) -> list[Job]:
        setting = self._setting(dataset, spec.ipc, spec.backbone)
        evaluations = [each for asked in self.request.protocols for each in self._evaluations(spec, setting, asked)]
        if spec.method.name in self._taking_all:
            return list(self._of_all_images(spec, evaluations))
        if not self._has_control(spec.method.name):
            return [Job(spec, tuple(evaluations), {})]
        jobs, controls = [], {}
        for evaluation in evaluations:
            control = self._control(spec, setting, evaluation)
            controls[evaluation.key] = control.name
            jobs.append(Job(control, (evaluation,), {}))
        return [Job(spec, tuple(evaluations), controls), *jobs]

    def _of_all_images(self, spec: RunSpec, evaluations: Iterable[EvaluationSpec]) -> Iterator[Job]:
        """A job an evaluation: but as a protocol's teacher the backbone plays no part, and one run serves them all."""
        first = replace(spec, backbone=self._backbones[spec.method.name][0])
        for each in evaluations:
            protocol: Protocol = self.registry.load("protocol", each.protocol)
            yield Job(spec if protocol.labels == "teacher" else first, (each,), {})

    def _evaluations(self, spec: RunSpec, setting: Setting, asked: str) -> Iterator[EvaluationSpec]:
        """By one protocol: on the networks that the user named, or on the protocol's own."""
        name, (base, plus, variant) = asked, asked.partition(VARIANT)
        if base == PAPER:
            name = f"{self._own_protocol(spec, setting)}{plus}{variant}"
        with answers_of(self.registry, "protocol", name):
            protocol: Protocol = self.registry.load("protocol", name)
            held(self.registry, "protocol", name, wrong_protocol(name, protocol))
            own, version = protocol.labels == "own", protocol.version
            if plus:
                protocol.recipe(setting)  # refuses a variant that would change nothing
            networks = self.request.eval_backbones or (protocol.student(setting),)
        if plus and own:
            self._check_labels(spec.method, name, variant)
        for backbone in networks:
            yield EvaluationSpec(asked, name, version, backbone, self.request.eval_seeds)

    def _own_protocol(self, spec: RunSpec, setting: Setting) -> str:
        """What "paper" stands for. Raises UsageError: nobody offers it, as no user could know whose word it is."""
        name = own_protocol(self.registry, spec.method.name, setting, spec.origin)
        if not self.registry.has("protocol", name) and spec.origin is None:
            whose = f"method {spec.method.name!r} of plugin {spec.method.plugin!r} names it as its paper's"
            raise UsageError(f"{unknown('protocol', name, self.registry.names('protocol'))} ({whose})")
        return name

    def _check_labels(self, method: MethodChoice, name: str, variant: str) -> None:
        """Refuses a variant that a method's own labels cannot have."""
        with answers_of(self.registry, "method", method.name):
            kind = build(self.registry, method).label_kind
            labels = KINDS[kind] if kind is not None else None
        if labels and temperature_of(variant) and not labels.has_temperature:
            raise UsageError(
                f"{method.name} makes {kind} labels, which have no temperature: {name} cannot train on them"
            )
        if labels and labels.of_views and not temperature_of(variant):
            raise UsageError(f"{method.name} stores its labels for the views of its protocol; {name} shows others")

    def _control(self, spec: RunSpec, setting: Setting, evaluation: EvaluationSpec) -> RunSpec:
        """Random real images, labelled as the method's are where the protocol trains on a set's own labels.

        Under hard labels nothing of it depends on the backbone or the arithmetic that a method condenses with, nor on
        the network that is trained, so one serves them all. What own labels are made with is one stage for both.
        """
        protocol: Protocol = self.registry.load("protocol", evaluation.protocol)
        labeller = spec.method if protocol.labels == "own" else None
        backbone = self._first_network if protocol.labels == "hard" else spec.backbone
        made_in, origin = (spec.synthesis_precision, spec.origin) if labeller else (None, None)
        choice = self._control_choice(setting)
        images = replace(spec, method=choice, labeller=labeller, backbone=backbone)
        return replace(images, synthesis_precision=made_in, origin=origin)

    @property
    def _first_network(self) -> str:
        """That the first set is trained on."""
        return (self.request.eval_backbones or self._backbones[self.request.methods[0]])[0]

    def _control_choice(self, setting: Setting) -> MethodChoice:
        return configure(self.registry, CONTROL, setting, ())
