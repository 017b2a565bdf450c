"""From recipe, budget and --set to a resolved configuration."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from benching import Bench

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning.configuring import configure, keys_of, share_changes
from bench.recipes import RecipeBook, Setting, merge, set_value_at
from bench.results.spec import MethodChoice, RunSpec

BOOK = RecipeBook(
    {
        "recipes": {
            "digits": {
                "source": "ours",
                "recover": {"iterations": 1000, "lr": 0.1},
                "quick": {"recover.iterations": 0.1},
                "backbones": {"resnet50": {"recover": {"lr": 0.2}}},
            },
            "small": {"source": "s", "recover": {"iterations": 5}, "quick": {"recover.iterations": 0.01}},
            "large": {"source": "l"},
        }
    }
)


def setting(dataset: str = "digits", resolution: int = 8, backbone: str = "resnet18") -> Setting:
    return Setting(dataset, resolution, 3, 10, 1, backbone, "quick")


def test_a_recipe_is_picked_by_dataset_then_by_size() -> None:
    assert BOOK.pick(setting()).name == "digits"
    assert BOOK.pick(setting("mine")).name == "small"
    assert BOOK.pick(setting("mine", 224)).name == "large"


def test_a_backbone_may_differ_and_the_rest_stays() -> None:
    values = BOOK.pick(setting(backbone="resnet50")).at("paper")
    assert values == {"recover": {"iterations": 1000, "lr": 0.2}}


def test_the_quick_budget_scales_what_the_recipe_states_and_never_to_nothing() -> None:
    assert BOOK.pick(setting()).at("quick")["recover"] == {"iterations": 100, "lr": 0.1}
    assert BOOK.pick(setting("mine")).at("quick")["recover"] == {"iterations": 1}


def test_resolving_does_not_change_the_book() -> None:
    set_value_at(BOOK.pick(setting()).at("quick"), "recover.lr", 9.0)
    assert BOOK.pick(setting()).values["recover"]["lr"] == 0.1
    assert merge({"a": {"b": 1}}, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


TINY = Setting("tiny-imagenet", 64, 3, 200, 50, "resnet18", "paper")


def test_what_the_user_sets_wins_over_the_recipe(registry: Registry) -> None:
    choice = configure(registry, "sre2l", TINY, ["recover.iterations=7", "relabel.labels=stored"])
    assert choice.config["recover"]["iterations"] == 7
    assert choice.config["relabel"]["labels"] == "stored"
    assert choice.changed == {"recover.iterations": [4000, 7], "relabel.labels": ["online", "stored"]}


def test_a_key_set_to_what_it_is_anyway_is_no_change(registry: Registry) -> None:
    asked = ["recover.iterations=400", "relabel.temperature=20", "recover.lr=0.1"]
    choice = configure(registry, "sre2l", Setting("tiny-imagenet", 64, 3, 200, 50, "resnet18", "quick"), asked)
    assert choice.changed == {} and "recover.iterations 4000 -> 400" in choice.quick


def test_where_a_set_lies_is_no_change_of_a_recipe(registry: Registry) -> None:
    where = ['path="x"', 'content="y"', 'made_by="z"', 'pixels="float32"']
    assert configure(registry, "imported", TINY, where).changed == {}


def test_where_a_set_lies_names_no_run_and_what_it_holds_does(registry: Registry) -> None:
    def identity(path: str, content: str) -> dict[str, object]:
        return configure(registry, "imported", TINY, [f'path="{path}"', f'content="{content}"']).identity()

    assert identity("/here/set", "a") == identity("/there/set", "a") != identity("/here/set", "b")


def read(choice: dict[str, Any], bench: Bench) -> MethodChoice:
    """A choice as it stands in a spec."""
    (job,) = bench.jobs("random")
    return RunSpec.from_json({**job.spec.to_json(), "method": choice}).method


def test_a_choice_from_before_something_was_left_aside_keeps_its_name(registry: Registry, bench: Bench) -> None:
    choice = asdict(configure(registry, "imported", TINY, ['path="x"', 'content="y"']))
    assert choice.pop("aside") == ("lacks", "path")
    assert read(choice, bench).identity()["config"]["path"] == "x"


def test_a_choice_that_kept_the_keys_alone_is_read(registry: Registry, bench: Bench) -> None:
    choice = configure(registry, "sre2l", TINY, ["recover.iterations=7"])
    old = {**asdict(choice), "changed": ["recover.iterations"]}
    assert read(old, bench).changed == {"recover.iterations": [None, 7]}


def test_what_the_quick_budget_takes_is_said(registry: Registry) -> None:
    choice = configure(registry, "sre2l", Setting("tiny-imagenet", 64, 3, 200, 50, "resnet18", "quick"), [])
    taken = dict(note.split(" ", 1) for note in choice.quick)
    assert taken["recover.iterations"].endswith(f"-> {choice.config['recover']['iterations']}")


def test_what_the_user_set_is_a_second_step_after_what_was_taken(registry: Registry) -> None:
    setting_ = Setting("tiny-imagenet", 64, 3, 200, 50, "resnet18", "quick")
    choice = configure(registry, "sre2l", setting_, ["recover.iterations=4000"])
    assert choice.config["recover"]["iterations"] == 4000
    assert choice.changed == {"recover.iterations": [400, 4000]}
    assert "recover.iterations 4000 -> 400" in choice.quick


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("recover.iteratons=5", "unknown --set key 'recover.iteratons'; did you mean 'recover.iterations'"),
        ("recover.iterations", "KEY=VALUE"),
        ("sre2:recover.lr=1", "--set sre2:recover.lr: unknown method 'sre2'; did you mean 'sre2l'"),
        ("sre2l:recover.l=1", "unknown --set key of sre2l 'recover.l'; did you mean 'recover.lr'"),
        ("cda:recover.lr=1", "--set cda:recover.lr: cda is not among the methods here"),
    ],
)
def test_a_wrong_key_names_the_nearest(registry: Registry, change: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        share_changes(registry, ["sre2l"], [change])


@pytest.mark.parametrize("given", ["alle", "0"])
def test_a_value_that_may_be_of_several_types_names_them_all(registry: Registry, given: str) -> None:
    with pytest.raises(UsageError, match=r"^method 'datm': batch_size: Input should be .* or 'all', not "):
        configure(registry, "datm", Setting("digits", 8, 1, 10, 1, "convnet3", "quick"), [f"batch_size={given}"])


def test_a_method_without_hyper_parameters_takes_no_key(registry: Registry) -> None:
    with pytest.raises(UsageError, match=r"^--set lr: random takes no hyper-parameters$"):
        share_changes(registry, ["random"], ["lr=1"])


@pytest.mark.parametrize("change", ["recover.iterations=many", "recover.iterations=0", "relabel.labels=sometimes"])
def test_a_wrong_value_names_the_key_in_one_line(registry: Registry, change: str) -> None:
    with pytest.raises(UsageError, match=change.partition("=")[0]) as caught:
        configure(registry, "sre2l", TINY, [change])
    assert "\n" not in str(caught.value)


def test_a_rule_over_several_keys_is_said_without_all_of_them(registry: Registry) -> None:
    with pytest.raises(UsageError) as caught:
        configure(registry, "sre2l", TINY, ["squeeze.warmup_epochs=50"])
    assert (
        str(caught.value)
        == "method 'sre2l': squeeze: warmup_epochs (50) must be below epochs (50): set it, too, 0 for none"
    )


def test_a_key_goes_to_the_methods_that_have_it(registry: Registry) -> None:
    shared = share_changes(registry, ["sre2l", "random"], ["recover.lr=0.2"])
    assert shared == {"sre2l": ["recover.lr=0.2"], "random": []}


@pytest.mark.parametrize("order", [1, -1], ids=["named last", "named first"])
def test_a_change_for_one_method_takes_the_place_of_a_plain_one_there_alone(registry: Registry, order: int) -> None:
    changes = ["recover.lr=0.2", "recover.bn_weight=3", "cda:recover.lr=0.4"][::order]
    shared = share_changes(registry, ["sre2l", "cda", "random"], changes)
    assert {name: set(found) for name, found in shared.items()} == {
        "sre2l": {"recover.lr=0.2", "recover.bn_weight=3"},
        "cda": {"recover.lr=0.4", "recover.bn_weight=3"},
        "random": set(),
    }


def test_the_value_may_hold_a_colon(registry: Registry) -> None:
    assert share_changes(registry, ["imported"], ["path=c:/x=y"]) == {"imported": ["path=c:/x=y"]}


def test_a_key_that_is_set_twice_has_the_later_value_and_is_named_once(registry: Registry) -> None:
    choice = configure(registry, "sre2l", TINY, ["recover.iterations=7", "recover.iterations=8"])
    assert choice.config["recover"]["iterations"] == 8
    assert list(choice.changed) == ["recover.iterations"]


def test_every_key_of_a_config_is_listed(registry: Registry) -> None:
    keys = keys_of(registry.load("method", "sre2l").Config)
    contract = "squeeze.epochs squeeze.lr recover.iterations recover.batch_size recover.lr recover.bn_weight"
    more = "recover.first_bn_multiplier recover.engine relabel.temperature relabel.labels"
    assert set(f"{contract} {more}".split()) <= set(keys)


def test_recipe_books_are_toml(tmp_path: Path) -> None:
    path = tmp_path / "recipes.toml"
    path.write_text('[recipes.small]\nsource = "x"\n[recipes.small.recover]\nlr = 0.5\n')
    assert RecipeBook.load(path).pick(setting("mine")).values == {"recover": {"lr": 0.5}}
