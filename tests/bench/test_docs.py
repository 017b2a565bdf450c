"""The documentation is held to the code: every hook with its exact signature, every example run, every link there."""

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from child_work import children_here

from bench import hookspecs, testing
from bench.cli import COMMANDS, help_page
from bench.condensation import Condenser
from bench.extensions.registry import KINDS, Registry
from bench.recipes import RecipeBook, Setting
from bench.testing import Conformance, MethodConformance, ProtocolConformance

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONCEPTS = (DOCS / "concepts.md").read_text(encoding="utf-8")
ADDING = (DOCS / "adding-a-method.md").read_text(encoding="utf-8")
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("bench_"))


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def block_called(name: str) -> str:
    """The example that begins with the name of its file."""
    return next(block for block in blocks(ADDING, "python") if block.startswith(f"# {name}\n"))


def signature(name: str) -> str:
    """As it stands in the docs: `name(parameter: type) -> type`, types by their last name."""
    text = f"{name}{inspect.signature(getattr(hookspecs, name))}"
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


def test_the_recipe_book_gives_what_the_page_says_of_it(tmp_path: Path) -> None:
    """Digits have their own table, the rest takes that of its size; what is not said is as in the table it is like."""
    (written,) = [block for block in blocks(ADDING, "toml") if block.startswith("# random_features.toml\n")]
    (tmp_path / "book.toml").write_text(written)
    book = RecipeBook.load(tmp_path / "book.toml")
    for name, resolution, lr in (("digits", 8, 0.5), ("flowers", 64, 1.0), ("flowers", 224, 1.0)):
        found = book.pick(Setting(name, resolution, 1, 10, 10, "convnet3-bn"))
        assert found.values == {"iterations": 200, "lr": lr}
        assert found.at("quick")["iterations"] == 50


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented_with_its_exact_signature(name: str) -> None:
    assert f"\n`{signature(name)}`\n: " in CONCEPTS


def test_no_hook_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^`(bench_\w+)\(", CONCEPTS, re.MULTILINE)) == set(HOOKS)
    assert set(KINDS.values()) <= set(HOOKS)


def test_the_offer_is_documented_with_its_fields() -> None:
    documented = next(block for block in blocks(CONCEPTS, "python") if block.startswith("Offer("))
    assert re.findall(r"(\w+): ", documented) == list(inspect.signature(hookspecs.Offer).parameters)
    documented = next(block for block in blocks(CONCEPTS, "python") if block.startswith("Rule("))
    assert re.findall(r"(\w+): ", documented) == list(inspect.signature(hookspecs.Rule).parameters)


def test_the_page_of_commands_is_what_they_say_of_themselves() -> None:
    """Made by `python -m bench.cli.help_page > docs/commands.md`."""
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == help_page.page()


def test_every_page_stands_in_the_list_of_pages() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (DOCS / "README.md").read_text(encoding="utf-8")))
    assert linked == {path.name for path in DOCS.glob("*.md")} - {"README.md"}


def test_the_readme_counts_the_published_tables() -> None:
    (said,) = re.findall(r"names (\d+) tables", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert int(said) == len(Registry().names("table"))


def test_every_command_and_option_says_what_it_is_for() -> None:
    said = help_page.page()
    assert [name for name in COMMANDS if f"\n## bench {name}" not in said] == []
    assert re.findall(r"^\| `(.*)` \| (?:\[.*)?\|$", said, re.MULTILINE) == []


def test_every_conformance_class_is_documented() -> None:
    classes = {name for name in testing.__all__ if name.endswith("Conformance")} - {Conformance.__name__}
    assert set(re.findall(r"^\| `(\w+Conformance)`", CONCEPTS, re.MULTILINE)) == classes


def test_what_a_method_may_write_is_what_it_may_write() -> None:
    table = set(re.findall(r"^\| `(\w+)", ADDING, re.MULTILINE))
    public = {name for name in vars(Condenser) if not name.startswith("_")}
    assert table == public - {"synthesize", "Config"}


def test_every_method_is_on_the_page_of_methods_with_its_protocol() -> None:
    registry = Registry()
    page = (DOCS / "methods.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([a-z0-9-]+)` \|.*\| `([a-z0-9-]+)` \|$", page, re.MULTILINE))
    makers = {name for name in registry.names("method") if registry.load("method", name).made_here}
    assert set(listed) == makers
    tiny = Setting("tiny-imagenet", 64, 3, 200, 10, "convnet4-bn")
    assert listed == {name: registry.load("method", name).protocol(tiny) for name in makers}


def test_every_protocol_is_on_the_page_of_protocols() -> None:
    page = (DOCS / "protocols.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (`[a-z0-9-]+`(?:, `[a-z0-9-]+`)*) \|[^|]*\|[^|]*\|$", page, re.MULTILINE)
    names = {name for cell in listed for name in re.findall(r"`([a-z0-9-]+)`", cell)}
    assert set(Registry().names("protocol")) <= names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples in it, where the reader stands."""
    for name in ("nearest_mean.py", "random_features.py", "easiest.py"):
        (tmp_path / name).write_text(block_called(name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class FromTheDocs:
    """The conformance of an example on the page; the kind of conformance stands beside it."""

    file: str

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls, tmp_path_factory: pytest.TempPathFactory) -> Registry:
        path = tmp_path_factory.mktemp("docs") / cls.file
        path.write_text(block_called(cls.file))
        return Registry([str(path)])


class TestNearestMean(FromTheDocs, MethodConformance):
    name = "nearest-mean"
    file = "nearest_mean.py"
    seeded = False


class TestRandomFeatures(FromTheDocs, MethodConformance):
    name = "random-features"
    file = "random_features.py"


class TestEasiest(FromTheDocs, MethodConformance):
    name = "easiest"
    file = "easiest.py"


class TestEasiestProtocol(FromTheDocs, ProtocolConformance):
    name = "easiest"
    file = "easiest.py"


@pytest.mark.parametrize(("file", "most"), [("nearest_mean.py", 30), ("random_features.py", 60), ("easiest.py", 75)])
def test_the_examples_are_as_short_as_the_page_promises(file: str, most: int) -> None:
    assert len(block_called(file).splitlines()) <= most


def test_the_test_on_the_page_is_the_test(here: Path) -> None:
    """Its class is MethodConformance with the attributes that the plugin beside it needs."""
    names: dict[str, Any] = {}
    exec(compile(block_called("test_nearest_mean.py"), "test_nearest_mean.py", "exec"), names)
    example = names["TestNearestMean"]
    assert issubclass(example, MethodConformance)
    assert Registry(example.plugins).find("method", example.name).plugin == "bench_file_nearest_mean"
    assert example.seeded is TestNearestMean.seeded


@pytest.mark.parametrize(("number", "rows"), [(0, 1), (1, 2)], ids=["first", "second"])
def test_the_commands_run(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, rows: int
) -> None:
    """With fewer classes and seeds than on the page, to be quick."""
    from bench.cli import main

    lines = (line for block in blocks(ADDING, "sh") for line in block.splitlines())
    command = [line for line in lines if line.startswith("bench run")][number]
    quick = ("--classes", "2", "--ipc", "1", "--eval-seeds", "1", "--device", "cpu", "--no-control", "--format", "json")
    monkeypatch.setattr(sys, "argv", [*command.split(), *quick])
    monkeypatch.setenv("BENCH_CACHE", str(here / "cache"))
    monkeypatch.setenv("BENCH_RUNS", str(here / "runs"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(SystemExit) as ended, children_here():
        main()
    captured = capsys.readouterr()
    assert ended.value.code == 0, captured.err
    assert [row["status"] for row in json.loads(captured.out)] == ["done"] * rows


@pytest.mark.parametrize("page", [*sorted(DOCS.glob("*.md")), ROOT / "README.md"], ids=lambda page: page.name)
def test_links_lead_somewhere_and_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for command in re.findall(r"(?:^|`)bench ([a-z][a-z-]+)\b", text, re.MULTILINE):
        assert command in COMMANDS, f"{page.name} names `bench {command}`"
