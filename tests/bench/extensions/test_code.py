"""What the code of a plugin is known by changes with any part of it, and with nothing else."""

import sys
from pathlib import Path

import pytest

from bench.extensions.code import code_of_file, code_of_module
from bench.extensions.registry import Registry

HOOKS = """
from bench.hookspecs import Offer, hookimpl


@hookimpl
def bench_methods():
    return [Offer("apart", "apart_package.method:Method", "in a package")]
"""


def test_a_file_is_known_by_what_it_imports_beside_it_too(tmp_path: Path) -> None:
    file, near, far = tmp_path / "plugin.py", tmp_path / "near.py", tmp_path / "far" / "__init__.py"
    far.parent.mkdir()
    file.write_text("def late():\n    from near import x\n")
    near.write_text("import far.deep\nimport torch\n")
    far.write_text("")
    (tmp_path / "stranger.py").write_text("1")
    seen = [code_of_file(file)]
    (tmp_path / "stranger.py").write_text("2")
    assert code_of_file(file) == seen[0], "nothing imports it"
    for path in (file, near, far, far.with_name("recipe.toml")):
        path.write_text(f"{path.read_text() if path.exists() else ''}# edited\n")
        seen.append(code_of_file(file))
    assert len(set(seen)) == len(seen)


def test_the_same_file_under_another_name_is_the_same(tmp_path: Path) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("x = 1\n")
    assert code_of_file(tmp_path / "one.py") == code_of_file(tmp_path / "two.py")


def test_a_package_is_known_by_all_code_and_settings_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "apart_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "hooks.py").write_text(HOOKS)
    monkeypatch.syspath_prepend(tmp_path)
    seen = [Registry(["apart_package.hooks"]).find("method", "apart").code]
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "left.pyc").write_text("nothing")
    (package / "data").mkdir()
    for name in ("weights.pt", "data/image.png", "data/run.log", "README"):
        (package / name).write_text("nothing")
    assert code_of_module("apart_package.hooks") == seen[0]
    for name in ("method.py", "method.toml", "data/classes.txt", "kernel.so", "kernel.cu", "py.typed"):
        (package / name).write_text("# an edit\n")
        seen.append(Registry(["apart_package.hooks"]).find("method", "apart").code)
    assert len(set(seen)) == 7
    for name in [name for name in sys.modules if name.startswith("apart_package")]:
        del sys.modules[name]


def test_the_suites_own_have_versions_kept_by_hand() -> None:
    registry = Registry()
    own = [registry.find("method", "random"), registry.find("protocol", "hard"), registry.find("backbone", "convnet3")]
    assert [(each.code, each.foreign) for each in own] == [("", False)] * 3
