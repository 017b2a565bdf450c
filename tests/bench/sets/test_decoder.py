"""Sets whose stored images each decode into several: what is stored, what is trained on, and what others are given."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from keeping import keep
from torch import Tensor, nn
from torch.nn import functional as F

from bench.cli.foreign_sets import read_against
from bench.cli.outcomes import rows_of
from bench.condensation import Grid, Images
from bench.data.datasets import Dataset, Normalisation
from bench.errors import CorruptArtefact, UsageError
from bench.extensions.registry import Registry
from bench.interchange.export import writing
from bench.interchange.export.card import card_of
from bench.interchange.export.forms import FORMS
from bench.interchange.importing import fingerprint, read_own
from bench.interface.sets import load_set
from bench.labels import HardLabels, Labels, RegressionLabels, SoftLabels
from bench.sets import condensed as sets
from bench.sets.condensed import CondensedSet, check_fits
from bench.sets.decoding import decoded
from bench.storage.files import read_json, write_json
from bench.testing import tiny_task
from bench_imports.method import Imported, ImportedConfig

METHOD = '''
import torch

from bench.condensation import Condenser, Grid, Images, MethodConfig
from bench.drawing import draw
from bench.evaluation import Protocol, Scores
from bench.hookspecs import Offer, hookimpl
from bench.labels import SoftLabels
from bench.recipes import RecipeBook
from bench.training.protocol import TrainingProtocol


class Four(Condenser[MethodConfig]):
    """Four real images in each, every second pixel of them."""

    decoder = Grid(2)

    @classmethod
    def protocol(cls, setting):
        return "by-images"

    def synthesize(self, task, unit):
        made = []
        for label in unit.classes:
            real = task.dataset.train.take(draw(task.dataset, label, 4 * task.ipc, task.seed))[:, :, ::2, ::2]
            rows = torch.cat([real[0::2], real[1::2]], 3)
            made.append(torch.cat([rows[0::2], rows[1::2]], 2))
        return Images(torch.cat(made), torch.tensor(unit.classes).repeat_interleave(task.ipc))

    def label(self, task, images):
        decoded = len(images) == 4 * task.ipc * task.classes  # a control's are not
        assert images.pixels.is_floating_point() == decoded
        return SoftLabels(torch.nn.functional.one_hot(images.classes, task.classes).float() * 0.9 + 0.1 / task.classes)


IPCS = {"2": {"epochs": 3}, "8": {"epochs": 5}}
TABLE = {"source": "a test", "batch_size": 8, "lr": 0.01, "weight_decay": 0, "ipcs": IPCS}
BY_IMAGES = TrainingProtocol("by-images", "own", RecipeBook({"recipes": {"small": TABLE, "large": TABLE}}))


@hookimpl
def bench_methods():
    return [Offer("four", Four, "four images in each")]


@hookimpl
def bench_protocols():
    return [Offer("by-images", BY_IMAGES, "two epochs more from eight images a class on")]
'''


def released(images: Tensor, factor: int, fill: float) -> Tensor:
    """As IDC's release decodes pixels in [0, 1], its cells brought into our order."""
    count, _, side, _ = images.shape
    if rest := side % factor:
        images = F.pad(images, (0, factor - rest, 0, factor - rest), value=fill)
    cell = -(-side // factor)
    cells = [
        images[:, :, row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
        for row in range(factor)
        for column in range(factor)
    ]
    enlarged = nn.Upsample(size=side, mode="bilinear")(torch.cat(cells))
    ordered: Tensor = enlarged.unflatten(0, (factor**2, count)).transpose(0, 1).flatten(0, 1)
    return ordered


@pytest.mark.parametrize(("side", "factor"), [(8, 2), (32, 2), (14, 3), (16, 3), (7, 2)])
def test_cells_are_enlarged_as_by_the_release(side: int, factor: int) -> None:
    images = torch.rand(3, 2, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = Grid(factor).decode(images)
    assert found.shape == (3 * factor**2, 2, side, side)
    assert torch.allclose(found, released(images, factor, 0.5), atol=1e-12)


def test_decoding_has_the_gradient_of_its_values() -> None:
    images = torch.rand(2, 1, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(Grid(2).decode, images.requires_grad_())


def a_set(digits: Dataset, labels: Labels, *, floats: bool, factor: int = 2) -> CondensedSet:
    levels = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = digits.normalisation.apply(levels) if floats else levels
    images = Images(pixels, torch.tensor([0, 0, 1, 1, 2, 2]))
    return CondensedSet(images, labels, digits.classes, digits.normalisation, decoder=Grid(factor))


def saved(folder: Path, condensed: CondensedSet) -> Path:
    form = "float32" if condensed.images.pixels.is_floating_point() else "uint8"
    about = {"method": "idc", "name": "a set", "protocol": "hard", "dataset": "digits"}
    keep(folder, condensed, form, about)  # type: ignore[arg-type]
    return folder


def soft(count: int) -> SoftLabels:
    return SoftLabels(torch.rand(count, 3, generator=torch.Generator().manual_seed(1)).softmax(1))


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("floats", [False, True])
def test_what_is_trained_on_are_the_cells_of_the_pixels(digits: Dataset, floats: bool, factor: int) -> None:
    """Whatever they are stored as, and with gray of pixels, not of normalised values, where the sides do not fit."""
    condensed = a_set(digits, HardLabels(), floats=floats, factor=factor)
    shown = condensed.decoded()
    pixels = digits.normalisation.invert(condensed.normalised())
    expected = released(pixels, factor, 0.5)
    assert torch.allclose(digits.normalisation.invert(shown.images.pixels), expected, atol=1e-5)
    assert shown.images.classes.tolist() == [label for label in (0, 1, 2) for _ in range(2 * factor**2)]
    assert shown.decoder is None and shown.decoded().images.pixels is shown.images.pixels


@pytest.mark.parametrize(
    "labels",
    [HardLabels(), soft(24), RegressionLabels(soft(24).probabilities - 0.5)],
    ids=["hard", "soft", "regression"],
)
def test_a_set_comes_back_with_its_decoder(tmp_path: Path, digits: Dataset, labels: Labels) -> None:
    made = a_set(digits, labels, floats=False)
    read = sets.load(saved(tmp_path, made))
    assert read.decoder == Grid(2)
    assert read_json(tmp_path / "manifest.json")["decoder"] == {"kind": "grid", "factor": 2}
    assert torch.equal(read.images.pixels, made.images.pixels)
    check_fits(read, digits)
    check_fits(read.decoded(), digits)
    assert sets.sizes(tmp_path)[0] < 2 * 6 * 64 + 500  # of what is stored


def test_a_decoder_that_is_not_known_here_is_refused(tmp_path: Path, digits: Dataset) -> None:
    folder = saved(tmp_path, a_set(digits, HardLabels(), floats=False))
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", {**manifest, "decoder": {"kind": "spectrum", "factor": 2}})
    with pytest.raises(CorruptArtefact, match="decoder"):
        sets.load(folder)


@pytest.mark.parametrize("to", sorted(FORMS))
@pytest.mark.parametrize("labels", [HardLabels(), soft(24)], ids=["hard", "soft"])
def test_others_are_given_what_is_trained_on(tmp_path: Path, digits: Dataset, to: str, labels: Labels) -> None:
    place = saved(tmp_path / "set", a_set(digits, labels, floats=True))
    found = writing.read(place, to)
    writing.export(found, place, to, tmp_path / "out", card_of(found.manifest.to_json(), None, [], to))
    back, own = read_against(tmp_path / "out", digits, Registry()).condensed, sets.load(place).decoded()
    assert back.decoder is None
    assert read_json(tmp_path / "out" / "manifest.json")["decoder"] == {"kind": "grid", "factor": 1}, "they are cut"
    assert "24 images, decoded from 6 stored ones." in (tmp_path / "out" / "README.md").read_text()
    assert back.images.classes.tolist() == own.images.classes.tolist()
    assert torch.allclose(back.normalised(), own.normalised(), atol=0 if to in ("pt", "mtt") else 0.5 / 255 / 0.2)
    if isinstance(labels, SoftLabels):
        assert torch.equal(back.labels.tensors["probabilities"], labels.probabilities)


def by_hand(folder: Path, digits: Dataset, **about: Any) -> Path:  # noqa: ANN401 - any manifest
    """As IDC's release keeps its sets: pixels in [0, 1] in one list with their labels."""
    folder.mkdir()
    pixels = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.save([pixels, torch.tensor([0, 0, 1, 1, 2, 2])], folder / "data.pt")
    source = {"file": "data.pt", "images": "0", "labels": "1", "range": "0..1"}
    written = {"source": source, "classes": list(digits.classes), "decoder": {"kind": "grid", "factor": 2}, **about}
    (folder / "manifest.json").write_text(json.dumps(written))
    return folder


def test_a_manifest_written_by_hand_may_name_a_decoder(tmp_path: Path, digits: Dataset) -> None:
    found = read_against(by_hand(tmp_path / "set", digits), digits, Registry()).condensed
    pixels = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    shown = digits.normalisation.invert(found.decoded().normalised())
    assert torch.allclose(shown, released(pixels, 2, 0.5), atol=1e-5)


def test_labels_beside_the_images_of_a_decoder_are_refused(tmp_path: Path, digits: Dataset) -> None:
    place = by_hand(tmp_path / "set", digits, labels={"fkd": "labels", "temperature": 20})
    with pytest.raises(UsageError, match="do not go together"):
        read_against(place, digits, Registry())


@pytest.mark.parametrize("ipc", [1, 2])
@pytest.mark.parametrize("kind", [SoftLabels, RegressionLabels])
def test_labels_of_each_decoded_image_go_where_it_goes(tmp_path: Path, digits: Dataset, kind: Any, ipc: int) -> None:  # noqa: ANN401
    """Also where a part of the set is taken, and where it is not in the order of its classes."""
    order = torch.tensor([4, 0, 2, 1, 5, 3])
    made = a_set(digits, HardLabels(), floats=False)
    of_each = torch.rand(24, 3, generator=torch.Generator().manual_seed(1)).softmax(1)
    folder = saved(tmp_path / "set", replace(made, images=made.images.at(order), labels=kind(of_each)))
    content = fingerprint(folder, read_own(folder).files)
    method = Imported(ImportedConfig(path=str(folder), content=content, grid=2, whole=ipc == 2))
    task = tiny_task(tmp_path, dataset=digits, ipc=ipc)
    (unit,) = method.units(task)
    images = method.synthesize(task, unit)
    images = images.at(images.classes.argsort(stable=True))
    (found,) = method.label(task, decoded(images, method.decoder, digits.normalisation)).tensors.values()
    chosen = [[1, 3, 2, 5, 0, 4], [1, 2, 0]][ipc == 1]
    assert torch.equal(found, torch.cat([of_each[4 * place : 4 * place + 4] for place in chosen]))
    assert not method.label(task, made.decoded().images.at(torch.arange(4))).tensors  # another set's


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path, dict[str, Any], dict[str, Any]]:
    """A run of two stored images a class: the place, its folder, its row, and its control's."""
    folder = tmp_path_factory.mktemp("maker")
    (folder / "four.py").write_text(METHOD)
    bench = Bench(folder, (str(folder / "four.py"),))
    torch.set_num_threads(1)
    jobs = bench.jobs("four", control=True, protocols=("by-images", "hard"))
    own, *controls = rows_of(jobs, [bench.run(job) for job in jobs])[:1], rows_of(jobs[1:], [bench.run(jobs[1])])
    return bench, bench.runs / jobs[0].spec.name, own[0], controls[0][0]


def test_a_row_counts_what_is_stored_and_says_what_is_trained_on(made: Any) -> None:  # noqa: ANN401
    bench, folder, row, control = made
    assert (row["ipc"], row["images"], row["decoded_images"]) == (2, 6, 24)
    assert (control["images"], control["decoded_images"]) == (6, None)
    said = bench.spoken("report", str(folder), "--plugin", *bench.plugins).stdout
    assert "four: 6 stored images decode into 24, which are trained on" in " ".join(said.split())


def test_recipes_of_protocols_go_by_what_is_trained_on(made: Any) -> None:  # noqa: ANN401
    _, _, row, control = made
    assert (row["epochs"], control["epochs"]) == (5, 3)


def test_the_folder_of_a_set_scores_what_its_run_did(made: Any, tmp_path: Path) -> None:  # noqa: ANN401
    bench, folder, row, _ = made
    words = ["evaluate", str(folder / "condensed"), "-d", "digits", "--classes", "3", "--eval-backbone"]
    common = ["--eval-seeds", "1", "--budget", "quick", "--precision", "fp32", "--device", "cpu", "--no-control"]
    place = ["--runs", str(tmp_path / "runs"), "--plugin", *bench.plugins, "--format", "json"]
    said = bench.spoken(*words, "convnet3-w32-bn", "--protocol", "by-images", *common, *place)
    assert said.returncode == 0, said.stderr
    (again,) = json.loads(said.stdout)
    assert (again["images"], again["decoded_images"], again["epochs"]) == (6, 24, 5)
    assert again["label_kind"] == row["label_kind"] == "soft"
    assert again["top1_values"] == row["top1_values"]


def test_load_set_gives_what_is_trained_on(made: Any) -> None:  # noqa: ANN401
    _, folder, _, _ = made
    loaded = load_set(folder)
    assert len(loaded) == len(loaded.images) == len(loaded.labels) == 24
    assert torch.equal(loaded.images, sets.load(folder / "condensed").decoded().normalised())
    image, target = loaded[5]
    assert image.shape == (1, 8, 8) and target.argmax() == loaded.labels[5]


def test_a_dry_run_trains_on_what_the_run_would(made: Any) -> None:  # noqa: ANN401
    bench = made[0]
    said = bench.typed("-m", "four", "--dry-run", "--no-control", "--plugin", *bench.plugins, "--seed", "1")
    assert said.returncode == 0, said.stderr


def test_a_normalised_gray_is_that_of_each_channel() -> None:
    constants = Normalisation((0.2, 0.5, 0.7), (0.1, 0.2, 0.3))
    images = Images(torch.full((1, 3, 5, 5), 255, dtype=torch.uint8), torch.tensor([0]))
    shown = CondensedSet(images, HardLabels(), ("a", "b"), constants, decoder=Grid(2)).decoded()
    corner = constants.invert(shown.images.pixels)[3]
    assert torch.allclose(corner[:, -1, -1], torch.full((3,), 0.5), atol=1e-5)
    assert torch.allclose(corner[:, 0, 0], torch.ones(3), atol=1e-5)


@pytest.mark.parametrize(
    ("side", "factor", "fits"), [(8, 2, True), (8, 3, True), (8, 5, False), (8, 9, False), (224, 3, True)]
)
def test_no_cell_is_of_filling_alone(side: int, factor: int, fits: bool) -> None:
    """Of 8 pixels in cells of 2, the fifth cell has none."""
    assert (Grid(factor).unfit(side) == "") == fits
    decoded = Grid(factor).decode(torch.ones(1, 1, side, side))
    assert bool((decoded.flatten(1) != 0.5).any(dim=1).all()) == fits
