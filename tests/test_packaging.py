"""What setup.cfg says, held against the disk: an unlisted sub-package works editable and is missing in a wheel."""

import ast
import configparser
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from bench.extensions.registry import Registry

ROOT = Path(__file__).parents[1]
CONTAINERS = ("plugins", "datasets", "reports")


def top_packages() -> dict[str, Path]:
    """Every package we ship, by name: its folder."""
    found = {"bench": ROOT / "bench"}
    for container in CONTAINERS:
        found |= {folder.name: folder for folder in (ROOT / container).iterdir() if any(folder.glob("*.py"))}
    return found


def sources() -> Iterator[tuple[str, Path]]:
    """Every file of every package: its place in a wheel, and where it is."""
    for name, folder in top_packages().items():
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{name}/{path.relative_to(folder)}", path


@pytest.fixture(scope="module")
def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


@pytest.fixture(scope="module")
def pyproject() -> dict[str, dict[str, dict[str, list[str]]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def lines(config: configparser.ConfigParser, section: str, option: str) -> list[str]:
    return config[section][option].split("\n")[1:]


def test_every_package_on_disk_is_listed(config: configparser.ConfigParser) -> None:
    folders = {place.rpartition("/")[0].replace("/", ".") for place, path in sources() if path.suffix == ".py"}
    assert sorted(lines(config, "options", "packages")) == sorted(folders)


def test_every_package_has_its_folder(config: configparser.ConfigParser) -> None:
    listed = dict(line.split(" = ") for line in lines(config, "options", "package_dir"))
    assert listed == {name: str(folder.relative_to(ROOT)) for name, folder in top_packages().items()}


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_are_no_packages(container: str) -> None:
    """A top-level package called `datasets` would shadow another library's."""
    assert not list((ROOT / container).glob("*.py"))
    assert all(name.startswith("bench_") for name in top_packages() if name != "bench")


@pytest.mark.parametrize("name", sorted(top_packages()))
def test_every_package_is_typed_and_has_an_init(name: str) -> None:
    folder = top_packages()[name]
    assert (folder / "py.typed").is_file()
    for path in folder.rglob("*.py"):
        assert (path.parent / "__init__.py").is_file(), f"{path.parent} has no __init__.py"


BY_NAME = ("bench_trackers",)  # whose modules are plugins that users ask for by --plugin


def test_every_plugin_comes_through_the_entry_points(config: configparser.ConfigParser) -> None:
    points = dict(line.split(" = ") for line in lines(config, "options.entry_points", "bench.plugins"))
    assert sorted(points.values()) == sorted(name for name in top_packages() if name not in ("bench", *BY_NAME))


def test_every_entry_point_is_a_plugin_that_loads() -> None:
    assert Registry().broken == []


def test_tools_look_at_every_package(pyproject: dict[str, dict[str, dict[str, list[str]]]]) -> None:
    folders = sorted(str(folder.relative_to(ROOT)) for folder in top_packages().values())
    assert sorted(pyproject["tool"]["mypy"]["files"]) == sorted([*folders, "tests"])
    first_party = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["isort"]
    assert sorted(first_party["known-first-party"]) == sorted(top_packages())


def imported(path: Path) -> set[str]:
    """The top-level modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def required(config: configparser.ConfigParser, section: str, option: str) -> set[str]:
    found = lines(config, section, option)
    return {line.partition(">")[0].partition("=")[0].strip().lower() for line in found}


EXTRAS = ("tensorboard", "wandb", "mlflow", "ray", "s3", "gcs")
UNSEEN = {"s3fs"}  # fsspec imports it


def test_dependencies_are_those_that_are_imported(config: configparser.ConfigParser) -> None:
    distributions = packages_distributions()
    used: set[str] = set()
    for _, path in sources():
        if path.suffix == ".py":
            used |= imported(path) - sys.stdlib_module_names - top_packages().keys()
    names = {distributions[module][0].lower() for module in used}
    listed = required(config, "options", "install_requires")
    extras = {name for extra in EXTRAS for name in required(config, "options.extras_require", extra)}
    assert extras - UNSEEN <= names
    assert names - {"pytest"} - extras == listed
    assert "pytest" in required(config, "options.extras_require", "test"), "bench.testing needs it"


def test_the_harness_knows_no_plugin() -> None:
    """The rule of the floors: bench imports no bench_* package, and plugins do not import each other."""
    for place, path in sources():
        if path.suffix == ".py":
            package = place.partition("/")[0]
            strangers = {name for name in imported(path) if name.startswith("bench_")} - {package}
            assert not strangers, f"{place} imports {strangers}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tree, because building leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("bench", *CONTAINERS):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, folder / "source")
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_file_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {place for place, _ in sources()}


def test_the_wheel_works(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, with nothing of the source tree: cards, claims and templates are found."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    shown = python("-m", "bench", "show", "tiny-imagenet")
    assert str(tmp_path / "installed" / "bench_datasets") in shown
    assert "bench-mine" in python("-m", "bench", "new-plugin", "mine")
    assert "sre2l" in python("-m", "bench", "list", "methods")
    loads = "from bench.extensions.registry import Registry; from bench.results import claims"
    python("-c", f"{loads}; assert claims.load(Registry())")
