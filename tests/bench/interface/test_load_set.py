"""`bench.load_set`: a condensed set to train on in a script of one's own."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from child_work import children_here
from foreign import gray, in_folders, in_tensors
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

import bench
from bench.extensions.registry import Registry
from bench.reporting.statistics.welch import difference

PLAIN = Path(__file__).with_name("plain_protocols.py")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a run on real images of three digits, and its row."""
    here = Bench(tmp_path_factory.mktemp("loading"))
    small = {"ipc": 5, "classes": 3, "eval_seeds": 3, "control": False, "precision": "fp32", "quiet": True}
    where: dict[str, Any] = {"backbone": "convnet3", "protocol": "plain", "plugin": PLAIN, "runs": here.runs, **small}
    with pytest.MonkeyPatch.context() as patch, children_here():
        patch.setenv("BENCH_CACHE", str(here.cache))
        result = bench.run("random", "digits", **where)
    (row,) = result.rows
    return here.runs / row["run"], row


def test_ten_lines_get_the_reported_accuracy(done: tuple[Path, dict[str, Any]]) -> None:
    run, row = done

    def trained(seed: int) -> float:
        torch.manual_seed(seed)
        network = Registry().load("backbone", "convnet3")(3, 8, 1)
        condensed = bench.load_set(run)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        for _ in range(40):
            for images, labels in DataLoader(condensed, batch_size=8, shuffle=True):
                optimizer.zero_grad()
                cross_entropy(network(images), labels).backward()
                optimizer.step()
        hits = [network(images).argmax(1) == labels for images, labels in DataLoader(condensed.test, batch_size=64)]
        return float(100 * torch.cat(hits).float().mean())

    ours = [trained(seed) for seed in range(3)]
    assert difference(row["top1_values"], ours).level, (row["top1_values"], ours)


def test_the_ten_lines_on_the_page(
    done: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "python.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(# ten_lines.py\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    monkeypatch.setattr(sys, "argv", ["ten_lines.py", str(done[0])])
    torch.manual_seed(0)
    exec(compile(block, "ten_lines.py", "exec"), {})
    assert float(capsys.readouterr().out.removesuffix(" %\n")) > 90


def test_what_a_runs_set_is(done: tuple[Path, dict[str, Any]]) -> None:
    found = bench.load_set(done[0])
    assert len(found) == 15 and tuple(found.images.shape) == (15, 1, 8, 8)
    assert found.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert found.classes == found.class_names == ("0", "1", "2")
    assert found.label_kind == "hard" and found.probabilities is None and found.temperature is None
    assert torch.equal(found.transform(found.pixels), found.images)
    torch.testing.assert_close(found.preprocessing.invert(found.images), found.pixels / 255)
    image, label = found[7]
    assert torch.equal(image, found.images[7]) and int(label) == 1
    assert found.manifest["method"] == "random"
    assert str(found) == "LoadedSet(random, digits: 15 images 1x8x8 of 3 classes, hard labels)"
    assert set(found.test.labels.tolist()) == {0, 1, 2} and found.test[0][0].shape == image.shape
    assert torch.equal(bench.load_set(done[0] / "condensed", "digits").images, found.images)
    with pytest.raises(bench.UsageError, match="only online ones"):
        _ = found.teacher


def test_a_set_of_another_house(tmp_path: Path) -> None:
    pixels = torch.stack([gray(index)[:1] for index in (2, 0, 1)])
    folder = in_tensors(tmp_path / "set", pixels, torch.tensor([2, 0, 1]), classes=["0", "1", "2"])
    found = bench.load_set(folder, "digits")  # its manifest says which classes
    assert found.labels.tolist() == [2, 0, 1]
    assert torch.equal(found.pixels, pixels)
    with pytest.raises(bench.UsageError, match="say dataset=NAME"):
        bench.load_set(folder)


def test_what_was_inferred_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = in_folders(tmp_path / "set", {"00000": 0, "00001": 1, "00002": 2})
    found = bench.load_set(folder, "digits", classes=3)
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert "class order inferred" in capfd.readouterr().err


@pytest.mark.parametrize("damage", ["nowhere", "flipped", "unknown"])
def test_what_cannot_be_loaded_is_one_line(tmp_path: Path, done: tuple[Path, dict[str, Any]], damage: str) -> None:
    folder = tmp_path / "set"
    if damage != "nowhere":
        folder.mkdir()
        for file in (done[0] / "condensed").iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    if damage == "flipped":
        content = bytearray((folder / "images.safetensors").read_bytes())
        content[-1] ^= 1
        (folder / "images.safetensors").write_bytes(content)
    said = {"nowhere": "no condensed set at", "flipped": "altered", "unknown": "unknown dataset"}[damage]
    with pytest.raises(bench.UsageError, match=said) as refused:
        bench.load_set(folder, "digts" if damage == "unknown" else None)
    assert "\n" not in str(refused.value)


def test_a_set_of_an_unknown_dataset_is_there_without_its_test_images(
    tmp_path: Path, done: tuple[Path, dict[str, Any]]
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for file in (done[0] / "condensed").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["checksum"]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "dataset": "/etc/passwd.toml"}))
    with pytest.raises(bench.UsageError, match="no checksum"):
        bench.load_set(folder)
    from bench.storage.files import write_json

    write_json(folder / "manifest.json", {**manifest, "dataset": "/etc/passwd.toml"})
    found = bench.load_set(folder)
    assert found.class_names == ("0", "1", "2")
    with pytest.raises(bench.UsageError, match="say dataset=NAME"):
        _ = found.test
