"""Names by a rule: what follows one is had by its one name, one that fails harms its own plugin alone."""

import json
from pathlib import Path

import pytest
from plugging import GOOD, Install, broken

from bench.errors import UsageError
from bench.extensions.registry import Registry

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
