"""The registry: entry points, --plugin, duplicates refused, broken plugins listed and harmless to the others."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.extensions import registry as plugins
from bench.extensions.registry import KINDS, Registry
from bench.hookspecs import Offer

Install = Callable[[str, str], Path]

GOOD = """
from bench.hookspecs import Offer, hookimpl

@hookimpl
def bench_methods():
    return [Offer("{name}", "json:dumps", "offered by a test")]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a module as a plugin: a distribution with an entry point, found as pip would leave it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(module: str, source: str) -> Path:
        (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"{module}-4.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 4.2\n")
        (metadata / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{module} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return tmp_path / f"{module}.py"

    return put


def broken(registry: Registry, plugin: str) -> str:
    """Why a plugin is listed as broken."""
    return next(each.reason for each in registry.broken if each.plugin == plugin)


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


def test_one_file_is_one_plugin_by_whatever_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a plan, told from the plan's folder, and the same that a user names beside it."""
    (tmp_path / "same.py").write_text(GOOD.format(name="novel"))
    (tmp_path / "plan").mkdir()
    monkeypatch.chdir(tmp_path)
    registry = Registry(["same.py", "./same.py", str(tmp_path / "plan" / ".." / "same.py")])
    assert registry.find("method", "novel").plugin == "bench_file_same"


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


BY_RULE = """
from bench.hookspecs import Offer, Rule, hookimpl

def read(name):
    head, _, number = name.partition("-")
    return Offer(f"{head}-{int(number)}", "json:dumps", "one of many") if head == "wide" and number.isdigit() else None

@hookimpl
def bench_backbones():
    return [Offer("wide-4", "json:loads", "listed"), Rule("wide-N", "any width", read)]
"""


def test_what_follows_a_rule_is_had_by_its_one_name(install: Install) -> None:
    install("stranger_r", BY_RULE)
    registry = Registry()
    found = registry.find("backbone", "wide-77")
    assert (found.offer.name, found.plugin, found.version) == ("wide-77", "stranger_r", "4.2")
    assert registry.load("backbone", "wide-77") is json.dumps
    assert registry.load("backbone", "wide-4") is json.loads, "what is listed goes first"
    assert [rule.names for rule in registry.rules("backbone")].count("wide-N") == 1
    assert "wide-77" not in registry.names("backbone") and not registry.has("method", "wide-77")
    with pytest.raises(UsageError, match="did you mean 'wide-77'"):
        registry.find("backbone", "wide-077")


FRAIL = """
from bench.hookspecs import Offer, Rule, hookimpl

def read(name):
    if not name.startswith("odd-"):
        OTHERS
    return {"odd-1": Offer("odd-1", "json:dumps", "one of few"), "odd-2": 2}[name]

@hookimpl
def bench_backbones():
    return [Rule("odd-N", "an odd network", read)]
"""
CANNOT = "the rule 'odd-N' of plugin 'stranger_frail' cannot tell what the backbone '{}' is: {}"


@pytest.mark.parametrize(
    ("others", "said"),
    [("pass", "KeyError: "), ("raise SystemExit(3)", "SystemExit: 3"), ("return 1", "it made a int")],
)
def test_a_rule_that_fails_for_what_others_list_is_listed_and_harms_nobody(
    install: Install, tmp_path: Path, others: str, said: str
) -> None:
    path = install("stranger_frail", FRAIL.replace("OTHERS", others))
    registry = Registry()
    assert broken(registry, "stranger_frail").startswith(CANNOT.format(registry.names("backbone")[0], said))
    assert {registry.find("backbone", name).plugin for name in ("resnet18", "convnet6")} == {"backbones"}
    named = tmp_path / "named.py"
    named.write_text(path.read_text())
    with pytest.raises(UsageError, match=r"^plugin '.*named\.py' cannot be loaded: the rule 'odd-N' of plugin 'bench"):
        Registry([str(named)])


def test_a_rule_that_fails_for_a_name_is_named_and_what_is_listed_does_without_it(install: Install) -> None:
    install("stranger_frail", FRAIL.replace("OTHERS", "return {}['w64'] if 'w64' in name else None"))
    registry = Registry()
    assert registry.find("backbone", "odd-1").plugin == "stranger_frail"
    assert registry.find("backbone", "convnet4-w64").plugin == "backbones", "another rule has that, and tells"
    for name, said in (("odd-2", "it made a int, no Offer and not None"), ("odd-3", "KeyError: 'odd-3'")):
        with pytest.raises(UsageError, match=f"^{CANNOT.format(name, said)}"):
            registry.find("backbone", name)


@pytest.mark.parametrize("offer", ["convnet6", "wide-9"])
def test_what_one_plugin_lists_and_another_has_by_rule_is_refused_naming_both(install: Install, offer: str) -> None:
    install("stranger_r", BY_RULE)
    install("stranger_s", GOOD.format(name=offer).replace("bench_methods", "bench_backbones"))
    with pytest.raises(UsageError, match=f"^two plugins offer the backbone '{offer}': 'stranger_s' and '"):
        Registry()


def test_what_two_plugins_have_by_rules_is_refused_naming_both(install: Install) -> None:
    for plugin in ("stranger_r", "stranger_s"):
        install(plugin, BY_RULE.replace('Offer("wide-4", "json:loads", "listed"), ', ""))
    registry = Registry()
    with pytest.raises(UsageError, match=r"^two plugins offer the backbone 'wide-4': 'stranger_[rs]' and 'stranger_"):
        registry.find("backbone", "wide-4")


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


def test_the_version_of_a_plugin_in_a_file_is_its_content(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD.format(name="mine"))
    digest = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert Registry((str(path),)).find("method", "mine").version == f"sha256:{digest[:12]}"


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


def in_two_files(folder: Path, helper: str) -> Path:
    """A plugin in a file that imports another beside it, at once and when it is called."""
    folder.mkdir()
    (folder / f"{helper}.py").write_text(f"NAME = {folder.name!r}\n")
    (folder / "apart.py").write_text("TARGET = 'json:dumps'\n")
    lines = (f"from {helper} import NAME", "from bench.hookspecs import Offer, hookimpl", "@hookimpl")
    body = ("def bench_methods():", "    from apart import TARGET", "    return [Offer(NAME, TARGET, 'in two files')]")
    (folder / f"of_{folder.name}.py").write_text("\n".join((*lines, *body)))
    return folder / f"of_{folder.name}.py"


def test_a_plugin_in_a_file_imports_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    one = in_two_files(tmp_path / "second", "helping_of_second")
    (tmp_path / "second" / "random.py").write_text("raise RuntimeError")  # Python's own comes first
    one.write_text(f"import random\n{one.read_text()}")
    try:
        assert Registry([str(one)]).find("method", "second").plugin == "bench_file_of_second"
    finally:
        for name in ("helping_of_second", "apart"):
            sys.modules.pop(name, None)


def test_two_plugins_with_different_modules_of_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    one, other = (in_two_files(tmp_path / name, f"helping_of_{name}") for name in ("third", "fourth"))
    try:
        with pytest.raises(UsageError, match=r"it imports apart, which is .*third.* already, not .*fourth"):
            Registry([str(one), str(other)])
        assert Registry([str(other)]).names("method"), "each alone is one"
    finally:
        for name in ("helping_of_third", "helping_of_fourth", "apart"):
            sys.modules.pop(name, None)


def test_a_module_may_have_the_name_of_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "helping").mkdir()
    for name in ("__init__", "helping"):
        (tmp_path / "helping" / f"{name}.py").write_text("NAME = 'nested'\n")
    file = tmp_path / "of_a_package.py"
    file.write_text(f"from helping.helping import NAME\n{GOOD.format(name='nested')}")
    try:
        assert Registry([str(file)]).find("method", "nested").plugin == "bench_file_of_a_package"
    finally:
        for name in ("helping", "helping.helping"):
            sys.modules.pop(name, None)
