"""Squeezed teachers, kept as stages: trained here, or taken from torchvision with the weights it publishes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from torch import Tensor, nn

from bench import seeds
from bench.condensation import Task
from bench.errors import CorruptArtefact, RunFailure
from bench.labels import Combine, TeacherMode, TeacherRef
from bench.loops.checkpoints import SUFFIX as CHECKPOINT
from bench.progress import noted
from bench.recipes import RecipeBook
from bench.results.chance import is_no_better, largest_share
from bench.storage.shared.stages import Made, StageResult
from bench.storage.tensor_files import read_tensors
from bench.training import loop
from bench.training.committees import equal_norms as equal_norms
from bench.training.committees import in_mode as in_mode
from bench.training.committees import together as together
from bench.training.feeding import Feed
from bench.training.loop import TrainingJob
from bench.training.published import check_fits, check_order, downloaded, find_weights, start_from
from bench.training.published import check_weights as check_weights
from bench.training.recipes import TeacherRecipe, TrainingRecipe
from bench.training.supervision import HardSupervision
from bench.training.testing import accuracy

LONGEST = 300  # characters of what torch says of weights that do not fit: it names every tensor
RECIPES = RecipeBook.load(Path(__file__).with_name("teachers.toml"))
KIND = "teacher"


@dataclass(frozen=True)
class Teacher:
    """A network in evaluation mode, frozen, on the task's device; and where its weights are kept."""

    network: nn.Module
    ref: TeacherRef


def obtain(task: Task, recipe: TeacherRecipe, *, seed: int, backbone: str | None = None) -> Teacher:
    """A network with the weights that the recipe names, or trained by it (see `pretrained` and `squeeze`).

    Args:
        seed: decides the first weights and every view, where it is trained.
        backbone: the network; the task's own if None. A method that takes others names them in `Condenser.backbones`.
    """
    if recipe.weights:
        return pretrained(task, recipe.weights, backbone=backbone)
    return squeeze(task, recipe.training(), seed=seed, backbone=backbone, starts_from=recipe.starts_from)


def squeeze(
    task: Task, recipe: TrainingRecipe, *, seed: int, backbone: str | None = None, starts_from: str = ""
) -> Teacher:
    """Trains a network on the whole training split with hard labels, or finds the one that was (SRe2L's first step).

    Its test accuracy is in what it refers to (`TeacherRef.top1`) and in the stage's facts.

    Args:
        task: its dataset is trained on.
        recipe: how.
        seed: decides the first weights and every view.
        backbone: the network; the task's own if None.
        starts_from: weights that torchvision publishes, of which all but the classifier's are the first; "" for none.
    """
    name = backbone or task.backbone
    parameters = {"recipe": recipe.model_dump(mode="json"), "seed": seed, **_named(task, name)}
    published = find_weights(name, starts_from) if starts_from else None
    if published:
        parameters["starts_from"] = str(published)

    def make(folder: Path) -> Made:
        network = task.network(seeds.derive("init", seed), name)
        if published:
            start_from(task, network, published)
        job = on_real_images(task, recipe, seed, folder, "squeeze")
        trained = loop.train(task, network, job)
        try:
            return _made(task, trained, name)
        except RunFailure as error:
            raise RunFailure(f"squeeze: {error}") from error

    return _teacher(task, name, task.stage(KIND, loop.VERSION, parameters, make))


def pretrained(task: Task, weights: str, *, backbone: str | None = None) -> Teacher:
    """A teacher with weights that torchvision publishes, e.g. "IMAGENET1K_V1"; downloaded and checked on first use.

    Raises:
        UsageError: torchvision has no such weights or network, or they do not fit the dataset (ImageNet-1K's 1000
            classes by their WordNet ids, more than 64 pixels a side, three channels).
    """
    name = backbone or task.backbone
    check_fits(task.setting)
    check_order(task.dataset)
    published = find_weights(name, weights)

    def download(_: Path) -> nn.Module:
        network = task.network(0, name)
        for _step in task.pace.walk("published weights", 0, 1):
            network.load_state_dict(downloaded(published))
        return network

    return kept(task, {"torchvision": str(published)}, download, backbone=name)


def kept(
    task: Task, parameters: Mapping[str, Any], train: Callable[[Path], nn.Module], *, backbone: str | None = None
) -> Teacher:
    """A teacher of a making of your own, kept as a stage as the others are: `load_teacher` finds it.

    Args:
        parameters: all that decides its weights, seeds included (JSON values).
        train: makes the network, with checkpoints in the folder that it is given.
        backbone: what the network is; the task's own if None.
    """
    name = backbone or task.backbone

    def make(folder: Path) -> Made:
        return _made(task, train(folder), name)

    return _teacher(task, name, task.stage(KIND, loop.VERSION, {**parameters, **_named(task, name)}, make))


def _named(task: Task, backbone: str) -> dict[str, str | int]:
    """The network among what decides a stage; its version where it has another than the first, which was not said."""
    version = task.network_version(backbone)
    return {"backbone": backbone} | ({"network_version": version} if version != 1 else {})


def load_teacher(task: Task, ref: TeacherRef) -> nn.Module:
    """The network of a teacher that was kept, in evaluation mode and frozen: beside a set's images, or as a stage.

    Raises:
        RunFailure: its weights are neither there (never made here, deleted, or corrupt and set aside), or they are
            another network's.
    """
    if ref.file is not None:
        return _network(task, ref.backbone, beside_the_set(ref, ref.file))
    stage = task.stages.read(KIND, ref.stage)
    if stage is None:
        folder = task.stages.folder(KIND, ref.stage)
        raise RunFailure(f"the teacher's stage is missing: {folder}; run the method again to make it")
    task.used_stages[stage.hash] = stage
    return _network(task, ref.backbone, stage.tensors)


def load_teachers(
    task: Task,
    refs: Sequence[TeacherRef],
    mode: TeacherMode = "eval",
    combine: Combine = "mean",
    shares: Sequence[float] = (),
) -> nn.Module:
    """One network that labels as these teachers do together, each in this `mode`. Raises as `load_teacher`."""
    return together([in_mode(load_teacher(task, ref), mode) for ref in refs], combine, shares)


def beside_the_set(ref: TeacherRef, file: Path) -> Mapping[str, Tensor]:
    """The weights of a teacher that travels with a set. Raises RunFailure: they cannot be read, or are another's."""
    try:
        tensors, about = read_tensors(file)
    except (CorruptArtefact, FileNotFoundError) as error:
        raise RunFailure(f"the teacher of the set cannot be read: {error}") from error
    if about.get("backbone") != ref.backbone:
        raise RunFailure(f"{file} holds the weights of {about.get('backbone')}, the set's manifest says {ref.backbone}")
    return tensors


def on_real_images(task: Task, recipe: TrainingRecipe, seed: int, folder: Path, what: str) -> TrainingJob:
    """A training on the task's training split under hard labels, which continues from a checkpoint in `folder`.

    Args:
        what: the name shown beside the progress.
    """
    return TrainingJob(
        recipe=recipe,
        feed=Feed.of(task),
        supervision=HardSupervision(recipe.label_smoothing),
        view_seed=seeds.derive("views", seed),
        checkpoint=folder / f"{what}{CHECKPOINT}",
        what=what,
    )


def _made(task: Task, network: nn.Module, backbone: str) -> Made:
    test = task.dataset.test
    top1 = accuracy(network, test, task.dataset.normalisation, task)[0] if len(test) else None
    if top1 is not None:
        noted(task.progress, "last", f"teacher {top1:.2f} %")
    if top1 is not None and is_no_better(top1, len(test), largest_share(test.labels)):
        task.progress.warn(
            f"the {backbone} trained on real images has {top1:.1f} % test accuracy, no better than chance: "
            "what is made from it will say little"
        )
    tensors = network.state_dict()
    size = sum(tensor.nbytes for tensor in tensors.values())
    code = task.network_code(backbone)
    return Made(tensors, {"backbone": backbone, "top1": top1, "bytes": size, **({"code": code} if code else {})})


def _teacher(task: Task, backbone: str, stage: StageResult) -> Teacher:
    code = task.network_code(backbone)
    if stage.facts.get("code", code) != code:
        said = (
            f"the teacher is from before the plugin of backbone {backbone} was edited; where that changed the network, "
            "a higher version in its Offer has teachers of its own"
        )
        task.progress.warn(said)
    ref = TeacherRef(stage.hash, backbone, stage.facts["top1"], stage.facts["bytes"])
    return Teacher(_network(task, backbone, stage.tensors), ref)


def _network(task: Task, backbone: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    network = task.network(0, backbone)
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        _, *lines = str(error).strip().splitlines()  # the first is a heading
        said = shorten(lines[0] if lines else str(error), LONGEST, placeholder=" ...")  # as many keys as a network has
        raise RunFailure(f"the teacher's weights do not fit {backbone!r} for this dataset: {said}") from error
    return loop.place(network, task).eval().requires_grad_(False)
