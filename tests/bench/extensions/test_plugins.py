"""The registry: entry points, --plugin, duplicates refused, broken plugins listed and harmless to the others."""

import subprocess
import sys
from pathlib import Path

import pytest
from plugging import GOOD, Install, broken

from bench.errors import UsageError
from bench.extensions.registry import KINDS, Registry
from bench.hookspecs import Offer


def test_every_built_in_plugin_is_found_whole() -> None:
    registry = Registry()
    assert registry.broken == []
    for kind in KINDS:
        assert registry.names(kind), f"no {kind} is registered"


def test_an_installed_plugin_is_found_with_its_version(install: Install) -> None:
    install("stranger_a", GOOD.format(name="novel"))
    found = Registry().find("method", "novel")
    assert (found.plugin, found.version, found.offer.summary) == ("stranger_a", "4.2", "offered by a test")


def test_two_plugins_with_one_offer_are_refused_naming_both(install: Install) -> None:
    install("stranger_b", GOOD.format(name="novel"))
    install("stranger_c", GOOD.format(name="novel"))
    with pytest.raises(UsageError, match="two plugins offer the method 'novel'") as error:
        Registry()
    assert "stranger_b" in str(error.value)
    assert "stranger_c" in str(error.value)


def test_two_plugins_with_one_name_are_refused_naming_both(tmp_path: Path) -> None:
    paths = []
    for folder, name in (("one", "first"), ("two", "second")):
        path = tmp_path / folder / "same.py"
        path.parent.mkdir()
        path.write_text(GOOD.format(name=name))
        paths.append(str(path))
    with pytest.raises(UsageError, match="two plugins are called") as error:
        Registry(paths)
    assert all(path in str(error.value) for path in paths)


def test_a_plugin_that_cannot_be_imported_stops_only_who_selects_it(install: Install) -> None:
    install("stranger_d", "import a_module_that_nobody_has\n" + GOOD.format(name="novel"))
    registry = Registry()
    assert broken(registry, "stranger_d") == "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"
    assert registry.load("method", "random")
    with pytest.raises(UsageError, match=r"unknown method 'novel'.*stranger_d: ModuleNotFoundError"):
        registry.find("method", "novel")


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("['novel']", "TypeError: hooks return Offer objects, not str"),
        ("None", "TypeError: 'NoneType' object is not iterable"),
        ("42", "TypeError: 'int' object is not iterable"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        (
            "[Offer('My_Net', 'json:dumps', '')]",
            "ValueError: 'My_Net' is no name: take lower-case letters, digits, hyphens and dots, as in 'my-net'",
        ),
        (
            "[Offer('a/b', 'json:dumps', '')]",
            "ValueError: 'a/b' is no name: take lower-case letters, digits, hyphens and dots, as in 'a-b'",
        ),
    ],
)
def test_a_hook_that_returns_rubbish_is_listed(install: Install, returned: str, reason: str) -> None:
    install(
        "stranger_e",
        f"from bench.hookspecs import Offer, hookimpl\n@hookimpl\ndef bench_methods():\n    return {returned}\n",
    )
    registry = Registry()
    assert broken(registry, "stranger_e") == reason
    assert "random" in registry.names("method")


def test_one_bad_hook_leaves_the_plugins_others(install: Install) -> None:
    bad = "\n@hookimpl\ndef bench_backbones():\n    raise RuntimeError('no backbones today')\n"
    install("stranger_f", GOOD.format(name="novel") + bad)
    registry = Registry()
    assert broken(registry, "stranger_f") == "RuntimeError: no backbones today"
    assert registry.find("method", "novel").plugin == "stranger_f"


def test_a_misspelt_hook_is_listed_with_the_nearest(install: Install) -> None:
    install("stranger_g", GOOD.format(name="novel").replace("bench_methods", "bench_method"))
    assert "unknown hook 'bench_method'; did you mean 'bench_methods'?" in broken(Registry(), "stranger_g")


def test_a_module_without_hooks_is_listed(install: Install) -> None:
    install("stranger_h", "def bench_methods():\n    return []\n")
    assert "implements no hook" in broken(Registry(), "stranger_h")


def test_an_offer_whose_target_cannot_be_imported_is_unavailable_when_used(install: Install) -> None:
    install("stranger_i", GOOD.format(name="novel").replace("json:dumps", "json:no_such_thing"))
    registry = Registry()
    assert "novel" in registry.names("method")
    with pytest.raises(UsageError, match="method 'novel' of plugin 'stranger_i' is unavailable: AttributeError"):
        registry.load("method", "novel")


def test_a_plugin_module_named_on_the_command_line(install: Install) -> None:
    install("stranger_j", GOOD.format(name="novel"))
    registry = Registry(["stranger_j"])  # installed as well: still one plugin
    assert registry.broken == []
    assert registry.find("method", "novel").version == "4.2"


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("nowhere/absent.py", "FileNotFoundError: no such file: nowhere/absent.py"),
        (
            "a_module_that_nobody_has",
            r"ModuleNotFoundError: .*; a package has to be installed \(pip install -e FOLDER\)",
        ),
    ],
)
def test_a_named_plugin_that_is_absent_is_the_users_mistake(named: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"plugin {named!r} cannot be loaded: {reason}"):
        Registry([named])


def test_a_file_of_a_package_that_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    package = tmp_path / "bench-mine" / "bench_mine"
    package.mkdir(parents=True)
    (package / "method.py").write_text("class Thing: pass\n")
    (package / "__init__.py").write_text(GOOD.format(name="mine").replace("json:dumps", "bench_mine.method:Thing"))
    with pytest.raises(UsageError, match=rf"part of that package: pip install -e {tmp_path / 'bench-mine'}$"):
        Registry([str(package / "__init__.py")]).load("method", "mine")


@pytest.mark.parametrize(
    "source",
    [
        "raise ValueError('broken on purpose')",
        "x = (",
        "unused = 1",
        GOOD.format(name="Novel=1"),
        GOOD.format(name="novel").replace("return", "raise ValueError(1)\n    return"),
    ],
)
def test_a_named_plugin_that_fails_is_the_users_mistake(tmp_path: Path, source: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(source)
    with pytest.raises(UsageError, match=r"bad\.py' cannot be loaded: ") as error:
        Registry([str(path)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "typed", "meant"),
    [
        ("method", "randm", "random"),
        ("method", "G-VBSM", "g-vbsm"),
        ("dataset", "CIFAR10", "cifar10"),
        ("backbone", "resnet-18", "resnet18"),
        ("dataset", "tiny-imagenett", "tiny-imagenet"),
        ("format", "markdwn", "markdown"),
    ],
)
def test_unknown_names_come_with_the_nearest(kind: str, typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"^unknown {kind} '{typed}'; did you mean '{meant}'\\?$"):
        Registry().find(kind, typed)


def test_a_name_like_nothing_known_comes_with_all_choices() -> None:
    registry = Registry()
    with pytest.raises(UsageError) as error:
        registry.find("protocol", "zzzzzz")
    assert ", ".join(registry.names("protocol")) in str(error.value)


def test_an_offer_loads_its_target() -> None:
    assert Offer("x", "bench.errors:UsageError", "").load() is UsageError
    assert Offer("x", UsageError, "").load() is UsageError


def test_finding_plugins_imports_no_torch() -> None:
    code = "import sys; from bench.extensions.registry import Registry; Registry(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_loading_methods_and_protocols_imports_no_transforms() -> None:
    code = (
        "import sys; from bench.extensions.registry import Registry; registry = Registry()\n"
        "for kind in ('method', 'protocol'):\n"
        "    for name in registry.names(kind): registry.load(kind, name)\n"
        "sys.exit('torchvision' in sys.modules or 'torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("fault", ["import sys; sys.exit(3)", "import pytest; pytest.skip(allow_module_level=True)"])
def test_a_plugin_that_ends_python_when_imported_is_one_broken_plugin(install: Install, fault: str) -> None:
    install("stranger_quits", fault)
    registry = Registry()
    assert broken(registry, "stranger_quits").startswith(("SystemExit: 3", "Skipped"))
    assert registry.has("method", "random")


def test_a_plugin_whose_hook_or_target_ends_python_is_named_as_one_that_raises(install: Install) -> None:
    quits = "import sys\n" + GOOD.replace("return", "sys.exit(4); return")
    install("stranger_hook", quits.format(name="novel"))
    assert broken(Registry(), "stranger_hook") == "SystemExit: 4"
    install("stranger_target", GOOD.format(name="late").replace("json:dumps", "stranger_late:Thing"))
    install("stranger_late", "import sys; sys.exit('no licence')")
    with pytest.raises(UsageError, match="method 'late' of plugin 'stranger_target' is unavailable: SystemExit: no li"):
        Registry().load("method", "late")


def test_a_named_plugin_that_ends_python_is_a_mistake_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "quits.py"
    path.write_text("raise SystemExit(0)")
    with pytest.raises(UsageError, match=r"plugin '.*quits\.py' cannot be loaded: SystemExit: 0"):
        Registry((str(path),))


def test_a_path_that_is_offered_as_a_text_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        GOOD.format(name="mine").replace("bench_methods", "bench_ladders").replace("json:dumps", "/x/y.toml")
    )
    with pytest.raises(
        UsageError, match=r"text, and '/x/y\.toml' is no 'package.module:attribute'; a path is given as a"
    ):
        Registry((str(path),)).load("ladder", "mine")
