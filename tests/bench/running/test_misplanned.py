"""A plugin that breaks while a run is planned: one line that names it and the reason, status 2, nothing written."""

import re
from pathlib import Path

import pytest
from benching import Bench

from bench.errors import UsageError
from bench.extensions.registry import Registry

PLUGIN = str(Path(__file__).with_name("misplanned_methods.py"))
THEIRS = "bench_file_misplanned_methods"
METHODS = [each.offer.name for each in Registry((PLUGIN,)).registered("method") if each.plugin == THEIRS]
NAMED = f"of plugin '{THEIRS}' cannot be planned with: "
CARD = 'name = "mine"\nresolution = 8\nnormalisation = "imagenet"\n[[sources]]\nlayout = "locate-raises"\n'


@pytest.mark.parametrize("method", METHODS)
def test_a_method_at_fault_is_named_with_its_reason(bench: Bench, method: str) -> None:
    protocol = "own+no-flip" if method == "label-kind-raises" else "paper"
    with pytest.raises(UsageError) as refused:
        Bench(bench.folder, (PLUGIN,)).jobs(method, protocols=(protocol,))
    said = str(refused.value)
    assert said.startswith(f"method {method!r} {NAMED}")
    if method.endswith("raises"):
        assert re.search(r"ZeroDivisionError: by design \(misplanned_methods\.py:\d+\)$", said)
    assert not list(bench.folder.iterdir())


def test_a_reader_at_fault_is_named_with_its_reason(bench: Bench) -> None:
    card = bench.folder / "mine.toml"
    card.write_text(CARD)
    with pytest.raises(UsageError, match=f"^reader 'locate-raises' {NAMED}ZeroDivisionError: by design"):
        Bench(bench.folder, (PLUGIN,)).jobs("random", datasets=(str(card),))


@pytest.mark.parametrize("name", ["is-no-protocol", "is-no-protocol+variant"])
def test_a_protocol_at_fault_is_named_with_its_reason(bench: Bench, name: str) -> None:
    with pytest.raises(UsageError, match=f"^protocol '{re.escape(name)}' {NAMED}AttributeError: "):
        Bench(bench.folder, (PLUGIN,)).jobs("random", protocols=(name,))


def test_claims_at_fault_are_named_before_the_run(bench: Bench) -> None:
    plugin = bench.folder / "claiming.py"
    plugin.write_text(
        "from bench.hookspecs import Offer, hookimpl\n\n@hookimpl\ndef bench_claims():\n"
        '    return [Offer("lost", "nowhere:claims", "of no module")]\n'
    )
    ended = bench.spoken("run", "-m", "random", "-d", "digits", "--backbone", "convnet3", "--plugin", str(plugin))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("bench: claims 'lost' of plugin") and ended.stderr.count("\n") == 1
    assert [path for path in bench.folder.iterdir() if path.name != "__pycache__"] == [plugin]


@pytest.mark.parametrize("words", [("run", "-d", "digits"), ("show",), ("speed", "-d", "digits")])
def test_every_command_that_asks_it_says_one_line(bench: Bench, words: tuple[str, ...]) -> None:
    command, *rest = words
    method = ["recipe-raises"] if command == "show" else ["-m", "recipe-raises", "--backbone", "convnet3"]
    ended = bench.spoken(command, *method, *rest, "--plugin", PLUGIN)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1 and "ZeroDivisionError: by design" in ended.stderr
