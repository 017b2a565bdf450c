"""Which class a label means: what a picture shows is known by its gray, whatever the labels say."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from foreign import gray, in_folders, in_parquet, in_tensors, known_by_gray, readers, told

from bench.data.datasets import Dataset, Elsewhere
from bench.errors import UsageError
from bench.interchange.importing import read_foreign

BIRDS = known_by_gray("n01", "n02", "n03", words=("goldfish, Carassius auratus", "great white shark", "cock"))
TWELVE = known_by_gray(*sorted(map(str, range(12))))
ROWS = [2, 2, 0, 0, 1, 1]  # the classes of pictures whose labels are 0, 0, 1, 1, 2, 2
NUMBERS = [0, 0, 1, 1, 2, 2]
ORDER = ["n03", "n01", "n02"]  # so label 0 is n03, whose index is 2: what ROWS have


def understood(folder: Path, dataset: Dataset) -> str:
    """How the set was understood, its labels being right: every picture shows the class that it is labelled with."""
    found = read_foreign(folder, dataset, readers)
    assert found.condensed.images.classes.tolist() == told(found.condensed.images.pixels)
    assert found.condensed.classes == dataset.classes
    return found.class_order


def test_folders_named_by_id_beat_the_manifests_order(tmp_path: Path) -> None:
    named = {"n01": 0, "n02": 1, "n03": 2}
    assert understood(in_folders(tmp_path / "stated", named, classes=ORDER), BIRDS) == "ids"
    assert understood(in_folders(tmp_path / "plain", named), BIRDS) == "ids"


def test_names_in_parquet_that_are_ids_beat_the_manifests_order(tmp_path: Path) -> None:
    assert understood(in_parquet(tmp_path / "ok", NUMBERS, ROWS, ORDER), BIRDS) == "ids"
    assert understood(in_parquet(tmp_path / "twice", NUMBERS, ROWS, ORDER, classes=ORDER), BIRDS) == "ids"
    assert (
        understood(in_parquet(tmp_path / "other", NUMBERS, ROWS, ORDER, classes=["n01", "n02", "n03"]), BIRDS) == "ids"
    )
    text = [ORDER[label] for label in NUMBERS]
    assert understood(in_parquet(tmp_path / "text", text, ROWS, None, classes=ORDER), BIRDS) == "ids"


def test_numbers_need_a_statement_where_others_number_the_classes_otherwise(tmp_path: Path) -> None:
    """As IDC and EDC number ImageNet-10: by their list, which is not sorted."""
    theirs = replace(BIRDS, elsewhere=Elsewhere(who="IDC", class_ids=tuple(ORDER)))
    with pytest.raises(UsageError, match=r'IDC mean another order .* as "classes": \["n03", "n01", "n02"\]'):
        read_foreign(in_parquet(tmp_path / "numbers", NUMBERS, ROWS, None), theirs, readers)
    with pytest.raises(UsageError, match="IDC mean another order"):
        read_foreign(in_folders(tmp_path / "new", {"new000": 2, "new001": 0, "new002": 1}), theirs, readers)
    assert understood(in_parquet(tmp_path / "told", NUMBERS, ROWS, None, classes=ORDER), theirs) == "stated"
    assert understood(in_folders(tmp_path / "ids", {"n01": 0, "n02": 1, "n03": 2}), theirs) == "ids"
    some = theirs.only(["n01", "n02"])  # which they number as everybody does
    assert understood(in_parquet(tmp_path / "some", [0, 0, 1, 1], [0, 0, 1, 1], None), some).startswith("inferred")


def test_names_that_are_no_ids_need_a_statement(tmp_path: Path) -> None:
    names = ["zebra", "bird", "cat"]  # not sorted: their order is that of the labels
    with pytest.raises(
        UsageError, match=r"bird, cat, zebra of .* are no class ids of tiny .*\"classes\": \[\"n01\""
    ) as no:
        read_foreign(in_parquet(tmp_path / "names", NUMBERS, ROWS, names), BIRDS, readers)
    assert "\n" not in str(no.value)
    assert understood(in_parquet(tmp_path / "told", NUMBERS, ROWS, names, classes=ORDER), BIRDS) == "stated"
    with pytest.raises(UsageError, match=r"owl of .* is no class id"):
        read_foreign(in_folders(tmp_path / "folders", {"n01": 0, "n02": 1, "owl": 2}), BIRDS, readers)


def test_numbers_in_parquet_mean_the_stated_order_even_where_ids_are_numbers(tmp_path: Path) -> None:
    digits = known_by_gray("0", "1", "2")
    folder = in_parquet(tmp_path / "set", NUMBERS, ROWS, None, classes=["2", "0", "1"])
    assert understood(folder, digits) == "stated"
    assert understood(in_parquet(tmp_path / "plain", NUMBERS, NUMBERS, None), digits).startswith(
        "inferred: labels are pos"
    )


@pytest.mark.parametrize("form", ["{}", "{:05}", "new{:03}"], ids=["bare", "padded", "new"])
def test_folders_named_by_class_index_mean_the_stated_order(tmp_path: Path, form: str) -> None:
    named = {form.format(number): index for number, index in enumerate([2, 0, 1])}
    assert understood(in_folders(tmp_path / "set", named, classes=ORDER), BIRDS) == "stated"
    plain = {form.format(number): number for number in range(3)}
    assert understood(in_folders(tmp_path / "plain", plain), BIRDS).startswith("inferred")
    with pytest.raises(UsageError, match="not class indices 0 to 2"):
        read_foreign(in_folders(tmp_path / "one", {form.format(number): 0 for number in (1, 2, 3)}), BIRDS, readers)


def test_numbers_beside_ids_that_are_numbers_in_another_order_are_refused(tmp_path: Path) -> None:
    pixels = torch.stack([gray(index) for index in range(12)])
    with pytest.raises(
        UsageError, match=r"sort as text \(0, 1, 10, 11, 2, \.\.\.\).*\"classes\": \[\"0\", \"1\", \"2\", "
    ):
        read_foreign(in_tensors(tmp_path / "set", pixels, torch.arange(12)), TWELVE, readers)
    with pytest.raises(UsageError, match="sort as text"):
        read_foreign(in_folders(tmp_path / "folders", {f"{number:05}": 0 for number in range(12)}), TWELVE, readers)
    stated = [str(number) for number in range(12)]
    shown = torch.stack([gray(TWELVE.classes.index(name)) for name in stated])
    assert understood(in_tensors(tmp_path / "told", shown, torch.arange(12), classes=stated), TWELVE) == "stated"
    named = {name: TWELVE.classes.index(name) for name in stated}
    assert understood(in_folders(tmp_path / "ids", named), TWELVE) == "ids"


def test_numbers_are_positions_where_that_is_the_only_order(tmp_path: Path) -> None:
    for place, ids in (("words", ("cat", "dog")), ("numbers", ("0", "1")), ("padded", ("00", "01"))):
        folder = in_tensors(tmp_path / place, torch.stack([gray(0), gray(1)]), torch.arange(2))
        assert understood(folder, known_by_gray(*ids)) == "inferred: labels are positions in the dataset's class order"


def test_the_cards_words_are_matched_to_its_ids(tmp_path: Path) -> None:
    named = {"Carassius_auratus": 0, "great white shark": 1, "Cock": 2}
    assert understood(in_folders(tmp_path / "set", named), BIRDS) == "inferred: the card's words for its classes"
    twins = known_by_gray("n1", "n2", words=("crane, bird", "crane, machine"))
    with pytest.raises(UsageError, match=r"crane of .* is no class id"):
        read_foreign(in_folders(tmp_path / "crane", {"crane": 0, "n2": 1}), twins, readers)


def test_words_that_are_ids_of_other_classes_decide_nothing(tmp_path: Path) -> None:
    shifted = known_by_gray("a", "b", "c", words=("b", "c", "x"))
    with pytest.raises(UsageError, match=r"x of .* is no class id"):
        read_foreign(in_folders(tmp_path / "set", {"b": 0, "c": 1, "x": 2}), shifted, readers)
    mixed = in_folders(tmp_path / "mixed", {"n01": 0, "great-white-shark": 1, "cock": 2})
    assert understood(mixed, BIRDS) == "inferred: the card's words for its classes"


def test_words_that_contradict_the_stated_order_are_refused(tmp_path: Path) -> None:
    words = {"cock": 2, "goldfish": 0, "great white shark": 1}
    with pytest.raises(UsageError, match=r"'classes' in its manifest says another order \(n01, n02, n03\)"):
        read_foreign(in_folders(tmp_path / "set", words, classes=["n01", "n02", "n03"]), BIRDS, readers)
    assert understood(in_folders(tmp_path / "right", words, classes=ORDER), BIRDS).startswith("inferred: the card's")


def test_numbers_beside_words_that_are_numbers_in_another_order_are_refused(tmp_path: Path) -> None:
    digits = known_by_gray("one", "two", "zero", words=("1", "2", "0"))
    by_digit = {"0": 2, "1": 0, "2": 1}
    wanted = r"so are the words for the classes of tiny.*\"classes\": \[\"zero\", \"one\", \"two\"\]"
    with pytest.raises(UsageError, match=wanted):
        read_foreign(in_folders(tmp_path / "folders", by_digit), digits, readers)
    pixels = torch.stack([gray(2), gray(0), gray(1)])
    with pytest.raises(UsageError, match=wanted):
        read_foreign(in_tensors(tmp_path / "tensors", pixels, torch.arange(3)), digits, readers)
    assert understood(in_folders(tmp_path / "told", by_digit, classes=["zero", "one", "two"]), digits) == "stated"


def test_numbers_beside_ids_whose_numbers_sort_in_another_order_are_refused(tmp_path: Path) -> None:
    counted = known_by_gray("c1", "c10", "c2")
    pixels = torch.stack([gray(0), gray(2), gray(1)])
    with pytest.raises(UsageError, match=r"\(c1, c10, c2\).*\"classes\": \[\"c1\", \"c2\", \"c10\"\]"):
        read_foreign(in_tensors(tmp_path / "set", pixels, torch.arange(3)), counted, readers)
    told_so = in_tensors(tmp_path / "told", pixels, torch.arange(3), classes=["c1", "c2", "c10"])
    assert understood(told_so, counted) == "stated"


@pytest.mark.parametrize(
    ("classes", "what"),
    [
        (["n01", "n02"], "the manifest lacks n03; --classes names those that a set is of"),
        (["n01", "n02", "n02", "n03"], "n02 stands in the manifest twice"),
        (["n01", "n02", "n04"], "it has no n04; did you mean 'n03'?"),
    ],
)
def test_stated_classes_are_the_datasets_each_once(tmp_path: Path, classes: list[str], what: str) -> None:
    folder = in_folders(tmp_path / "set", {"n01": 0, "n02": 1, "n03": 2}, classes=classes)
    with pytest.raises(UsageError, match="are not those of tiny here") as refusal:
        read_foreign(folder, BIRDS, readers)
    assert str(refusal.value).endswith(f"tiny here: {what}")
