"""Plugins in a file: named by its path, run as it stands, with what lies beside it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugging import GOOD

from bench.errors import UsageError
from bench.extensions.registry import Registry


def test_a_plugin_file_named_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "random.py"  # Python has a module of this name, which must stay what it is
    path.write_text(GOOD.format(name="novel"))
    assert "novel" in Registry([str(path)]).names("method")
    import random

    assert random.__file__ != str(path)


def test_a_one_file_plugin_names_its_own_module(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD.format(name="novel").replace('"json:dumps"', 'f"{__name__}:Thing"') + "\nclass Thing: pass\n")
    assert Registry([str(path)]).load("method", "novel").__name__ == "Thing"


def test_the_version_of_a_plugin_in_a_file_is_its_content(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD.format(name="mine"))
    digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert Registry((str(path),)).find("method", "mine").version == f"sha256:{digest[:12]}"


def test_a_file_runs_as_it_stands_whatever_bytecode_python_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit of equal length within a second is one that Python's own bytecode does not see."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path, found = tmp_path / "offering.py", []
    for name in ("one", "two"):
        path.write_text(
            "from bench.hookspecs import Offer, hookimpl\n\n\n@hookimpl\ndef bench_backbones():\n"
            f"    return [Offer('net-{name}', object, 'A network.')]\n"
        )
        os.utime(path, (1, 1))
        found.append([each for each in Registry([str(path)]).names("backbone") if each.startswith("net-")])
    assert found == [["net-one"], ["net-two"]]
    assert not (tmp_path / "__pycache__").exists()


def test_one_file_is_one_plugin_by_whatever_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a plan, told from the plan's folder, and the same that a user names beside it."""
    (tmp_path / "same.py").write_text(GOOD.format(name="novel"))
    (tmp_path / "plan").mkdir()
    monkeypatch.chdir(tmp_path)
    registry = Registry(["same.py", "./same.py", str(tmp_path / "plan" / ".." / "same.py")])
    assert registry.find("method", "novel").plugin == "bench_file_same"


@pytest.fixture
def forgetful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder; what was imported from below it is forgotten when the test ends."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if tmp_path in Path(getattr(module, "__file__", None) or "").parents:
            del sys.modules[name]


def in_two_files(folder: Path, helper: str) -> Path:
    """A plugin in a file that imports another beside it, at once and when it is called."""
    folder.mkdir()
    (folder / f"{helper}.py").write_text(f"NAME = {folder.name!r}\n")
    (folder / "apart.py").write_text("TARGET = 'json:dumps'\n")
    lines = (f"from {helper} import NAME", "from bench.hookspecs import Offer, hookimpl", "@hookimpl")
    body = ("def bench_methods():", "    from apart import TARGET", "    return [Offer(NAME, TARGET, 'in two files')]")
    (folder / f"of_{folder.name}.py").write_text("\n".join((*lines, *body)))
    return folder / f"of_{folder.name}.py"


def test_a_plugin_in_a_file_imports_what_lies_beside_it(forgetful: Path) -> None:
    one = in_two_files(forgetful / "second", "helping_of_second")
    (forgetful / "second" / "random.py").write_text("raise RuntimeError")  # Python's own comes first
    one.write_text(f"import random\n{one.read_text()}")
    assert Registry([str(one)]).find("method", "second").plugin == "bench_file_of_second"


def test_two_plugins_with_different_modules_of_one_name_are_refused(forgetful: Path) -> None:
    one, other = (in_two_files(forgetful / name, f"helping_of_{name}") for name in ("third", "fourth"))
    with pytest.raises(UsageError, match=r"it imports apart, which is .*third.* already, not .*fourth"):
        Registry([str(one), str(other)])
    assert Registry([str(other)]).names("method"), "each alone is one"


def test_a_module_may_have_the_name_of_its_package(forgetful: Path) -> None:
    (forgetful / "helping").mkdir()
    for name in ("__init__", "helping"):
        (forgetful / "helping" / f"{name}.py").write_text("NAME = 'nested'\n")
    file = forgetful / "of_a_package.py"
    file.write_text(f"from helping.helping import NAME\n{GOOD.format(name='nested')}")
    assert Registry([str(file)]).find("method", "nested").plugin == "bench_file_of_a_package"
