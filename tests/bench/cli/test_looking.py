"""`bench list`, `show` and `doctor`: what a user sees before the first run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import answer
from PIL import Image

from bench.cli import COMMANDS
from bench.extensions.registry import KINDS, Registry

LISTS = ("methods", "backbones", "datasets", "protocols", "formats", "ladders", "speed-tables")


def bench(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("what", LISTS)
def test_lists_name_everything_registered(what: str) -> None:
    kind = what.removesuffix("s").replace("-", " ")
    status, table, _ = answer("list", what)
    assert status == 0
    _, text, _ = answer("list", what, "--format", "json")
    rows = json.loads(text)
    assert [row["name"] for row in rows] == Registry().names(kind)
    assert all(row["name"] in table and row["summary"] and row["plugin"] for row in rows)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("edc-figure-1", ("ladder", "smoother learning rate", "g-vbsm-smooth", "recover.flatness=0.25", "38.7")),
        ("statistics-step", ("speed table", "tiny-imagenet", "g-vbsm", "resnet18", "100", "no paper")),
    ],
)
def test_a_ladder_and_a_speed_table_are_shown_row_by_row(name: str, words: tuple[str, ...]) -> None:
    status, page, _ = answer("show", name)
    assert status == 0 and all(word in page for word in words)


@pytest.mark.parametrize("option", ["--method=edc", "--protocol=edc"])
def test_what_a_ladder_has_of_its_own_is_not_asked_for_beside_it(option: str) -> None:
    status, _, errors = answer("run", "--ladder=edc-figure-1", "--dataset=digits", option)
    assert status == 2 and f"{option.partition('=')[0]} does not go with --ladder" in errors


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    status, text, _ = answer(command, "--help")
    assert status == 0 and text.startswith(f"Usage: bench {command}")
    assert f"\n  {command} " in answer("--help")[1]


def test_a_broken_plugin_is_named_on_standard_error(tmp_path: Path) -> None:
    metadata = tmp_path / "stranger-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[bench.plugins]\nstranger = a_module_that_nobody_has\n")
    ended = bench("list", "methods", cwd=tmp_path)  # -m puts the working folder on the path
    assert ended.returncode == 0
    assert "stranger" not in ended.stdout
    assert "plugin 'stranger' is unavailable: ModuleNotFoundError" in ended.stderr
    ended = bench("doctor", "--format", "json", cwd=tmp_path)
    assert ended.returncode == 1
    finding = next(each for each in json.loads(ended.stdout) if each["what"] == "plugin stranger")
    assert finding["state"] == "missing"
    assert finding["remedy"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("list", "method"), "bench: unknown list 'method'; did you mean 'methods'?\n"),
        (("show", "sre2"), "bench: unknown name 'sre2'; did you mean 'sre2l'?\n"),
        (("sho", "sre2l"), "bench: unknown command 'sho'; did you mean 'show'?\n"),
        (("new-plugin", "x", "--kind", "metod"), "bench: unknown kind of plugin 'metod'; did you mean 'method'?\n"),
    ],
)
def test_mistakes_are_one_line_with_the_nearest(arguments: tuple[str, ...], line: str) -> None:
    assert answer(*arguments) == (2, "", line)


@pytest.mark.parametrize(
    "kind", ["method", "backbone", "dataset", "protocol", "format", "reader", "ladder", "speed table"]
)
def test_show_has_a_page_for_everything(kind: str) -> None:
    assert kind in KINDS
    for registered in Registry().registered(kind):
        status, text, _ = answer("show", registered.offer.name)
        assert status == 0
        assert f"{kind} {registered.offer.name}" in text
        assert registered.offer.summary in text


def test_show_of_a_method() -> None:
    _, text, _ = answer("show", "sre2l")
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "required of the recipe" in rows["recover.iterations"] or "4000" in rows["recover.iterations"]
    assert "squeeze.lr" in rows
    assert "sre2l-tiny" in rows["paper's protocol"]
    assert "SRe2L paper Table 7c" in text
    assert "squeeze: SRe2L paper Table 7a" in text
    assert "Images are stored as JPEG of quality 75" in text, "what the package says of paper and code"
    assert "recover.iterations 4000 -> " in text


@pytest.mark.parametrize(
    ("backbone", "count"),
    [("convnet3", "320,010"), ("resnet18", "11,173,962"), ("resnet18", "11,271,432")],
)
def test_show_of_a_backbone_counts_parameters(backbone: str, count: str) -> None:
    assert count in answer("show", backbone)[1]


def test_show_of_a_dataset_says_where_it_was_looked_for(tmp_path: Path) -> None:
    _, text, _ = answer("show", "cifar10", "--data-root", str(tmp_path))
    assert f"not below {tmp_path}" in text
    assert "cifar-10-python.tar.gz" in text
    assert "bench data fetch cifar10" in text


def test_doctor_finds_what_is_there(tmp_path: Path) -> None:
    places = ("--runs", str(tmp_path / "runs"), "--data-root", str(tmp_path))
    status, text, _ = answer("doctor", "--format", "json", *places)
    findings = {each["what"]: each for each in json.loads(text)}
    assert status == (1 if any(each["state"] == "missing" for each in findings.values()) else 0)
    for what in ("python", "torch", "torchvision", "memory", "bf16", "c++ compiler", "runs", "cache", "BENCH_DATA"):
        assert what in findings
    assert findings["dataset digits"]["state"] == "ok"
    assert "bench data fetch cifar10" in findings["dataset cifar10"]["remedy"]
    assert all(each["remedy"] for each in findings.values() if each["state"] != "ok")
    assert list((tmp_path).iterdir()) == [], "a doctor changes nothing"


def test_doctor_says_what_to_do_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    _, text, _ = answer("doctor")
    assert "c++ compiler: install no-such-compiler or name another in CXX" in text


def test_doctor_works_where_torch_does_not(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so: cannot open shared object file')")
    ended = bench("doctor", cwd=tmp_path)  # -m puts the working folder on the path
    assert ended.returncode == 1
    assert "libcudart.so" in ended.stdout
    assert "torch: pip install --force-reinstall torch" in ended.stdout
    assert ended.stderr == ""


def test_show_of_a_table_says_which_datasets_are_here(tmp_path: Path) -> None:
    _, text, _ = answer("show", "rd3", "--data-root", str(tmp_path))
    assert re.search(rf"\ncifar10 +not below {tmp_path} \(--data-root\); bench show cifar10 says what", text)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('like = "cifar"', "which is no dataset; did you mean 'cifar10'?"),
        ('like = "cifar10"', "which has resolution 32, not 16"),
    ],
)
def test_show_of_an_own_card_says_what_is_wrong_with_its_like(tmp_path: Path, line: str, said: str) -> None:
    assert said in " ".join(answer("show", str(own_card(tmp_path, line)))[1].split())


@pytest.mark.parametrize("option", ['tran = "x"', "train = 1"])
def test_show_of_an_own_card_refuses_a_wrong_option_in_a_line(tmp_path: Path, option: str) -> None:
    status, _, err = answer("show", str(own_card(tmp_path, "", option)))
    assert (status, len(err.splitlines())) == (2, 1)
    assert "sources.0.options" in err


def own_card(folder: Path, line: str, option: str = "") -> Path:
    """A card of two classes of one image each, which lie beside it."""
    for name in ("train/daisy", "train/rose", "test/daisy", "test/rose"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(folder / name / "a.png")
    card = folder / "flowers.toml"
    layout = f'[[sources]]\nlayout = "image-folder"\noptions = {{ {option} }}\n'
    card.write_text(f'name = "flowers"\nresolution = 16\nnormalisation = "half"\n{line}\n{layout}')
    return card


def test_show_of_an_own_card(tmp_path: Path) -> None:
    card = tmp_path / "flowers.toml"
    text = 'name = "flowers"\nresolution = 8\nnormalisation = "half"\nsplit = { test = 0.2 }\n'
    card.write_text(text + '[[sources]]\nlayout = "image-folder"\n')
    status, out, err = answer("show", str(card))
    assert (status, err) == (0, "")
    assert out.startswith("dataset flowers\n")
    assert "20 % of train, by class, seed 0" in out
    assert f"not below {tmp_path}" in out
    status, out, err = answer("show", str(tmp_path / "none.toml"))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "none.toml cannot be read: No such file" in err


def test_datasets_with_one_recipe_share_a_column() -> None:
    """Their names stand above each other; every dataset is in one column, and no two columns are alike."""
    _, text, _ = answer("show", "dsa")
    lines = text.split("\nmethod dsa\n")[1].split("recipe for")[1].split("\n\n")[0].splitlines()
    rule = next(number for number, line in enumerate(lines) if line.startswith("---"))
    starts = [found.start() for found in re.finditer("-+", lines[rule])]
    cuts = [slice(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]
    columns = [[line[cut].strip() for line in lines[rule + 1 :]] for cut in cuts]
    headings = [[line[cut].strip() for line in ["recipe for" + lines[0], *lines[1:rule]]] for cut in cuts[1:]]
    named = sorted(name for heading in headings for name in heading if name)
    assert named == sorted(Registry().names("dataset"))
    assert len({tuple(column) for column in columns}) == len(columns) == 4
    assert headings[2][:2] == ["mnist", "svhn"]
