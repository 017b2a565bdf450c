"""Every card that ships is complete, and says what its sources are known to say."""

from importlib.resources import files
from pathlib import Path

import pytest
from small_layouts import jpeg, write_files
from torchvision.models import ResNet18_Weights

from bench.data.finding import find_source, load_card
from bench.extensions.registry import Registry
from bench.storage.files import digest
from bench.training.published import FIRST, LAST, ORDER

TRAJECTORIES = {  # in utils.py of GeorgeCazenavette/mtt-distillation: indices in ImageNet-1K, in its order
    "imagenette": [0, 217, 482, 491, 497, 566, 569, 571, 574, 701],
    "imagewoof": [193, 182, 258, 162, 155, 167, 159, 273, 207, 229],
    "imagemeow": [281, 282, 283, 284, 285, 291, 292, 290, 289, 287],
    "imagesquawk": [84, 130, 88, 144, 145, 22, 96, 9, 100, 89],
    "imagefruit": [953, 954, 949, 950, 951, 957, 952, 945, 943, 948],
    "imageyellow": [309, 986, 954, 951, 987, 779, 599, 291, 72, 11],
}
NETTE = {"imagenette-128": "imagenette", "imagewoof-128": "imagewoof"}
SMALLER = {**NETTE, "imagenet-100-128": "imagenet-100"}
WHOLE = ["imagenet-1k", "imagenet-1k-64", "imagenet-1k-112"]
SUBSETS = ["imagenet-10", "imagenet-100", *TRAJECTORIES, *SMALLER]
NAMES = ["cifar10", "cifar100", "digits", "fashion-mnist", "mnist", "svhn", "tiny-imagenet", *WHOLE, *SUBSETS]
UNCOUNTED = ("imagenet-10", "imagemeow", "imagesquawk", "imagefruit", "imageyellow")  # in train: no source says it


def test_these_ship(registry: Registry) -> None:
    assert set(NAMES) <= set(registry.names("dataset"))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_card_says_all_that_a_user_must_know(registry: Registry, name: str) -> None:
    card = load_card(registry, name)
    assert card.name == name
    assert card.title
    assert card.homepage
    assert "not stated" not in (card.licence, card.citation)
    assert set(card.images) == ({"test"} if name in UNCOUNTED else {"train", "test"})
    assert card.class_ids is None or list(card.class_ids) == sorted(card.class_ids)


@pytest.mark.parametrize("name", NAMES)
def test_every_source_has_a_reader_that_takes_its_options(registry: Registry, name: str) -> None:
    card = load_card(registry, name)
    for source in card.sources:
        reader = registry.load("reader", source.layout)()
        reader.Options.model_validate(source.options)
        assert reader.looked_for(card, source)


TWICE = {"n02012849", "n03710721"}  # ids whose first word is another class's, too
IDS = (files("timm.data") / "_info/imagenet_synsets.txt").read_text().split()  # of ImageNet-1K, in order


@pytest.mark.parametrize("name", [*TRAJECTORIES, *NETTE])
def test_a_subset_is_the_one_of_the_trajectory_papers(registry: Registry, name: str) -> None:
    """And the order in which they number its classes is told where it is not that of the ids."""
    card, theirs = load_card(registry, name), [IDS[index] for index in TRAJECTORIES[SMALLER.get(name, name)]]
    assert card.order == tuple(sorted(theirs))
    told = card.elsewhere.class_ids if card.elsewhere else card.order
    assert list(told or ()) == theirs


@pytest.mark.parametrize("name", SMALLER)
def test_a_subset_at_another_resolution_is_the_same_otherwise(registry: Registry, name: str) -> None:
    """What MTT's release does to an image: its shorter side is scaled to 128, and the centre cut out."""
    mine, usual = (load_card(registry, each) for each in (name, SMALLER[name]))
    changed = {"name", "title", "resolution", "resize", "later"}
    assert mine.model_dump(exclude=changed) == usual.model_dump(exclude=changed)
    assert (mine.resolution, mine.resize) == (128, None)


def test_imagenet_10_is_of_imagenet_100_and_all_are_of_imagenet(registry: Registry) -> None:
    ids = {name: set(load_card(registry, name).class_ids or ()) for name in SUBSETS}
    assert ids["imagenet-10"] < ids["imagenet-100"]
    assert set.union(*ids.values()) <= set(IDS)
    assert all(len(found) == load_card(registry, name).classes for name, found in ids.items())


@pytest.mark.parametrize("name", SUBSETS)
@pytest.mark.parametrize("folder", ["imagenet-1k", "imagenet"])
def test_a_subset_lies_among_all_classes_of_imagenet(
    registry: Registry, tmp_path: Path, name: str, folder: str
) -> None:
    card = load_card(registry, name)
    ids = [*(card.order or ()), "n01443537"]  # a goldfish is in none of them
    write_files(tmp_path, {f"{folder}/{split}/{each}/1.JPEG": jpeg(0) for split in ("train", "val") for each in ids})
    source = find_source(registry, name, card, tmp_path).source
    assert source.classes == card.order
    assert {split: len(paths) for split, paths in source.files.items()} == {"train": card.classes, "test": card.classes}


@pytest.mark.parametrize("name", ["imagenette", "imagewoof", *NETTE])
def test_an_archive_that_is_cut_anew_gives_imagenets_own_splits(registry: Registry, tmp_path: Path, name: str) -> None:
    card, archive = load_card(registry, name), f"{SMALLER.get(name, name)}2"
    mixed = [
        f"{archive}/{folder}/{each}/{file}.JPEG"
        for each in card.order or ()
        for folder, file in [
            *(("train", f"{each}_1"), ("train", "ILSVRC2012_val_00000293")),
            *(("val", f"{each}_2"), ("val", f"{each}_3"), ("val", "ILSVRC2012_val_00009111")),
        ]
    ]
    write_files(tmp_path, {each: jpeg(0) for each in mixed})
    found = find_source(registry, name, card, tmp_path)
    assert found.card.fetch is not None and found.card.fetch.extract == archive
    trained, tested = (found.source.files[split] for split in ("train", "test"))
    assert (len(trained), len(tested)) == (30, 20)
    assert {path.name[:14] for path in tested} == {"ILSVRC2012_val"}
    labels = found.reader.labels(found.source, "test").tolist()
    assert [found.source.classes[label] for label in labels] == [path.parent.name for path in tested]


def test_imagenet_lists_its_classes_in_torchvisions_order(registry: Registry) -> None:
    """Whose words (crane bird, maillot tank suit) are two of WordNet's in two cases."""
    card = load_card(registry, "imagenet-1k")
    words = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert list(card.class_ids or ()) == IDS and set(card.class_names) == set(IDS)
    for each, word in zip(IDS, words, strict=True):
        assert word in {
            *card.class_names[each].split(", "),
            *({"crane bird", "maillot tank suit"} if each in TWICE else ()),
        }
    assert digest(IDS) == ORDER and (IDS[0], IDS[-1]) == (FIRST, LAST)
    hundred = load_card(registry, "imagenet-100")
    assert hundred.class_names == {each: card.class_names[each] for each in hundred.class_ids or ()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("imagenet-1k", "2dc20b56fe80e0d9d9f46487b6fc9596"), ("imagenet-100", "f4b3a2ddf339cca872cf36fdcea88d9e")],
)
def test_cards_that_list_more_are_known_as_before(registry: Registry, name: str, expected: str) -> None:
    assert load_card(registry, name).hash() == expected


def test_tiny_imagenet_names_its_classes_and_its_archive(registry: Registry) -> None:
    card = load_card(registry, "tiny-imagenet")
    assert card.class_ids is not None
    assert set(card.class_names) == set(card.class_ids)
    assert card.class_names["n01443537"] == "goldfish, Carassius auratus"
    fetch = card.sources[-1].fetch
    assert fetch is not None
    assert (fetch.bytes, fetch.checksum) == (248_100_043, "md5:90528d7ca1a48142e341f4ef8d21d0de")
