"""`bench evaluate` of a set from elsewhere: what its row says, and parts of larger sets."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench
from click.testing import CliRunner
from foreign import write_manifest
from PIL import Image

from bench.cli import forecasts as foreseeing
from bench.cli.commands.evaluate import command
from bench.cli.foreign_sets import WITHOUT_LR, Described, described
from bench.cli.outcomes import rows_of
from bench.data.datasets import Dataset
from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning.request import Request
from bench.reporting import Row
from bench.reporting.view import views
from bench.results.spec import Origin, RunSpec
from bench.sets.condensed import first_of_each


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, (str(Path(__file__).with_name("short_protocols.py")),))


def real(folder: Path, digits: Dataset, counts: tuple[int, int, int], **about: Any) -> Path:  # noqa: ANN401
    """Real images, so many of each class, class by class."""
    chosen = torch.cat([torch.nonzero(digits.train.labels == k).flatten()[:n] for k, n in enumerate(counts)])
    write_manifest(folder, source={"file": "set.pt", "range": "0..255"}, classes=list(digits.classes), **about)
    torch.save({"images": digits.train.take(chosen), "labels": digits.train.labels[chosen]}, folder / "set.pt")
    return folder


def known(bench: Bench, folder: Path, *ipcs: int) -> Described:
    return described(folder, "digits", "3", ipcs, bench.folder / "data", bench.cache, Registry())


def evaluated(bench: Bench, folder: Path, *ipcs: int, **changes: Any) -> list[Row]:  # noqa: ANN401 - of a request
    """The rows of `bench evaluate`, in this process."""
    found = known(bench, folder, *ipcs)
    asked: dict[str, Any] = {"protocols": ("short",), "eval_backbones": ("convnet3-w32-bn",), **changes}
    asked |= {"ipcs": found.ipcs, "changes": found.changes, "origin": found.origin}
    jobs = bench.jobs("imported", **asked)
    return rows_of(jobs, [bench.run(job) for job in jobs])


def test_a_row_says_what_the_manifest_says(bench: Bench, digits: Dataset) -> None:
    about = {"name": "their-set", "method": "mtt", "backbone": "convnet3", "iterations": 5000, "protocol": "dsa"}
    folder = real(bench.folder / "set", digits, (2, 2, 2), **about)
    rows = evaluated(bench, folder, control=True)
    (row,) = (row for row in rows if not row["is_control"])
    said = {name: row[name] for name in ("set", "method", "backbone", "iterations", "ipc", "images", "imported")}
    assert said == {
        **{"set": "their-set", "method": "mtt", "backbone": "convnet3", "iterations": 5000},
        **{"ipc": 2, "images": 6, "imported": True},
    }
    assert (row["class_order"], row["images_per_class"]) == ("stated", None)
    assert row["synthesis_precision"] is None, "in which arithmetic it was made is not known"
    (control,) = (row for row in rows if row["is_control"])
    assert (control["method"], control["imported"], control["set"]) == ("random", False, None)
    (view,) = views(rows, claims=False)
    assert "condensed with" not in view.heading
    assert view.identity["method"][view.identity["set"].index("their-set")] == "mtt (imported)"


@pytest.mark.parametrize(("form", "tested"), [("0..255", 2), ("0..1", 1), ("0..1", 0)])
def test_images_that_are_tested_on_are_counted_and_said(bench: Bench, digits: Dataset, form: str, tested: int) -> None:
    """A card may cut its own test split, of which whoever made the set knew nothing."""
    folder = real(bench.folder / "set", digits, (2, 2, 2))
    held = torch.load(folder / "set.pt")
    for place in range(tested):
        first = torch.nonzero(digits.test.labels == place).flatten()[:1]
        held["images"][2 * place] = digits.test.take(first)[0]
    if form == "0..1":
        held["images"] = held["images"].float() / 255
        write_manifest(folder, source={"file": "set.pt", "range": form}, classes=list(digits.classes))
    torch.save(held, folder / "set.pt")
    (row,) = evaluated(bench, folder)
    said = {0: [], 1: ["1 of its images is in the test split"], 2: ["2 of its 6 images are in the test split"]}[tested]
    assert [each.partition(",")[0] for each in row["warnings"] if "test split" in each] == said


@pytest.mark.parametrize(
    ("about", "lacks", "warned"),
    [
        ({"method": "mtt", "protocol": "mtt"}, True, True),
        ({"method": "mtt", "protocol": "mtt", "learned_lr": 0.02}, False, False),
        ({"method": "mtt", "protocol": "hard"}, True, False),  # which trains at its own rate, whatever a set brings
        ({"method": "dm", "protocol": "dm"}, False, False),
        ({"method": "theirs", "protocol": "mtt"}, False, False),
    ],
)
def test_a_set_whose_method_learns_a_step_size_says_that_it_brings_none(
    bench: Bench,
    digits: Dataset,
    capsys: pytest.CaptureFixture[str],
    about: dict[str, Any],
    lacks: bool,
    warned: bool,
) -> None:
    found = known(bench, real(bench.folder / "set", digits, (1, 1, 1), **about))
    said = " ".join(capsys.readouterr().err.split())
    warning = "set states no 'learned_lr', the step size that was learned with its images: mtt trains at its recipe's"
    assert (warning in said) is warned
    asked: dict[str, Any] = {"changes": found.changes, "origin": found.origin, "ipcs": found.ipcs}
    asked |= {"protocols": ("short",), "eval_backbones": ("convnet3-w32-bn",)}
    (job,) = bench.jobs("imported", **asked)
    assert job.spec.method.differs == ((WITHOUT_LR,) if lacks else ())
    (plain,) = bench.jobs("imported", **{**asked, "changes": [each for each in found.changes if "lacks" not in each]})
    assert job.spec.name == plain.spec.name, "it is named as ever"


@pytest.mark.parametrize(
    ("about", "warned"),
    [
        ({"method": "idc"}, True),
        ({"method": "idc", "decoder": {"kind": "grid", "factor": 2}}, False),
        ({"method": "idc", "decoder": {"kind": "grid", "factor": 1}}, False),  # they were cut already
        ({"method": "idc-i"}, False),
        ({"method": "theirs"}, False),
    ],
)
def test_a_set_whose_images_may_hold_several_is_asked_whether_they_do(
    bench: Bench, digits: Dataset, capsys: pytest.CaptureFixture[str], about: dict[str, Any], warned: bool
) -> None:
    found = known(bench, real(bench.folder / "set", digits, (1, 1, 1), **about))
    said = " ".join(capsys.readouterr().err.split())
    assert ('state "decoder": {"kind": "grid", "factor": 2}, or of images that were cut already' in said) is warned
    assert any("grid" in each for each in found.changes) is (about.get("decoder", {}).get("factor") == 2)


def test_a_backbone_that_is_not_known_is_none(bench: Bench, digits: Dataset) -> None:
    (row,) = evaluated(bench, real(bench.folder / "a", digits, (1, 1, 1), method="dm"))
    assert (row["backbone"], row["set"], row["method"]) == (None, "a", "dm")
    (view,) = views([row], claims=False)
    assert "condensed with" not in view.heading and "convnet3-w32-bn" in view.heading


def test_two_sets_of_one_method_are_told_apart_by_name(bench: Bench, digits: Dataset) -> None:
    rows = [
        *evaluated(bench, real(bench.folder / "first", digits, (1, 1, 1), method="dm")),
        *evaluated(bench, real(bench.folder / "second", digits, (1, 1, 1), method="dm", learned_lr=0.1)),
    ]
    (view,) = views(rows, claims=False)
    assert sorted(view.identity["set"]) == ["first", "second"]
    assert "run" not in view.identity


def test_the_first_images_of_each_class_of_a_larger_set(bench: Bench, digits: Dataset) -> None:
    """The same row as that of the smaller set, whose images they are."""
    large, small = (real(bench.folder / f"set-{n}", digits, (n, n, n)) for n in (3, 1))
    one, two = evaluated(bench, large, 1, 2)
    (alone,) = evaluated(bench, small)
    assert (one["ipc"], one["images"], two["ipc"], two["images"]) == (1, 3, 2, 6)
    assert one["top1_values"] == alone["top1_values"]
    with pytest.raises(UsageError, match="--ipc must be 1 to 3, the images of the smallest class"):
        known(bench, large, 4)


def test_the_first_of_each_class_are_taken_in_the_sets_order() -> None:
    classes = torch.tensor([2, 0, 2, 1, 0, 2, 1])
    assert first_of_each(classes, 1).tolist() == [0, 1, 3]
    assert first_of_each(classes, 2).tolist() == [0, 1, 2, 3, 4, 6]


def test_uneven_classes_are_said_and_stand_in_the_row(
    bench: Bench, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = evaluated(bench, real(bench.folder / "uneven", digits, (1, 2, 5)))
    assert (row["ipc"], row["images"], row["images_per_class"]) == (3, 8, [1, 5])
    assert "the classes of uneven have 1 to 5 images, 8 in all" in capsys.readouterr().err.replace("\n", " ")
    (view,) = views([row], claims=False)
    assert "set uneven: its classes have 1 to 5 images, 8 in all" in view.notes
    with pytest.raises(UsageError, match="has no image of 1 of 3 classes, 1; --classes names"):
        known(bench, real(bench.folder / "empty", digits, (1, 0, 1)))


def test_paper_is_the_protocol_that_the_manifest_names(bench: Bench, digits: Dataset) -> None:
    folder = real(bench.folder / "set", digits, (1, 1, 1), method="mtt", protocol="dsa")
    found = known(bench, folder)
    asked = {"changes": found.changes, "origin": found.origin, "ipcs": found.ipcs, "eval_backbones": ("convnet3",)}
    (job,) = bench.jobs("imported", protocols=("paper",), **asked)
    assert [each.protocol for each in job.evaluations] == ["dsa"]
    folder = real(bench.folder / "word", digits, (1, 1, 1), method="dc", protocol="paper")
    assert known(bench, folder).origin.protocol == "dc"
    with pytest.raises(UsageError, match="names the protocol 'paper', but 'theirs' is no method here"):
        known(bench, real(bench.folder / "theirs", digits, (1, 1, 1), method="theirs", protocol="paper"))


@pytest.mark.parametrize("asked", ["theirs", "paper"])
def test_a_protocol_that_nobody_typed_is_said_to_be_the_manifests(bench: Bench, digits: Dataset, asked: str) -> None:
    found = known(bench, real(bench.folder / "set", digits, (1, 1, 1), protocol="theirs"))
    with pytest.raises(UsageError, match=r"^unknown protocol 'theirs'; .*\(the set's manifest names it: .*\)$"):
        bench.jobs("imported", protocols=(asked,), changes=found.changes, origin=found.origin, ipcs=found.ipcs)
    with pytest.raises(UsageError, match=r"^unknown protocol 'sotf'; did you mean 'soft'\?$"):
        bench.jobs("imported", protocols=("sotf",), changes=found.changes, origin=found.origin, ipcs=found.ipcs)


def test_another_version_of_the_protocol_is_said(
    bench: Bench, digits: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    known(bench, real(bench.folder / "old", digits, (1, 1, 1), protocol="hard", protocol_version=77))
    assert "old was made for hard@77; here that protocol is @1" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("method", "protocol", "asked", "said"),
    [
        ("rded", "rded", (), "rded trains on hard ones, and rded has online ones; name them in the manifest"),
        ("datm", "datm", ("paper+e5", "hard"), "datm trains on hard ones, and datm has soft ones; name them"),
        ("rded", "rded", ("hard", "soft"), ""),  # what is asked for is no mistake
        ("dm", "mtt", (), ""),
        ("theirs", "rded", (), ""),
    ],
)
def test_a_set_that_brings_no_labels_where_its_method_has_them_is_said(
    bench: Bench,
    digits: Dataset,
    capsys: pytest.CaptureFixture[str],
    method: str,
    protocol: str,
    asked: tuple[str, ...],
    said: str,
) -> None:
    folder = real(bench.folder / "set", digits, (1, 1, 1), method=method, protocol=protocol)
    place = (bench.folder / "data", bench.cache, Registry())
    described(folder, "digits", "3", (), *place, protocols=asked)
    heard = capsys.readouterr().err.replace("\n", " ")
    assert said in heard and ("brings no labels but classes" in heard) == bool(said)


def test_our_manifests_say_what_made_the_set(bench: Bench) -> None:
    (job,) = bench.jobs("dm", backbones=("convnet3",), changes=("iterations=3",), protocols=("short",))
    bench.run(job)
    manifest = json.loads((bench.runs / job.spec.name / "condensed" / "manifest.json").read_text())
    said = {name: manifest[name] for name in ("method", "backbone", "iterations", "budget", "seed", "protocol_version")}
    assert said == {
        **{"method": "dm", "backbone": "convnet3", "iterations": 3, "budget": "quick", "seed": 0},
        "protocol_version": 1,
    }


def test_where_a_set_came_from_survives_json_and_is_no_part_of_the_hash(bench: Bench) -> None:
    origin = Origin("a", "dm", "hard", "ids", images=8, images_per_class=(1, 5))
    (job,) = bench.jobs("random")
    (with_origin,) = bench.jobs("random", origin=origin)
    assert RunSpec.from_json(json.loads(json.dumps(with_origin.spec.to_json()))) == with_origin.spec
    assert with_origin.spec.hash == job.spec.hash


@pytest.mark.parametrize(
    ("about", "said", "seeds"),
    [({}, "", (0,)), ({"seed": 3}, "", (3,)), ({"seed": 3}, "--seed 0 --seed 1", (0, 1))],
)
def test_a_dry_run_foresees_the_jobs_of_the_evaluation_and_does_none(
    bench: Bench, digits: Dataset, monkeypatch: pytest.MonkeyPatch, about: dict[str, int], said: str, seeds: object
) -> None:
    asked: list[Request] = []

    def seen(request: Request, *_: object, **__: object) -> int:
        asked.append(request)
        return 0

    monkeypatch.setattr(foreseeing, "foresee", seen)
    folder = real(bench.folder / "set", digits, (2, 2, 2), method="dm", **about)
    options = f"-d digits --classes 3 --eval-backbone convnet3 --ipc 1 --ipc 2 --dry-run --runs {bench.runs} {said}"
    ended = CliRunner().invoke(command, [str(folder), *options.split()], env={"BENCH_CACHE": str(bench.cache)})
    assert ended.exit_code == 0, ended.output
    (request,) = asked
    assert (request.methods, request.ipcs, request.protocols) == (("imported",), (1, 2), ("hard",))
    assert request.seeds == seeds
    assert request.origin is not None and request.origin.method == "dm"
    assert not bench.runs.exists()


def as_files(folder: Path, digits: Dataset, forms: tuple[str, str]) -> Path:
    """Two images of each class in folders, noisy ones so that no two files are of one size."""
    write_manifest(folder, source={"layout": "image-folder", "options": {"train": "images"}})
    for place, name in enumerate(digits.classes[:3]):
        (folder / "images" / name).mkdir(parents=True)
        for number, form in enumerate(forms):
            noise = torch.randint(0, 256, (8, 8), generator=torch.Generator().manual_seed(10 * place + number))
            picture = Image.fromarray(noise.to(torch.uint8).numpy())
            picture.save(folder / "images" / name / f"{number}.{form}")
    return folder


@pytest.mark.parametrize(
    ("forms", "told"), [(("jpeg", "jpeg"), "jpeg"), (("png", "png"), "png"), (("jpeg", "png"), "jpeg + png")]
)
def test_images_that_came_as_files_are_counted_as_these(
    bench: Bench, digits: Dataset, forms: tuple[str, str], told: str
) -> None:
    folder = as_files(bench.folder / "set", digits, forms)
    (row,) = evaluated(bench, folder)
    whole = [path.stat().st_size for path in sorted(folder.glob("images/*/*"))]
    assert (row["set_bytes"], row["image_format"]) == (sum(whole), told)
    (first,) = evaluated(bench, folder, 1)
    assert first["set_bytes"] == sum(whole[::2]), "of the images that are taken"


def test_images_that_came_as_tensors_are_counted_as_they_are_stored_here(bench: Bench, digits: Dataset) -> None:
    (row,) = evaluated(bench, real(bench.folder / "set", digits, (2, 2, 2)))
    stored = bench.runs / row["run"] / "condensed" / "images.safetensors"
    assert (row["set_bytes"], row["image_format"]) == (stored.stat().st_size, "uint8")


def test_a_set_of_ours_counts_as_much_when_it_is_brought(bench: Bench) -> None:
    options = {"backbones": ("convnet3-w32-bn",), "changes": ("recover.iterations=2", "recover.images=jpeg")}
    (job,) = bench.jobs("sre2l", protocols=("short",), **options)
    (made,) = rows_of([job], [bench.run(job)])
    (brought,) = evaluated(bench, bench.runs / job.spec.name / "condensed")
    assert made["image_format"] == "jpeg"
    assert [brought[name] for name in ("set_bytes", "image_format")] == [made["set_bytes"], "jpeg"]
