"""The shared protocols: exactly the recipes that their names promise, at both budgets."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from bench.errors import UsageError
from bench.evaluation import PAPER, Protocol
from bench.extensions.registry import Registry
from bench.recipes import NOT_KNOWN, Budget, Setting
from bench.training.protocol import VIEW_FIELDS, Plan, TrainingProtocol
from bench.training.recipes import TrainingRecipe

REGISTRY = Registry()
DOCS = Path(__file__).parents[2] / "docs" / "protocols.md"
SETTING = Setting("tiny-imagenet", 64, 3, 10, 10, "convnet4-bn")
SETTINGS = [
    SETTING,
    replace(SETTING, dataset="digits", resolution=8, channels=1),
    replace(SETTING, dataset="imagenet-1k", resolution=224, classes=1000),
    replace(SETTING, dataset="photographs", resolution=128),
]


def load(name: str) -> TrainingProtocol:
    protocol: TrainingProtocol = REGISTRY.load("protocol", name)
    return protocol


def test_offers_say_what_they_are() -> None:
    offered = {registered.offer.name for registered in REGISTRY.registered("protocol")}
    assert {"hard", "soft", PAPER} <= offered
    for name in ("hard", "soft", PAPER):
        protocol = REGISTRY.load("protocol", name)
        assert isinstance(protocol, Protocol) and protocol.name == name and protocol.version == 1


def test_paper_is_a_word_and_says_so() -> None:
    with pytest.raises(UsageError, match="stands for the method's own protocol"):
        REGISTRY.load("protocol", PAPER).evaluate(None, None, "convnet3", 0)


def test_hard_is_eval_dsa() -> None:
    """The evaluation of DSA's release."""
    plan = load("hard").plan(SETTING)
    expected = TrainingRecipe(
        epochs=1000,
        batch_size=256,
        optimizer="sgd",
        lr=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="step",
        dsa="color_crop_cutout_flip_scale_rotate",
    )
    assert plan == Plan(expected, None, None, None) and load("hard").labels == "hard"


def test_soft_is_eval_rethink_soft_with_srel2s_squeeze() -> None:
    """The Rethinking-DC benchmark's; its teacher is SRe2L's squeezed network for Tiny-ImageNet."""
    plan = load("soft").plan(SETTING)
    assert plan.training == TrainingRecipe(
        epochs=300,
        batch_size=128,
        optimizer="adamw",
        lr=1e-3,
        weight_decay=0.01,
        decay_all=False,
        schedule="cosine",
        crop="resized",
        crop_scale=(0.08, 1.0),
        flip=True,
        mix="cutmix",
        mix_alpha=1.0,
        t_squared=False,
    )
    assert plan.temperature == 20.0 and load("soft").labels == "teacher"
    assert plan.teacher is not None and TrainingRecipe(**plan.teacher) == TrainingRecipe(
        epochs=50,
        batch_size=256,
        optimizer="sgd",
        lr=0.2,
        momentum=0.9,
        weight_decay=1e-4,
        schedule="cosine",
        warmup_epochs=5,
        warmup_factor=0.01,
        crop="resized",
        flip=True,
    )


def test_rd3_is_one_recipe_whose_teacher_is_a_resnet18_whatever_is_trained() -> None:
    """The unified protocol of RD3: Adam, 400 epochs of 50; a cosine for ResNet-18, half of one for others."""
    protocol = load("rd3")
    for backbone, zeta in (("resnet18", 1.0), ("convnet4-bn", 2.0), ("resnet50", 2.0)):
        plan = protocol.plan(replace(SETTING, backbone=backbone))
        expected = TrainingRecipe(
            epochs=400,
            batch_size=50,
            optimizer="adamw",
            lr=1e-3,
            weight_decay=0.0,
            schedule="cosine",
            zeta=zeta,
            flip=True,
            mix="cutmix",
        )
        assert plan.training == expected and plan.temperature == 20.0
        assert plan.teacher is not None and plan.teacher["backbone"] == "resnet18"
        assert protocol.teacher_backbone(replace(SETTING, backbone=backbone)) == "resnet18"
    assert load("soft").teacher_backbone(SETTING) == "convnet4-bn"
    assert load("soft").teacher_backbone(SETTINGS[2]) == "resnet18", "torchvision's"
    views = protocol.plan(SETTINGS[2]).training
    assert (views.crop, views.crop_scale, views.shuffle_patches) == ("resized", (0.5, 1.0), 2)
    large = protocol.plan(SETTINGS[2]).teacher
    assert large is not None and (large["backbone"], large["weights"]) == ("resnet18", "IMAGENET1K_V1")
    assert not protocol.plan(SETTINGS[1]).training.flip and protocol.labels == "teacher"


@pytest.mark.parametrize("name", ["hard", "soft"])
def test_one_recipe_for_all_differs_over_datasets_in_the_flip_alone(name: str) -> None:
    protocol = load(name)
    plans = [protocol.plan(setting).training.model_dump() for setting in SETTINGS]
    for plan in plans:
        plan["flip"] = plan["dsa"] = None
    assert all(plan == plans[0] for plan in plans)


def test_no_resolution_that_it_was_not_written_for_is_tested_at_a_number_of_pixels() -> None:
    """A test at 72 pixels is of the 64 of Tiny-ImageNet: of 32 enlarged so, the centre would be a fifth."""
    protocols = [found for name in REGISTRY.names("protocol") if isinstance(found := load(name), TrainingProtocol)]
    assert {"rded", "delt"} <= {protocol.name for protocol in protocols}
    for resolution in (16, 28, 32, 48, 64, 128, 224):
        setting = replace(SETTING, dataset=NOT_KNOWN, resolution=resolution)
        assert {protocol.name: protocol.plan(setting).test_resize for protocol in protocols} == dict.fromkeys(
            [protocol.name for protocol in protocols]
        )


def documented(plan: Plan, field: str, *, soft: bool) -> str:
    """A hyper-parameter as the table in docs/protocols.md shows it: a dash where it decides nothing."""
    recipe = plan.training
    idle = {
        "momentum": recipe.optimizer != "sgd",
        "betas": recipe.optimizer != "adamw",
        "sam_adaptive": not recipe.sam_rho,
        "gsam_alpha": not recipe.sam_rho,
        "warmup_factor": not recipe.warmup_epochs,
        "zeta": "cosine" not in recipe.schedule,
        "milestones": recipe.schedule != "multistep",
        "milestone_factor": recipe.schedule != "multistep",
        "crop_scale": recipe.crop != "resized",
        "crop_ratio": recipe.crop != "resized",
        "pad": recipe.crop != "padded",
        "dsa": not recipe.dsa,
        "augmax": not recipe.augmax,
        "floor": recipe.schedule != "cosine",
        "dsa_reading": not recipe.dsa,
        "mix_alpha": recipe.mix == "none",
        "mixup_alpha": recipe.mix != "switch",
        "mix_probability": recipe.mix == "none",
        "label_smoothing": soft,
        "randaugment_policy": not recipe.randaugment,
        "t_squared": not soft,
        "soft_loss": not soft,
        "hard_weight": not soft,
        "ema_buffers": recipe.ema is None,
        "temperature": plan.temperature is None,
    }
    if idle.get(field, False):
        return "–"
    return str(plan.temperature if field == "temperature" else getattr(recipe, field))


def test_the_documented_table_is_the_recipes() -> None:
    hard, soft = load("hard").plan(SETTING), load("soft").plan(SETTING)
    assert soft.teacher is not None
    teacher = Plan.of(soft.teacher)
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    for field in (*TrainingRecipe.model_fields, "temperature"):
        cells = [
            documented(hard, field, soft=False),
            documented(soft, field, soft=True),
            documented(teacher, field, soft=False),
        ]
        assert f"| `{field}` | {' | '.join(cells)} |" in lines


def test_the_documented_quick_budget_is_the_recipes() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for words, setting in (("up to 64 pixels", SETTING), ("up to 64 pixels", SETTINGS[1]), ("above", SETTINGS[3])):
        cells = []
        for name in ("hard", "soft"):
            full, quick = (load(name).plan(replace(setting, budget=budget)) for budget in get_args(Budget))
            cells.append(f"{quick.training.epochs} of {full.training.epochs}")
            if full.teacher and quick.teacher:
                cells.append(f"{quick.teacher['epochs']} of {full.teacher['epochs']}")
        assert f"| {words} | {' | '.join(cells)} |" in text


def test_the_documented_example_is_a_working_plugin(tmp_path: Path) -> None:
    text = DOCS.read_text(encoding="utf-8")
    code = text.split("<!-- example: longer.py -->\n```python\n")[1].split("```")[0]
    (tmp_path / "longer.py").write_text(code, encoding="utf-8")
    protocol = Registry([str(tmp_path / "longer.py")]).load("protocol", "idc-constant")
    quick = replace(SETTING, budget="quick")
    assert protocol.plan(SETTING).training.batch_size == 64 and protocol.plan(quick).training.epochs == 100


@pytest.mark.parametrize("network", ["deit-tiny", "bn-vit-tiny"])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.dataset)
@pytest.mark.parametrize("name", ["hard", "soft"])
def test_transformers_have_adamw_and_a_warm_up_and_the_same_views(name: str, setting: Setting, network: str) -> None:
    plain, plan = (load(name).plan(replace(setting, backbone=backbone)) for backbone in ("resnet18", network))
    assert plan.training.optimizer == "adamw" and plan.training.warmup_epochs
    for field in VIEW_FIELDS:
        assert getattr(plan.training, field) == getattr(plain.training, field)
    if plan.teacher is not None and "weights" not in plan.teacher:
        assert TrainingRecipe(**plan.teacher).optimizer == "adamw"
    assert load(name).recipe(replace(setting, backbone=network)).source.startswith("ours: ")
