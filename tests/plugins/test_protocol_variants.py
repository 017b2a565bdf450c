"""A protocol without flips, without augmentation or at another temperature is another, which differs in that alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benching import Bench
from safetensors.torch import load_file

from bench.condensation import Images
from bench.conformance.tiny import tiny_task
from bench.data.datasets import Normalisation
from bench.errors import RunFailure, UsageError
from bench.evaluation import Protocol, Scores
from bench.extensions.registry import Registry
from bench.labels import HardLabels, Labels, SoftLabels, StoredLabels, TeacherRef
from bench.labels.forms import TopK
from bench.recipes import RecipeBook, Setting
from bench.results import rows
from bench.results.claims import load
from bench.sets.condensed import CondensedSet
from bench.training.protocol import VIEW_FIELDS, TrainingProtocol, _softened
from bench.training.recipes import TrainingRecipe
from bench.training.soft_labels.targets import soft_loss
from bench.training.views import Views, apply

REGISTRY = Registry()
SETTINGS = [Setting("cifar10", 32, 3, 10, 10, name) for name in ("convnet3", "convnet3-bn", "bn-vit-tiny")]
NAMES = [name for name in REGISTRY.names("protocol") if REGISTRY.load("protocol", name).recipe(SETTINGS[0])]
BUSY: dict[str, Any] = {
    **{"source": "busy", "epochs": 2, "batch_size": 6, "lr": 0.01, "weight_decay": 0.0, "label_smoothing": 0.2},
    **{"crop": "resized", "flip": True, "dsa": "color_flip_rotate", "randaugment": 9, "erasing": 0.5},
    **{"mix": "cutmix", "shuffle_patches": 2, "warmup_epochs": 1},
}
PLUGIN = """
from bench.hookspecs import Offer, hookimpl
from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol

TABLE = {"source": "short", "epochs": 2, "batch_size": 8, "lr": 0.01, "weight_decay": 0.0, "crop": "resized"}
TEACHER = {"epochs": 1, "batch_size": 64, "lr": 0.01, "weight_decay": 0.0, "flip": True}
HARD = RecipeBook({"recipes": {"small": {**TABLE, "flip": True, "dsa": "flip"}}})
SOFT = RecipeBook({"recipes": {"small": {**TABLE, "temperature": 4.0, "teacher": TEACHER}}})


@hookimpl
def bench_protocols():
    return [
        Offer("short", TrainingProtocol("short", "hard", HARD), "two epochs"),
        Offer("taught", TrainingProtocol("taught", "teacher", SOFT), "two epochs of soft labels"),
    ]
"""


def busy(labels: Any = "hard", **more: Any) -> TrainingProtocol:  # noqa: ANN401 - fields of a table
    return TrainingProtocol("busy", labels, RecipeBook({"recipes": {"small": {**BUSY, **more}}}))


def training(protocol: TrainingProtocol, setting: Setting = SETTINGS[0]) -> TrainingRecipe:
    return protocol.plan(setting).training


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.backbone)
def test_a_variant_differs_from_its_protocol_in_augmentation_alone(name: str, setting: Setting) -> None:
    whole = training(REGISTRY.load("protocol", name), setting).model_dump()
    for variant, may_differ in (
        ("no-flip", {"flip", "dsa", "augmax"}),
        ("no-augmentation", {"crop", "flip", "dsa", "augmax", "randaugment", "erasing", "mix", "shuffle_patches"}),
    ):
        protocol = REGISTRY.load("protocol", f"{name}+{variant}")
        varied = training(protocol, setting).model_dump()
        assert {key for key in whole if varied.get(key, "") != whole[key]} <= may_differ
        families = [*varied["dsa"].split("_"), *varied.get("augmax", "").split("_")]
        assert varied["flip"] is False and "flip" not in families
        assert (protocol.name, protocol.version) == (f"{name}+{variant}", REGISTRY.load("protocol", name).version)


def test_without_flips_the_other_families_stay() -> None:
    assert training(busy().variant("no-flip")).dsa == "color_rotate"
    assert training(busy(dsa="flip").variant("no-flip")).dsa == ""
    assert training(busy().variant("no-flip")).crop == "resized"


def test_without_augmentation_every_view_is_the_image_and_smoothing_stays() -> None:
    recipe = training(busy().variant("no-augmentation"))
    images = torch.rand(6, 3, 32, 32)
    for protocol, unchanged in ((busy().variant("no-augmentation"), True), (busy(), False)):
        views = Views(training(protocol), 3, len(images), 32)
        view = views.at(0, 0)
        seen = apply(view, images[view.indices], torch.zeros(3, 1, 1), Normalisation((0.5,) * 3, (0.5,) * 3))
        assert torch.equal(seen, images[view.indices]) == unchanged
    assert recipe.label_smoothing == 0.2
    assert {name for name in VIEW_FIELDS if getattr(recipe, name) != getattr(training(busy()), name)} == {
        *("crop", "flip", "dsa", "randaugment", "erasing", "mix", "shuffle_patches")
    }


def test_a_teacher_mirrors_as_its_student_and_is_else_left_alone() -> None:
    teacher = {"epochs": 1, "batch_size": 4, "lr": 0.1, "weight_decay": 0.0, "flip": True, "crop": "padded"}
    protocol = busy("teacher", temperature=4.0, teacher=teacher)
    setting = SETTINGS[0]
    assert protocol.variant("no-flip").plan(setting).teacher == {**teacher, "flip": False, "dsa": ""}
    assert protocol.variant("no-augmentation").plan(setting).teacher == teacher
    published = busy("teacher", temperature=4.0, teacher={"weights": "IMAGENET1K_V1"})
    assert published.variant("no-flip").plan(setting).teacher == {"weights": "IMAGENET1K_V1"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "hard+no-flp",
            "unknown variant of hard 'no-flp'; did you mean 'no-flip'? (nothing is mirrored, neither for the student "
            "nor for the protocol's own teacher)",
        ),
        ("hard+", "hard+: '' is no name of a variant"),
        ("hard+no-flip+no-flip", "hard+no-flip+no-flip: 'no-flip+no-flip' is no name of a variant"),
        (
            "paper+no-flip",
            "'paper' stands for the method's own protocol (`bench show METHOD`); name that one's variant, "
            "PROTOCOL+no-flip",
        ),
    ],
)
def test_what_is_no_variant_is_one_line(name: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        REGISTRY.load("protocol", name)
    assert str(refused.value) == said


def test_a_protocol_of_another_kind_has_none() -> None:
    class Fixed(Protocol):
        name, labels = "fixed", "hard"

        def evaluate(self, condensed: Any, task: Any, backbone: str, seed: int) -> Scores:  # noqa: ANN401
            raise NotImplementedError

    with pytest.raises(UsageError, match="protocol 'fixed' has no variants"):
        Fixed().variant("no-flip")


def test_stored_labels_belong_to_other_views(tmp_path: Path) -> None:
    task = tiny_task(tmp_path)
    images = Images(torch.zeros(6, 3, 16, 16, dtype=torch.uint8), torch.arange(3).repeat(2))
    plain = {**BUSY, "crop": "none", "flip": False, "dsa": "", "randaugment": 0, "erasing": 0.0, "mix": "none"}
    recipe = TrainingRecipe(**{key: value for key, value in plain.items() if key != "source"})
    labels = StoredLabels(
        TeacherRef("0" * 32, "convnet3-bn", None, 0), 4.0, 0, recipe.model_dump(mode="json"), torch.zeros(2, 6, 3)
    )
    assert isinstance(task.dataset.normalisation, Normalisation)
    condensed = CondensedSet(images, labels, task.dataset.classes, task.dataset.normalisation)
    with pytest.raises(RunFailure, match=r"stored for the views of its protocol; busy\+no-augmentation shows others"):
        busy("own").variant("no-augmentation").evaluate(condensed, task, "convnet3-bn", 0)


def test_runs_keep_variants_apart_and_no_claim_is_tied_to_one(tmp_path: Path) -> None:
    """Keys of files, rows, the word "paper" and a teacher that variants share."""
    (tmp_path / "mine.py").write_text(PLUGIN, encoding="utf-8")
    bench = Bench(tmp_path, plugins=(str(tmp_path / "mine.py"),))
    asked = ("short", "short+no-flip", "taught", "taught+no-augmentation", "taught+no-flip")
    (job,) = bench.jobs("random", protocols=asked, classes=None, ipcs=(1,))
    made = {row["protocol"]: row for row in rows.rows([bench.run(job)])}
    assert {name: row["protocol_id"] for name, row in made.items()} == {name: f"{name}@1" for name in asked}
    assert {row["status"] for row in made.values()} == {"done"}
    files = {path.name for path in (bench.runs / job.spec.name / "evaluations").glob("*.json")}
    assert files == {f"{name}-convnet3-w32-bn-0.json" for name in asked}
    teachers = [path for path in (bench.cache / "stages").glob("teacher-*") if path.is_dir()]
    assert len(teachers) == 2, "one without flips, one for all else"
    (paper,) = bench.jobs("random", protocols=("paper+no-flip",))
    assert [(each.asked, each.protocol) for each in paper.evaluations] == [("paper+no-flip", "dc+no-flip")]
    cell = {"method": "dm", "known_as": "cifar10", "classes": 10, "ipc": 10, "iterations": None, "budget": "paper"}
    cell |= {"backbone": "convnet3", "eval_backbone": "convnet3", "protocol_id": "dsa@1", "label_kind": "hard"}
    claims = load(REGISTRY)
    assert claims.find(cell) is not None
    assert claims.find({**cell, "protocol_id": "dsa+no-flip@1"}) is None
    assert replace(job.evaluations[0], protocol="a+b").key == "a+b-convnet3-w32-bn"


def soft(labels: Labels, temperature: float, **recipe: Any) -> float:  # noqa: ANN401 - fields of a table
    """What the protocol "busy" at a temperature makes of two views whose teacher's logits are those of `LOGITS`."""
    protocol = busy("own", **{"mix": "none", **recipe}).variant(f"t{temperature:g}")
    plan = protocol.plan(SETTINGS[0])
    softened = _softened(labels, float(plan.temperature or 0))
    assert isinstance(softened, StoredLabels)
    loss = soft_loss(plan.training, softened.temperature)
    return float(loss(STUDENT, softened.read(0, slice(0, 2), torch.device("cpu")).float(), torch.arange(2)))


STUDENT = torch.tensor([[10.0, -20.0], [2.5, -30.0]])
LOGITS = torch.tensor([[[4.0, 10.0], [-10.0, 20.0]]])


def stored(**more: Any) -> StoredLabels:  # noqa: ANN401 - fields of the labels
    return StoredLabels(TeacherRef("0" * 32, "convnet3-bn", None, 0), 20.0, 0, {}, LOGITS.half(), **more)


@pytest.mark.parametrize("temperature", [1, 5, 20])
@pytest.mark.parametrize("squared", [False, True])
def test_labels_are_compared_at_the_temperature_of_the_variant(temperature: int, squared: bool) -> None:
    aims, guesses = (each.double().numpy() / temperature for each in (LOGITS[0], STUDENT))
    logs = [each - np.log(np.exp(each).sum(1, keepdims=True)) for each in (aims, guesses)]
    divergence = (np.exp(logs[0]) * (logs[0] - logs[1])).sum(1).mean()
    expected = divergence * (temperature**2 if squared else 1)
    assert soft(stored(), temperature, t_squared=squared) == pytest.approx(expected, rel=1e-3)


def test_a_temperature_changes_nothing_else() -> None:
    whole, varied = busy("own"), busy("own").variant("t5")
    assert training(whole) == training(varied)
    assert (whole.plan(SETTINGS[0]).temperature, varied.plan(SETTINGS[0]).temperature) == (None, 5.0)
    assert varied.name == "busy+t5"
    teacher = {"epochs": 1, "batch_size": 4, "lr": 0.1, "weight_decay": 0.0}
    plan = busy("teacher", temperature=4.0, teacher=teacher).variant("t9").plan(SETTINGS[0])
    assert (plan.temperature, plan.teacher) == (9.0, teacher)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (HardLabels(), "hard labels have no temperature"),
        (SoftLabels(torch.full((2, 2), 0.5)), "soft labels have no temperature"),
        (stored(form=TopK(1, 2)), "labels stored as top-k are of temperature 20 alone"),
    ],
)
def test_labels_without_a_temperature_are_refused(labels: Labels, said: str) -> None:
    with pytest.raises(RunFailure, match=said):
        soft(labels, 5)


def test_a_protocol_that_compares_logits_as_they_are_refuses_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="compares logits as they are"):
        busy("own", soft_loss="mse").variant("t5").plan(SETTINGS[0])
    with pytest.raises(UsageError, match="there is no t5 of a protocol that compares logits as they are"):
        Bench(tmp_path).jobs("edc", protocols=("paper+t5",), classes=None)


@pytest.mark.parametrize(
    ("method", "protocol", "changes", "kind"),
    [
        ("dm", "own+t5", (), "hard"),
        ("mtt", "paper+t5", (), "hard"),
        ("tesla", "paper+t5", ("labels=expert",), "soft"),
        ("datm", "paper+t5", (), "soft"),
        ("frepo", "paper+t5", (), "regression"),
    ],
)
def test_labels_that_will_have_no_temperature_are_refused_before_anything_is_made(
    tmp_path: Path, method: str, protocol: str, changes: tuple[str, ...], kind: str
) -> None:
    with pytest.raises(UsageError, match=rf"{method} makes {kind} labels, which have no temperature: .*\+t5 cannot"):
        Bench(tmp_path).jobs(method, protocols=(protocol,), changes=changes, classes=None)


@pytest.mark.parametrize("name", NAMES)
def test_other_epochs_are_so_many_under_any_budget_and_nothing_else_changes(name: str) -> None:
    whole, varied = REGISTRY.load("protocol", name), REGISTRY.load("protocol", f"{name}+e7")
    published = training(whole)
    for budget in ("paper", "quick"):
        setting = replace(SETTINGS[0], budget=budget)
        had, has = training(whole, setting), training(varied, setting)
        assert (has.epochs, has.warmup_epochs) == (7, round(published.warmup_epochs * 7 / published.epochs))
        assert had == has.model_copy(update={"epochs": had.epochs, "warmup_epochs": had.warmup_epochs})
        assert whole.plan(setting).teacher == varied.plan(setting).teacher
    taken = varied.note(replace(SETTINGS[0], budget="quick")).split("; ")
    assert not [each for each in taken if each.startswith(("epochs", "warmup"))]


@pytest.mark.parametrize(
    "name", ["hard+t5", "dsa+t5", "soft+t0", "soft+t5.5", "soft+t", "soft+t999999", "hard+e0", "hard+eN"]
)
def test_what_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"unknown variant of|is no name of a variant"):
        REGISTRY.load("protocol", name)


def test_one_set_is_trained_on_at_several_temperatures(tmp_path: Path) -> None:
    """Stored labels too: their views are the same."""
    bench = Bench(tmp_path)
    changes = ("relabel.labels=stored", "relabel.temperature=4", "squeeze.epochs=1", "recover.iterations=1")
    asked = ("paper", "paper+t4", "paper+t1")
    (job,) = bench.jobs("sre2l", protocols=asked, classes=None, ipcs=(1,), changes=changes)
    made = {row["protocol"]: row for row in rows.rows([bench.run(job)])}
    assert {name: (row["status"], row["reason"]) for name, row in made.items()} == dict.fromkeys(asked, ("done", None))
    folder = bench.runs / job.spec.name / "evaluations"
    files = [folder / f"{each.protocol}-convnet3-w32-bn-0.curves.safetensors" for each in job.evaluations]
    losses = [load_file(path)["train_loss"].tolist() for path in files]
    assert losses[0] == losses[1] != losses[2]
