"""`bench new-plugin` writes a plugin that installs beside the project, passes its own tests, and runs."""

import json
import os
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.extensions.scaffolding import KINDS, Names, write_plugin

NAME = "closest-to-mean"


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; its output is in the failure."""
    ours = {"OMP_NUM_THREADS": "1", "BENCH_CACHE": str(cwd / "cache"), "BENCH_RUNS": str(cwd / "runs")}
    environment = {**os.environ, **ours}
    ended = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment that sees what this one has, as if all of it had been installed there.

    Installing torch anew would take minutes; the line in the .pth file adds this environment's packages, and what
    their own .pth files add (the project, where it is installed editable).
    """
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = [sysconfig.get_path("purelib", "venv", paths), sysconfig.get_path("purelib")]
    lines = [f"import site; site.addsitedir({path!r})" for path in {packages[1], *site.getsitepackages()}]
    (Path(packages[0]) / "parent.pth").write_text("\n".join(lines) + "\n")
    return Path(sysconfig.get_path("scripts", "venv", paths)) / "python"


@pytest.fixture(scope="module")
def plugin(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin as the command writes it, installed into the fresh environment."""
    folder = tmp_path_factory.mktemp("plugins")
    written = run(fresh, "-m", "bench", "new-plugin", NAME, cwd=folder).stdout.strip()
    install(fresh, folder / written)
    return folder / written


def install(python: Path, folder: Path) -> None:
    """Installs without looking for anything on the network."""
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    run(python, "-m", "pip", "install", *offline, folder, cwd=folder.parent)


def test_the_installed_plugin_is_found(fresh: Path, plugin: Path) -> None:
    listed = run(fresh, "-m", "bench", "list", "methods", "--format", "json", cwd=plugin.parent)
    row = next(row for row in json.loads(listed.stdout) if row["name"] == NAME)
    assert (row["plugin"], row["version"]) == (NAME, "0.1.0")
    assert "warning" not in listed.stderr


def test_it_passes_its_own_tests(fresh: Path, plugin: Path) -> None:
    ended = run(fresh, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=plugin)
    assert " passed" in ended.stdout
    assert "failed" not in ended.stdout


def test_it_runs_beside_the_control(fresh: Path, plugin: Path) -> None:
    command = ("run", "-m", NAME, "-d", "digits", "--classes", "2", "--ipc", "2", "--backbone", "convnet3-w32-bn")
    how = ("--budget", "quick", "--eval-seeds", "1", "--device", "cpu", "--format", "json")
    rows = json.loads(run(fresh, "-m", "bench", *command, *how, cwd=plugin.parent).stdout)
    assert {row["method"] for row in rows} == {NAME, "random"}
    assert {row["status"] for row in rows} == {"done"}
    assert next(row for row in rows if row["method"] == NAME)["versions"]["plugin"] == "0.1.0"


def test_a_backbone_passes_its_own_tests(fresh: Path, tmp_path: Path) -> None:
    folder = write_plugin(Names("pooled-net"), "backbone", tmp_path)
    install(fresh, folder)
    assert " passed" in run(fresh, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_clean(tmp_path: Path, kind: str) -> None:
    folder = write_plugin(Names("a-name-of-many-parts2"), kind, tmp_path)
    alone = ("--no-cache", "--isolated", "--line-length", "120", ".")
    run(sys.executable, "-m", "ruff", "check", "--select", "E,F,I,ANN", *alone, cwd=folder)
    run(sys.executable, "-m", "ruff", "format", "--check", *alone, cwd=folder)
    assert not [path for path in folder.rglob("*") if path.is_file() and "{{" in path.read_text()]


@pytest.mark.parametrize(
    ("typed", "near"),
    [("Nearest_Mean", "nearest-mean"), ("my method", "my-method"), ("2fast", "my-method"), ("", "my-method")],
)
def test_a_bad_name_is_refused_with_a_good_one(typed: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"such as '{near}'$"):
        Names(typed)


def test_names_of_parts() -> None:
    names = Names("nearest-mean2")
    assert (names.distribution, names.package, names.class_name) == (
        "bench-nearest-mean2",
        "bench_nearest_mean2",
        "NearestMean2",
    )


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = write_plugin(Names("mine"), "method", tmp_path)
    (folder / "README.md").write_text("my own words")
    with pytest.raises(UsageError, match="exists already"):
        write_plugin(Names("mine"), "method", tmp_path)
    assert (folder / "README.md").read_text() == "my own words"


def test_a_plugin_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(UsageError, match="No space left"):
        write_plugin(Names("mine"), "method", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_its_tests_say_what_to_do_before_it_is_installed(tmp_path: Path) -> None:
    folder = write_plugin(Names("not-there"), "method", tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", "users_can_type or refuses"]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout
    said = "install its plugin (pip install -e .), or set plugins = [MODULE_OR_FILE] in the test class"
    assert "unknown method 'not-there'; choose from " in ended.stdout and said in ended.stdout
