"""What a card may say, and what a wrong one gets: one line that names file, field and the nearest valid field."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.data.cards import NORMALISATIONS, read_card
from bench.errors import UsageError

GOOD = """
name = "flowers"
resolution = 16
normalisation = "imagenet"
[[sources]]
layout = "image-folder"
"""


def _card(folder: Path, text: str) -> Path:
    path = folder / "flowers.toml"
    path.write_text(text)
    return path


def test_a_few_lines_are_a_card(tmp_path: Path) -> None:
    card = read_card(_card(tmp_path, GOOD))
    assert (card.channels, card.classes, card.order, card.resize) == (3, None, None, None)
    assert (card.mean, card.std) == NORMALISATIONS["imagenet"]


def test_half_fits_any_number_of_channels(tmp_path: Path) -> None:
    card = read_card(_card(tmp_path, GOOD.replace('"imagenet"', '"half"').replace("[[", "channels = 1\n[[")))
    assert (card.mean, card.std) == ((0.5,), (0.5,))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("resolution = 16", "resolutoin = 16"), ["unknown field 'resolutoin'", "'resolution'"]),
        (("resolution = 16\n", ""), ["the field 'resolution' is missing"]),
        (("resolution = 16", 'resolution = "big"'), ["field 'resolution'", "'big'"]),
        (("resolution = 16", "resolution = 0"), ["field 'resolution'", "not 0"]),
        (("layout =", "layuot ="), ["unknown field 'sources.0.layuot'", "'layout'"]),
        (('"imagenet"', '"imagnet"'), ["unknown normalisation 'imagnet'", "imagenet, half"]),
        (("[[", "mean = [0.5]\n[["), ["normalisation and mean"]),
        (('normalisation = "imagenet"\n', ""), ["mean and std are missing", "bench data constants"]),
        (("normalisation =", "normalization ="), ["unknown field 'normalization'", "'normalisation'"]),
        (('normalisation = "imagenet"', "std = [0.5]"), ["the field 'mean' is missing"]),
        (("[[", "channels = 1\n[["), ["mean and std need 1 values"]),
        (("[[", "channels = 1.0\n[["), ["field 'channels'", "not 1.0"]),
        (("[[", "channels = true\n[["), ["field 'channels'", "not True"]),
        (('normalisation = "imagenet"', 'mean = ["0.5"]\nstd = [0.5]'), ["field 'mean.0'", "not '0.5'"]),
        (('normalisation = "imagenet"', "mean = 0.5\nstd = [0.5]"), ["field 'mean': Input should be a list"]),
        (("[[", "images = { trian = 3 }\n[["), ["field 'images.trian': Input should be 'train' or 'test'"]),
        (("[[", 'split = { test = "0.2" }\n[['), ["field 'split.test'", "not '0.2'"]),
        (("[[", "resize = 8\n[["), ["resize 8 is smaller than resolution 16"]),
        (("[[", 'class_ids = ["a", "b", "a"]\n[['), ["one id twice"]),
        (("[[", 'classes = 3\nclass_ids = ["a", "b"]\n[['), ["classes says 3, class_ids has 2"]),
        (("[[", "split = 0.2\n[["), ["field 'split' is a table, { test = ..., seed = ... }, not 0.2"]),
        (("[[", "images = 3\n[["), ["field 'images' is a table, { ... }, not 3"]),
        (('"flowers"', '"../flowers"'), ["field 'name'"]),
        (("[[sources]]", "[[sources]"), ["not valid TOML"]),
    ],
)
def test_a_wrong_card_is_one_clear_line(tmp_path: Path, change: tuple[str, str], expected: list[str]) -> None:
    path = _card(tmp_path, GOOD.replace(*change))
    with pytest.raises(UsageError) as refusal:
        read_card(path)
    message = str(refusal.value)
    assert "\n" not in message
    for part in [str(path), *expected]:
        assert part in message


def test_editors_may_begin_a_file_with_a_mark_of_its_encoding(tmp_path: Path) -> None:
    assert read_card(_card(tmp_path, f"\ufeff{GOOD}")) == read_card(_card(tmp_path, GOOD))


def test_no_card_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml cannot be read: No such file"):
        read_card(tmp_path / "none.toml")


def test_class_order_is_sorted_whatever_the_card_says(tmp_path: Path) -> None:
    card = read_card(_card(tmp_path, GOOD.replace("[[", 'class_ids = ["c", "a", "b"]\n[[')))
    assert card.order == ("a", "b", "c")


def test_every_field_changes_the_hash(tmp_path: Path) -> None:
    changes = [("16", "32"), ("imagenet", "half"), ("image-folder", "parquet"), ("flowers", "trees")]
    texts = [GOOD, *(GOOD.replace(*change) for change in changes)]
    assert len({read_card(_card(tmp_path, text)).hash() for text in texts}) == len(texts)


def test_what_a_card_came_to_say_later_leaves_its_hash(tmp_path: Path) -> None:
    """Also a source; what else it says counts as ever."""
    before = read_card(_card(tmp_path, GOOD)).hash()
    grown = 'class_ids = ["a", "b"]\nclass_names = { a = "ape" }\n'
    later = 'later = ["class_ids", "class_names"]\n'
    source = '\n[[sources]]\nlayout = "parquet"\n'
    texts = {
        True: [
            GOOD.replace("[[", later + "[["),
            GOOD.replace("[[", later + grown + "[["),
            GOOD + source + "later = true",
        ],
        False: [GOOD.replace("[[", grown + "[["), GOOD.replace("[[", later[:20] + "]\n" + grown + "[["), GOOD + source],
    }
    for same, changed in texts.items():
        assert [read_card(_card(tmp_path, text)).hash() == before for text in changed] == [same] * 3


LISTED = "b1  rose, Rosa\n\na2 daisy\nc3\n"


def test_classes_of_a_file_beside_the_card_are_as_if_it_listed_them(tmp_path: Path) -> None:
    (tmp_path / "flowers.txt").write_text(LISTED)
    words = 'class_names = { b1 = "rose, Rosa", a2 = "daisy" }\n'
    for ids, told in (('"b1", "a2", "c3"', words), ('"c3", "a2"', 'class_names = { a2 = "daisy" }\n')):
        own = f"class_ids = [{ids}]\n"
        stated = read_card(_card(tmp_path, GOOD.replace("[[", own + told + "[[")))
        listing = own if told != words else ""
        listed = read_card(_card(tmp_path, GOOD.replace("[[", listing + 'class_list = "flowers.txt"\n[[')))
        assert (listed, listed.hash()) == (stated, stated.hash())


@pytest.mark.parametrize(
    ("said", "lines", "expected"),
    [
        ('class_list = "none.txt"', LISTED, "none.txt cannot be read"),
        ('class_list = "../flowers.txt"', LISTED, "of a file beside the card, not '../flowers.txt'"),
        ("class_list = 3", LISTED, "of a file beside the card, not 3"),
        ('class_list = "flowers.txt"', "a1 rose\na1 daisy\n", "holds one id twice"),
        ('class_list = "flowers.txt"', "\n", "holds no class"),
        ('class_list = "flowers.txt"', "a1 rose\n", "class_ids"),
        ('class_list = "flowers.txt"\nclass_ids = ["a2", "b2"]', LISTED, "unknown class 'b2'; did you mean 'b1'"),
        ('class_list = "flowers.txt"\nclass_ids = [2]', LISTED, "unknown class '2'"),
        ('class_list = "flowers.txt"\nclass_names = { a2 = "x" }', LISTED, "two ways to say one thing"),
        ('class_lists = "flowers.txt"', LISTED, "did you mean 'class_list'"),
    ],
)
def test_a_list_of_classes_that_is_none_is_one_line(tmp_path: Path, said: str, lines: str, expected: str) -> None:
    (tmp_path / "flowers.txt").write_text(lines)
    with pytest.raises(UsageError) as refusal:
        read_card(_card(tmp_path, GOOD.replace("[[", f"{said}\n[[")))
    assert expected in str(refusal.value) and "\n" not in str(refusal.value)


def test_reading_cards_needs_no_torch() -> None:
    use = "bench_datasets.bench_datasets(); sys.exit('torch' in sys.modules)"
    code = f"import bench.data.cards, bench_datasets, sys; {use}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
