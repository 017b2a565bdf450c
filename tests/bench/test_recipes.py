"""Recipe books: which table holds for a setting."""

from bench.recipes import RecipeBook, Setting

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


def test_a_table_may_have_a_source_of_its_own() -> None:
    assert BOOK.pick(setting(1)).source == "Table 1"
    assert BOOK.pick(setting(10)).source == "ours"


def test_what_a_backbone_needs_comes_last() -> None:
    assert BOOK.pick(setting(10, "convnet3")).values["steps"] == 7


def test_the_quick_budget_takes_its_part_of_what_holds() -> None:
    assert BOOK.pick(setting(10)).at("quick")["steps"] == 15


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
