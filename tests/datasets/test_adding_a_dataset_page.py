"""What docs/adding-a-dataset.md shows works as it is shown."""

import re
import runpy
from pathlib import Path

import pytest
import torch
from small_layouts import jpeg, write_files, write_parquet

from bench.data.cards import DatasetCard
from bench.data.opening import open_dataset
from bench.extensions.registry import Registry
from bench.hookspecs import Offer
from bench.progress import Silent

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-dataset.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_card_on_the_page_is_a_dataset(registry: Registry, tmp_path: Path) -> None:
    card = tmp_path / "flowers.toml"
    card.write_text(_blocks("toml")[0])
    pictures = {
        f"{split}/{name}/{number}.jpg": jpeg(number, size=80)
        for split in ("train", "test")
        for name in ("rose", "daisy")
        for number in range(2)
    }
    write_files(tmp_path, pictures)
    dataset = open_dataset(registry, str(card), tmp_path / "none", tmp_path / "cache", Silent())
    assert (dataset.name, dataset.classes) == ("flowers", ("daisy", "rose"))
    assert dataset.train.take(torch.arange(4)).shape == (4, 3, 64, 64)


def test_the_cut_on_the_page_makes_a_test_split(registry: Registry, tmp_path: Path) -> None:
    card = tmp_path / "flowers.toml"
    card.write_text(_blocks("toml")[1] + _blocks("toml")[0])
    names = [f"train/{name}/{number}.jpg" for name in ("rose", "daisy") for number in range(5)]
    write_files(tmp_path, {name: jpeg(number) for number, name in enumerate(names)})
    dataset = open_dataset(registry, str(card), tmp_path / "none", tmp_path / "cache", Silent())
    assert dataset.test.labels.tolist() == [0, 1]
    assert f"`{dataset.split}`" in PAGE


def test_class_folders_beside_the_card_are_read_as_the_page_says(registry: Registry, tmp_path: Path) -> None:
    card = tmp_path / "flowers.toml"
    card.write_text(_blocks("toml")[0].split("[[sources]]")[0] + _blocks("toml")[2])
    names = [f"{name}/{number}.jpg" for name in ("rose", "daisy") for number in range(5)]
    write_files(tmp_path, {name: jpeg(number) for number, name in enumerate(names)})
    dataset = open_dataset(registry, str(card), tmp_path / "none", tmp_path / "cache", Silent())
    assert (dataset.classes, len(dataset.train), len(dataset.test)) == (("daisy", "rose"), 8, 2)


def test_the_parquet_source_on_the_page_is_read(registry: Registry, tmp_path: Path) -> None:
    head, source = _blocks("toml")[0].split("[[sources]]")[0], _blocks("toml")[3]
    card = tmp_path / "flowers.toml"
    card.write_text(head + source.replace('label = "species"', 'label = "label"'))
    write_parquet(tmp_path / "flowers" / "data" / "train-0.parquet", [(jpeg(0), "rose"), (jpeg(1), "daisy")])
    assert len(open_dataset(registry, str(card), tmp_path, tmp_path / "cache", Silent()).train) == 2


def test_the_plugin_on_the_page_offers_what_it_says(tmp_path: Path) -> None:
    plugin = tmp_path / "flowers_plugin.py"
    plugin.write_text(_blocks("python")[0], encoding="utf-8")
    found = runpy.run_path(str(plugin))
    assert [offer.name for offer in found["bench_datasets"]() + found["bench_readers"]()] == ["flowers", "my-layout"]
    assert all(isinstance(offer, Offer) for offer in found["bench_datasets"]())


@pytest.mark.parametrize("field", [*DatasetCard.model_fields, "normalisation"])
def test_every_field_is_on_the_page(field: str) -> None:
    table = PAGE.split("## What a card may say")[1].split("\n## ")[0]
    assert re.search(rf"[`\[ ]{field}[`\] ]", table)
