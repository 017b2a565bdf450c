"""A set in every form comes back as it was: the same pixels, labels and scores."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from benching import Bench
from commands import run_bench
from keeping import keep
from torch import Tensor

from bench.cli.foreign_sets import described, read_against
from bench.cli.outcomes import rows_of
from bench.condensation import Images
from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.interchange.export import writing
from bench.interchange.export.card import card_of, without_places
from bench.interchange.export.forms import FORMS, Folders
from bench.labels import HardLabels, Labels, RegressionLabels, SoftLabels
from bench.sets import condensed as sets
from bench.sets.condensed import CondensedSet
from bench.storage import files
from bench.whitening import Whitening

PICTURES = sorted(name for name, form in FORMS.items() if form.pictures)
TENSORS = sorted(set(FORMS) - set(PICTURES))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path, list[float]]:
    """A small run of SRe2L, whose teacher labels while students train: its folder, and what it scored."""
    bench = Bench(tmp_path_factory.mktemp("maker"))
    torch.set_num_threads(1)
    (job,) = bench.jobs("sre2l", seeds=(3,))
    (row,) = rows_of([job], [bench.run(job)])
    return bench, bench.runs / job.spec.name, row["top1_values"]


def kept(folder: Path, digits: Dataset, pixels: Tensor, labels: Labels, **changes: Any) -> Path:  # noqa: ANN401
    """A set of a run's, six images class by class."""
    images = Images(pixels, torch.tensor([0, 0, 1, 1, 2, 2]), labels.tensors.get("probabilities"))
    usual: dict[str, Any] = {"preprocessing": digits.normalisation, "learned_lr": 0.02, **changes}
    condensed = CondensedSet(images, labels, digits.classes, **usual)
    form = "float32" if pixels.is_floating_point() else "uint8"
    about = {"method": "mtt", "name": "a | set", "protocol": "hard", "dataset": "digits", "iterations": 7}
    keep(folder, condensed, form, about)  # type: ignore[arg-type]
    return folder


def exported(folder: Path, to: str, output: Path) -> Path:
    found = writing.read(folder, to)
    writing.export(found, folder, to, output, card_of(found.manifest.to_json(), None, [], to))
    return output


def levels() -> Tensor:
    return torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def soft() -> SoftLabels:
    return SoftLabels(torch.rand(6, 3, generator=torch.Generator().manual_seed(1)).softmax(1))


TARGETS = RegressionLabels(soft().probabilities - 1 / 3)


@pytest.mark.parametrize("to", sorted(FORMS))
@pytest.mark.parametrize("labels", [HardLabels(), soft(), TARGETS], ids=["hard", "soft", "regression"])
def test_a_set_comes_back_as_it_was(tmp_path: Path, digits: Dataset, to: str, labels: Labels) -> None:
    place = kept(tmp_path / "set", digits, levels(), labels)
    back = read_against(exported(place, to, tmp_path / "out"), digits, Registry()).condensed
    own = sets.load(place)
    assert torch.equal(back.normalised(), own.normalised())
    assert to in TENSORS or torch.equal(back.images.pixels, own.images.pixels)
    assert back.images.classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert (back.learned_lr, back.labels.kind, back.classes) == (0.02, labels.kind, digits.classes)
    if isinstance(labels, SoftLabels):
        assert isinstance(back.labels, SoftLabels) and back.images.soft is not None
        assert torch.equal(back.labels.probabilities, labels.probabilities)
        assert torch.equal(back.images.soft, labels.probabilities)
    if labels is TARGETS:
        assert back.images.targets is not None and torch.equal(back.images.targets, TARGETS.targets)


@pytest.mark.parametrize("to", TENSORS)
def test_learned_floats_outside_the_box_come_back_as_they_were(tmp_path: Path, digits: Dataset, to: str) -> None:
    learned = 3 * torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    back = read_against(
        exported(kept(tmp_path / "set", digits, learned, soft()), to, tmp_path / "out"), digits, Registry()
    )
    assert torch.equal(back.condensed.images.pixels, learned)


@pytest.mark.parametrize("to", sorted(FORMS))
def test_a_whitened_set_brings_its_whitening(tmp_path: Path, digits: Dataset, to: str) -> None:
    mean = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(3))
    whitening = Whitening(mean, torch.eye(64) * 2)
    place = kept(tmp_path / "set", digits, whitening.apply(levels()), HardLabels(), preprocessing=whitening)
    back = read_against(exported(place, to, tmp_path / "out"), digits, Registry()).condensed
    assert back.preprocessing == whitening
    assert torch.allclose(back.normalised(), whitening.apply(levels()), atol=1e-6)


def test_pictures_of_floats_are_rounded_and_that_is_said(tmp_path: Path, digits: Dataset) -> None:
    valid = digits.normalisation.apply(levels()) + 0.001
    found = writing.read(kept(tmp_path / "set", digits, valid, HardLabels()), "folder")
    assert found.notes == (writing.TO_8_BITS,)
    assert torch.equal(found.condensed.images.pixels, levels())


@pytest.mark.parametrize("to", ["hf", "mtt", "sre2l"])
def test_what_a_teacher_labels_scores_the_same(tmp_path: Path, made: tuple[Bench, Path, list[float]], to: str) -> None:
    _, run, top1 = made
    place, elsewhere = exported(run / "condensed", to, tmp_path / "out"), Bench(tmp_path)
    found = described(place, "digits", "3", (), tmp_path / "data", elsewhere.cache, Registry())
    assert found.seed == 3  # of the run, from which those of its students come
    asked = {
        "ipcs": found.ipcs,
        "seeds": (found.seed,),
        "changes": found.changes,
        "origin": found.origin,
        "eval_backbones": ("convnet3-w32-bn",),
    }
    jobs = elsewhere.jobs("imported", **asked)
    (row,) = rows_of(jobs, [elsewhere.run(job) for job in jobs])
    assert (row["status"], row["label_kind"], row["method"]) == ("done", "online", "sre2l"), row["reason"]
    assert row["top1_values"] == top1


def test_numbers_of_pictures_sort_in_the_set_s_order_however_many_there_are(digits: Dataset) -> None:
    """ "id1000" would stand between "id100" and "id101", and soft labels would go to other images."""
    images = Images(torch.zeros(1002, 1, 8, 8, dtype=torch.uint8), torch.tensor([0] * 1001 + [1]))
    many = CondensedSet(images, HardLabels(), digits.classes, digits.normalisation)
    for to in ("sre2l", "rded", "folder"):
        form = FORMS[to]
        assert isinstance(form, Folders)
        assert sorted(form.names(many)) == form.names(many)
        assert to != "sre2l" or form.names(many)[999:1001] == ["new000/class000_id0999", "new000/class000_id1000"]


def test_the_layouts_are_those_of_the_releases(tmp_path: Path, digits: Dataset) -> None:
    place = kept(tmp_path / "set", digits, levels(), HardLabels())

    def files_of(to: str) -> set[str]:
        out = exported(place, to, tmp_path / to)
        found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        assert found >= {"README.md", "manifest.json"}
        return found - {"README.md", "manifest.json"}

    assert "images/new002/class002_id001.png" in files_of("sre2l")
    assert "images/00002/class00002_id00001.png" in files_of("rded")
    assert len(files_of("folder")) == 6
    assert files_of("hf") == {"data/train-00000-of-00001.parquet"}
    assert files_of("mtt") == {"images_best.pt", "labels_best.pt"}
    ((images, labels),) = torch.load(exported(place, "pt", tmp_path / "pt") / "set.pt", weights_only=True)["data"]
    assert torch.equal(images, digits.normalisation.apply(levels())) and labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(torch.load(tmp_path / "mtt" / "images_best.pt", weights_only=True), images)
    schema = pq.read_schema(tmp_path / "hf" / "data" / "train-00000-of-00001.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": ["0", "1", "2"], "_type": "ClassLabel"}


def test_the_command_and_its_card(tmp_path: Path, made: tuple[Bench, Path, list[float]]) -> None:
    bench, run, top1 = made
    said = run_bench("export", run.name, "--to", "hf", "-o", str(tmp_path / "out"), "--runs", str(bench.runs))
    assert (said.returncode, said.stdout, said.stderr) == (0, f"{tmp_path / 'out'}\n", "")
    text = (tmp_path / "out" / "README.md").read_text()
    assert text.startswith("---\nlicense: ")
    assert "CC BY 4.0" in text and f"{top1[0]:.2f}" in text and "| method | sre2l |" in text
    assert "bench evaluate . -d digits --eval-backbone convnet3-w32-bn --classes=0,1,2" in text


def test_a_card_shows_the_network_that_its_scores_are_of() -> None:
    manifest = {
        **{"method": "frepo", "dataset": "digits", "images": 1, "classes": ["0"], "resolution": 8, "channels": 1},
        **{"labels": {"kind": "regression"}, "backbone": "made-with", "protocol": "frepo", "protocol_version": 1},
    }
    scored = {"status": "done", "top1_mean": 70.0, "top1_std": None, "eval_seeds": 1, "classes": 1, "all_classes": 1}
    row = {**scored, "protocol_id": "frepo@1", "device_name": "cpu", "precision": "fp32"}

    def network(*rows: tuple[str, str]) -> str:
        of = [{**row, "protocol_id": protocol, "eval_backbone": name} for protocol, name in rows]
        return card_of(manifest, None, of, "pt").split("--eval-backbone ")[1].strip()

    assert network(("frepo@1", "student")) == "student"
    assert network(("frepo@1", "student"), ("frepo@1", "made-with")) == "made-with"
    assert network(("hard@1", "student")) == network() == "made-with"


def test_a_card_quotes_what_is_markup(tmp_path: Path) -> None:
    manifest = {
        **{"method": "<b>|x\n# y", "dataset": "a `b`", "images": 1, "classes": ["0"], "resolution": 8, "channels": 1},
        "labels": {"kind": "hard"},
    }
    text = card_of(manifest, None, [], "hf")
    body = text.split("---\n")[2].split("## Use")[0]
    assert "\\<b\\>\\|x \\# y" in body and "\\`b\\`" in body
    assert json.loads(text.split("tags: ")[1].splitlines()[0])[-1] == "<b>|x # y"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RUN", "--to", "parket", "-o", "new"], "unknown form 'parket'; did you mean 'parquet'?"),
        (["sre2l-digts", "--to", "pt", "-o", "new"], "no run with a condensed set is called"),
        (
            ["begun", "--to", "pt", "-o", "new"],
            "begun has no condensed set yet; the command that began it continues it",
        ),
        (["RUN", "--to", "pt", "-o", "full"], "full is there already; name a new or an empty folder"),
        (["RUN", "--to", "pt", "-o", "full/file/new"], "cannot write full/file/new"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    tmp_path: Path, made: tuple[Bench, Path, list[float]], words: list[str], said: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("kept")
    bench, run, _ = made
    (bench.runs / "begun").mkdir(exist_ok=True)
    shutil.copy(run / "spec.json", bench.runs / "begun")
    typed = [run.name if word == "RUN" else word for word in words]
    ended = run_bench("export", *typed, "--runs", str(bench.runs), folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr and len(ended.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert (tmp_path / "full" / "file").read_text() == "kept"


def test_what_breaks_on_the_way_leaves_nothing(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = kept(tmp_path / "set", digits, levels(), HardLabels())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.storage.files.os.fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        exported(place, "folder", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("damage", ["labels", "order", "teacher", "facts"])
def test_labels_that_are_not_these_are_refused(
    tmp_path: Path, digits: Dataset, made: tuple[Bench, Path, list[float]], damage: str
) -> None:
    place = exported(made[1] / "condensed", "folder", tmp_path / "out")
    manifest = files.read_json(place / "manifest.json")
    if damage == "labels":
        (place / "labels.safetensors").unlink()
        (place / "labels.safetensors").write_bytes(b"nothing")
    if damage == "order":
        (place / "images" / "2" / "000001.png").unlink()
    if damage == "teacher":
        (place / "teacher.safetensors").unlink()
    if damage == "facts":
        del manifest["labels"]["facts"]["temperature"]
        files.write_json(place / "manifest.json", manifest)
    said = {"labels": "does not hold the labels", "order": "other images", "teacher": "is not there", "facts": "labels"}
    with pytest.raises(UsageError, match=said[damage]):
        read_against(place, digits, Registry())


def test_a_damaged_set_is_not_exported(tmp_path: Path, digits: Dataset) -> None:
    place = kept(tmp_path / "set", digits, levels(), HardLabels())
    shutil.copy(place / "labels.safetensors", place / "images.safetensors")
    with pytest.raises(UsageError, match="missing or altered"):
        writing.read(place, "pt")


def test_tensors_within_lists_have_dotted_names(tmp_path: Path, digits: Dataset) -> None:
    """Those of DC's release, which holds accuracies besides."""
    place = tmp_path / "set"
    place.mkdir()
    pixels, classes = digits.normalisation.apply(levels()), torch.tensor([0, 0, 1, 1, 2, 2])
    twice = [[torch.zeros(1), torch.zeros(1)], [pixels, classes]]
    torch.save({"data": twice, "accs_all_exps": {"ConvNet": [0.5]}}, place / "res.pt")
    source = {"file": "res.pt", "images": "data.1.0", "labels": "data.1.1", "range": "normalised"}
    (place / "manifest.json").write_text(json.dumps({"source": source, "classes": list(digits.classes)}))
    assert torch.equal(read_against(place, digits, Registry()).condensed.images.pixels, pixels)
    for name in ("data.2.0", "data.x", "accs_all_exps.ConvNet.0.1", "data.-1.0"):
        (place / "manifest.json").write_text(json.dumps({"source": {**source, "images": name}}))
        with pytest.raises(UsageError, match="holds no"):
            read_against(place, digits, Registry())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "bench run -d /home/me/a.toml --runs ../x/runs/ --data-root=/mnt/d",
            "bench run -d a.toml --runs runs --data-root=d",
        ),
        ("bench run --plugin './p q/a.py' --classes=a,b", "bench run --plugin a.py --classes=a,b"),
        (
            "bench run --runs s3://bucket/runs --set 'imported:path=\"/a/b\"'",
            "bench run --runs runs --set 'imported:path=\"b\"'",
        ),
        ("bench run 'cut", None),
        (None, None),
    ],
)
def test_a_card_tells_no_places_of_the_machine(command: str | None, said: str | None) -> None:
    assert without_places(command) == said
