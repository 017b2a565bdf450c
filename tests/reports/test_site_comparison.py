"""Two runs on one page: what it says of them, and that it needs nothing but itself."""

import base64
import re
from pathlib import Path

import pytest
import torch
from sites import PNG, keep_run

from bench.errors import UsageError
from bench.evaluation import Curves
from bench.extensions.registry import Registry
from bench.loops.losses import LOSSES_FILE
from bench.reporting.compared import Comparison, Differing
from bench.reporting.comparing import compared
from bench.reporting.folders import RunFolder
from bench.results import curves
from bench.results.records import read
from bench.results.spec import Origin
from bench_reports.site import HTML

EVIL = "<img src=x onerror=alert(1)>{{ 7*7 }}"
RUNS = ("run0", "run1")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of two runs of the same ten classes; their first trainings have 50 and 60 percent, their second 52."""
    keep_run(tmp_path, 0)
    keep_run(tmp_path, 1, top1=60.0, method=EVIL)
    return tmp_path


def page_of(runs: Path) -> str:
    first, second = (runs / name for name in RUNS)
    found = compared(read(first), read(second))
    return HTML.render_comparison(found, [RunFolder(first), RunFolder(second)])


def keep_curves(run: Path, right: int, seed: int = 0, looks: int = 1) -> Path:
    """Two epochs, and so many of the ten test images of each class right; the others are taken for the next class."""
    confusion = right * torch.eye(10, dtype=torch.int64) + (10 - right) * torch.eye(10, dtype=torch.int64).roll(1, 1)
    epochs = torch.tensor([4.0, 2.0]).double()
    path = curves.path_of(run, "hard-convnet3", seed)
    path.parent.mkdir(exist_ok=True)
    after = torch.tensor([1])[:looks]
    curves.write(path, Curves(epochs, 10 * epochs, after, epochs[:looks], confusion), "a test")
    return path


def keep_losses(run: Path, term: str) -> None:
    LOSSES_FILE.write(run / "losses.json", {"terms": [term], "iterations": [0, 5], "values": [[8.0], [2.0]]})


def test_scores_stand_beside_each_other_with_their_difference(runs: Path) -> None:
    """By hand: means 51 and 56; variances 2 and 32 of two values each, so that the error is sqrt(17)."""
    text = page_of(runs)
    for said in ("51.00 ± 1.41 (2)", "56.00 ± 5.66 (2)", "+5.00", "level", "<td>0</td><td>1</td>", "bench run -m"):
        assert said in text, said


@pytest.mark.parametrize(("backbone", "is_said"), [(None, False), ("convnet9", True)])
def test_sets_from_elsewhere_were_condensed_with_what_they_say(
    tmp_path: Path, backbone: str | None, is_said: bool
) -> None:
    for seed in (0, 1):
        keep_run(tmp_path, seed, origin=Origin("brought", "imported", "hard", "stated", backbone))
    text = page_of(tmp_path)
    assert ("condensed with" in text) == ("convnet9" in text) == is_said
    assert "None" not in text


def test_what_one_alone_has_is_folded_away(runs: Path) -> None:
    first, second = (runs / name for name in RUNS)
    differing = [Differing("recover.lr", 0.1, 0.2), Differing("observer.epochs", 25, None)]
    found = Comparison(RUNS, tuple(differing), (), (), (), ())
    shown, folded = HTML.render_comparison(found, [RunFolder(first), RunFolder(second)]).split("<details>")
    assert "recover.lr" in shown and "observer.epochs" not in shown
    assert "What one of them alone has (1)" in folded and "observer.epochs" in folded


def test_names_do_nothing_and_nothing_is_loaded(runs: Path) -> None:
    text = page_of(runs)
    assert "&lt;img src=x onerror=alert(1)&gt;{{ 7*7 }}" in text and "<img src=x" not in text
    assert not re.search(r"https?://|@import|url\(", text)
    shown = re.findall(r'<img src="([^"]*)"', text)
    assert shown == [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"] * 2


def test_what_a_run_lacks_is_said(runs: Path) -> None:
    (runs / "run1" / "preview.png").unlink()
    text = page_of(runs)
    assert text.count("There is no sheet of its images.") == 1
    assert "Training:" not in text and "Loss of the synthesis" not in text


def test_curves_and_losses_of_both_are_in_one_figure_each(runs: Path) -> None:
    keep_curves(runs / "run0", 5)
    keep_losses(runs / "run0", "ce")
    assert "Training:" not in page_of(runs)
    keep_curves(runs / "run1", 8)
    keep_losses(runs / "run1", "bn")
    text = page_of(runs)
    lines = ("first, test split", "second, training views", "first, ce (weighted)", "second, bn (weighted)")
    assert all(f"{line}\n" in text or f"{line}<" in text for line in lines)
    assert "epoch 2: top-1 % 50.00" in text and "epoch 2: top-1 % 60.00" in text
    assert re.search(r">50\.0</td>.*>80\.0</td>.*>\+30\.0</td>", text)


def test_of_how_many_trainings_the_test_line_is_is_said(runs: Path) -> None:
    keep_curves(runs / "run0", 5)
    for seed in (0, 1):
        keep_curves(runs / "run1", 8, seed, looks=seed)
    assert "The line of the test split is of 1 of 2 trainings of the second: others were tested" in page_of(runs)


def test_curves_that_are_damaged_are_said(runs: Path) -> None:
    for name in RUNS:
        keep_curves(runs / name, 5).write_bytes(b"nonsense")
    assert "is not a readable safetensors file" in page_of(runs)


def test_runs_of_no_evaluation_in_common_have_a_page(runs: Path) -> None:
    found = Comparison(RUNS, (), (), (), ("hard@1 on convnet3 of the first alone",), ())
    text = HTML.render_comparison(found, [RunFolder(runs / name) for name in RUNS])
    assert "no evaluation in common" in text and "of the first alone" in text


@pytest.mark.parametrize("form", ["json", "markdown"])
def test_other_forms_refuse_in_one_line(runs: Path, form: str) -> None:
    with pytest.raises(UsageError, match="no form for a comparison of two runs; take html"):
        Registry().load("format", form).render_comparison(compared(*(read(runs / name) for name in RUNS)), [])
