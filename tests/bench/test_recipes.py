"""Recipe books: which table holds for a setting."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.recipes import Recipe, RecipeBook, Setting

BOOK = RecipeBook(
    {
        "recipes": {
            "small": {
                "source": "ours",
                "steps": 1,
                "lr": 1.0,
                "ipcs": {
                    "1": {"source": "Table 1", "steps": 50},
                    "10": {"steps": 30, "inner": {"epochs": 2}},
                    "50": {"lr": 3.0},
                },
                "backbones": {"convnet3": {"steps": 7}},
                "quick": {"steps": 0.5},
            }
        }
    }
)


def setting(ipc: int, backbone: str = "resnet18") -> Setting:
    return Setting("mine", 32, 3, 10, ipc, backbone)


def test_the_largest_number_of_images_reached_is_laid_over_the_rest() -> None:
    assert BOOK.pick(setting(10)).values == {"steps": 30, "lr": 1.0, "inner": {"epochs": 2}}
    assert BOOK.pick(setting(49)).values == BOOK.pick(setting(10)).values
    assert BOOK.pick(setting(50)).values == {"steps": 1, "lr": 3.0}


def test_fewer_images_than_any_number_take_the_first() -> None:
    book = RecipeBook({"recipes": {"small": {"source": "ours", "lr": 1, "ipcs": {"10": {"lr": 2}, "5": {"lr": 3}}}}})
    assert book.pick(setting(1)).values == {"lr": 3}


def test_the_source_says_which_number_of_images_another_takes_its_values_from() -> None:
    book = RecipeBook({"recipes": {"small": {"source": "paper", "ipcs": {"10": {"lr": 2}, "5": {"lr": 3}}}}})
    assert [book.pick(setting(ipc)).source for ipc in (1, 5, 7, 10)] == [
        "paper; at IPC 1 as at 5",
        "paper",
        "paper; at IPC 7 as at 5",
        "paper",
    ]


def test_numbers_that_hold_upwards_are_the_papers_own_for_more_images_and_for_no_fewer() -> None:
    """DM: step size 1 below 100 images per class, 10 from there on."""
    numbers = {"upwards": True, "5": {"lr": 1}, "100": {"lr": 10}}
    book = RecipeBook({"recipes": {"small": {"source": "paper", "ipcs": numbers}, "mine": {"like": "small"}}})
    found = [book.pick(replace(setting(ipc), dataset=name)) for name in ("yours", "mine") for ipc in (1, 50, 1250)]
    assert [each.values["lr"] for each in found] == 2 * [1, 1, 10]
    assert [each.source for each in found] == 2 * ["paper; at IPC 1 as at 5", "paper", "paper"]


def test_a_recipe_may_be_a_part_of_another() -> None:
    teacher = Recipe("small", "theirs", {"epochs": 8, "lr": 1}, {"epochs": 0.5})
    method = Recipe("mine", "paper", {"steps": 4, "squeeze": {"lr": 2}}, {"steps": 0.25})
    whole = method.over(teacher.under("squeeze"))
    assert (whole.name, whole.source) == ("mine", "paper; squeeze: theirs")
    assert whole.values == {"steps": 4, "squeeze": {"epochs": 8, "lr": 2}}
    assert whole.at("quick") == {"steps": 1, "squeeze": {"epochs": 4, "lr": 2}}
    assert set(whole.taken()) == {"steps 4 -> 1", "squeeze.epochs 8 -> 4"}


def test_a_table_may_have_a_source_of_its_own() -> None:
    assert BOOK.pick(setting(1)).source == "Table 1"
    assert BOOK.pick(setting(10)).source == "ours"


def test_what_many_classes_change_is_laid_under_what_images_per_class_do() -> None:
    tables = {
        "source": "paper",
        "batch": 10,
        "ipcs": {"10": {"batch": 50}},
        "classes": {"100": {"lr": 2, "ipcs": {"10": {"batch": 100}}}},
    }
    book = RecipeBook({"recipes": {"small": tables}})

    def values(classes: int, ipc: int) -> dict[str, Any]:
        return book.pick(replace(setting(ipc), classes=classes)).values

    assert values(99, 10) == {"batch": 50}
    assert values(100, 10) == {"batch": 100, "lr": 2}
    book = RecipeBook({"recipes": {"small": {**tables, "ipcs": {}}}})
    assert values(10, 10) == {"batch": 10}, "no table for as many classes"


def test_a_table_takes_from_another_what_it_does_not_say() -> None:
    small = {"like": "cifar10", "source": "ours", "backbones": {"vit": {"steps": 3}}}
    cifar = {"source": "paper", "steps": 1, "lr": 2, "quick": {"steps": 0.5}, "backbones": {"vit": {"lr": 5}}}
    book = RecipeBook({"recipes": {"small": small, "cifar10": cifar}})
    recipe = book.pick(setting(1, "vit"))
    assert (recipe.name, recipe.source, recipe.values, recipe.quick) == (
        "small",
        "ours",
        {"steps": 3, "lr": 5},
        {"steps": 0.5},
    )


def test_a_table_may_be_for_several_backbones() -> None:
    tables = {"source": "paper", "lr": 1, "backbones": {"vit deit": {"lr": 2}, "deit": {"steps": 3}}}
    book = RecipeBook({"recipes": {"small": tables}})
    found = {name: book.pick(setting(1, name)).values for name in ("vit", "deit", "it")}
    assert found == {"vit": {"lr": 2}, "deit": {"lr": 2, "steps": 3}, "it": {"lr": 1}}


def test_books_are_laid_over_each_other(tmp_path: Path) -> None:
    below, above, several = (tmp_path / name for name in ("below.toml", "above.toml", "several.toml"))
    below.write_text('[recipes.small]\nsource = "paper"\nlr = 1\nsteps = 2\n')
    above.write_text('[recipes.small]\nsource = "ours"\nlr = 3\n')
    recipe = RecipeBook.load(below, above).pick(setting(1))
    assert (recipe.source, recipe.values) == ("ours", {"lr": 3, "steps": 2})
    several.write_text('[a.recipes.small]\nsource = "a"\nlr = 1\n[b]\nlike = "a"\n[b.recipes.small]\nsource = "b"\n')
    books = RecipeBook.load_several(several)
    assert {name: book.pick(setting(1)).source for name, book in books.items()} == {"a": "a", "b": "b"}
    assert books["b"].pick(setting(1)).values == {"lr": 1}


def test_a_table_may_be_for_all_backbones_called_alike_but_some() -> None:
    tables = {"source": "paper", "lr": 1, "backbones": {"convnet* !convnet*-bn* vit": {"lr": 2}, "*-bn": {"steps": 3}}}
    book = RecipeBook({"recipes": {"mine": tables}})
    found = {
        name: book.pick(setting(1, name)).values for name in ("convnet3-w64", "convnet3-bn", "vit", "vit-b", "vgg-bn")
    }
    assert {name: values["lr"] for name, values in found.items()} == {
        "convnet3-w64": 2,
        "convnet3-bn": 1,
        "vit": 2,
        "vit-b": 1,
        "vgg-bn": 1,
    }
    assert [name for name, values in found.items() if "steps" in values] == ["convnet3-bn", "vgg-bn"]


def test_what_a_backbone_needs_comes_last() -> None:
    assert BOOK.pick(setting(10, "convnet3")).values["steps"] == 7


def test_the_quick_budget_takes_its_part_of_what_holds() -> None:
    assert BOOK.pick(setting(10)).at("quick")["steps"] == 15


def test_of_no_epochs_of_warm_up_the_quick_budget_makes_none() -> None:
    recipe = Recipe("of nothing", "here", {"warmup_epochs": 0, "epochs": 1}, {"warmup_epochs": 0.5, "epochs": 0.5})
    assert recipe.at("quick") == {"warmup_epochs": 0, "epochs": 1}


def test_what_the_quick_budget_leaves_alone_is_not_noted() -> None:
    tables = {"source": "paper", "steps": 10, "epochs": 8, "quick": {"steps": 1.0, "epochs": 0.5}}
    assert RecipeBook({"recipes": {"small": tables}}).pick(setting(1)).taken() == ("epochs 8 -> 4",)


def test_a_backbones_table_may_have_a_source_and_quick_fractions_of_its_own() -> None:
    tables = {
        "source": "paper",
        "steps": 100,
        "epochs": 100,
        "quick": {"steps": 0.5, "epochs": 0.5},
        "backbones": {"vit": {"source": "ours", "epochs": 300, "quick": {"epochs": 0.1}}},
    }
    book = RecipeBook({"recipes": {"small": tables}})
    recipe = book.pick(setting(1, "vit"))
    assert (recipe.source, recipe.at("quick")) == ("ours", {"steps": 50, "epochs": 30})
    plain = book.pick(setting(1))
    assert (plain.source, plain.at("quick")) == ("paper", {"steps": 50, "epochs": 50})


def test_the_papers_own_number_of_images_is_of_its_dataset_alone() -> None:
    shared = {"source": "paper", "lr": 1.0}
    tables = {
        "mine": {**shared, "ipc": 50, "differs": ["another network"]},
        **{"yours": {"like": "mine", "source": "ours"}, "small": {"like": "mine"}},
    }
    book = RecipeBook({"recipes": tables})
    found = {name: book.pick(replace(setting(1), dataset=name)) for name in ("mine", "yours", "nobodys")}
    assert {name: recipe.ipc for name, recipe in found.items()} == {"mine": 50, "yours": None, "nobodys": None}
    assert all(recipe.values == {"lr": 1.0} for recipe in found.values()), "they are no hyper-parameters"
    own = {**tables, "mine": {**shared, "backbones": {"vit": {"lr": 2.0, "differs": ["128 pixels"]}}}}
    vits = [RecipeBook({"recipes": own}).pick(replace(setting(1, "vit"), dataset=name)) for name in ("mine", "yours")]
    assert [(each.values["lr"], each.differs) for each in vits] == [(2.0, ("128 pixels",)), (2.0, ())]
    laid = found["mine"].over(Recipe("b", "b", {}, ipc=10, differs=("an observer",)).under("squeeze"))
    assert (laid.ipc, laid.differs) == (50, ("another network", "an observer"))
