"""A plugin that breaks while a run is planned: one line that names it and the reason, status 2, nothing written."""

import re
from pathlib import Path

import pytest
from benching import Bench

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning.planner import Planner

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
    with pytest.raises(UsageError, match=f"^protocol '{re.escape(name)}' {NAMED}(it is a |AttributeError: )"):
        Bench(bench.folder, (PLUGIN,)).jobs("random", protocols=(name,))


METHOD = """
import torch

from bench.condensation import Condenser, Grid, Images, MethodConfig
from bench.evaluation import Protocol
from bench.hookspecs import Offer, hookimpl


class Finer(Grid):
    pass


class Config(MethodConfig):
    lr: float = 0.1
    KEY: int = 1


class Method(Condenser):
    Config = Config

    def synthesize(self, task, unit):
        train = task.dataset.train
        first = torch.tensor([train.labels.tolist().index(label) for label in unit.classes])
        return Images(train.take(first), train.labels[first])

    MEMBER


class Judge(Protocol):
    name, labels = "NAMED", "LABELS"

    def evaluate(self, condensed, task, backbone, seed):
        return None


@hookimpl
def bench_methods():
    return [Offer("one", OFFERED, "a method", needs=NEEDS)]


@hookimpl
def bench_protocols():
    return [Offer("judge", JUDGE, "a protocol")]
"""
SOUND = {
    **{"KEY": "steps", "MEMBER": "", "NAMED": "judge", "LABELS": "hard", "NEEDS": "frozenset()", "JUDGE": "Judge()"},
    "OFFERED": "Method",
}


def planned(bench: Bench, **changes: str) -> Bench:
    text, path = METHOD, bench.folder / "one.py"
    for word, given in {**SOUND, **changes}.items():
        text = text.replace(word, given)
    path.write_text(text)
    return Bench(bench.folder, (str(path),))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"OFFERED": "lambda config: None"}, "^method 'one' of .*: it is no subclass of bench.condensation.Condenser"),
        ({"OFFERED": "Method(Config())"}, "^method 'one' of .*: it is no subclass of bench.condensation.Condenser"),
        ({"MEMBER": 'pixel_format = "png"'}, "pixel_format is 'png'; it must be one of uint8, jpeg, float32"),
        ({"MEMBER": 'label_kind = "sofft"'}, "label_kind is 'sofft'; it must be None or one of hard, "),
        ({"MEMBER": "decoder = Finer(2)"}, "decoder is a Finer; there is none but bench.condensation.Grid, "),
        ({"MEMBER": "decoder = len"}, "decoder is a builtin_function_or_method; there is none but "),
        ({"MEMBER": "recipe = classmethod(lambda *_: {})"}, "recipe returned a dict; it must return a "),
        ({"MEMBER": "protocol = classmethod(lambda *_: 'hrad')"}, "did you mean 'hard'.* names it as its paper's"),
        ({"KEY": "ipc"}, "a field of its Config cannot be called 'ipc': in recipe books that word"),
        ({"LABELS": "both"}, "labels is 'both'; it must be one of own, hard, teacher"),
        ({"NAMED": "other"}, "it calls itself 'other'; its `name` must be the one that it is offered under"),
        ({"JUDGE": "Judge"}, r"it is the class Judge; offer an instance, Judge\(\)"),
        ({"NEEDS": 'frozenset({"norm"})'}, "needs a backbone with norm, which no backbone has .*batchnorm"),
        ({"NEEDS": '"batchnorm"'}, r"needs of the offer 'one' are a set: needs=frozenset\(\{'batchnorm'\}\)"),
    ],
)
def test_what_is_not_as_its_contract_has_it_is_refused_before_any_work(
    bench: Bench, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        planned(bench, **changes).jobs("one", protocols=("paper", "judge"))
    assert "\n" not in str(refused.value)


def test_members_that_nobody_asks_for_and_nearly_are_those_that_one_asks_for_are_said(bench: Bench) -> None:
    here = planned(bench, MEMBER="pixel_fromat = labels = helper = 1")
    planner = Planner(Registry(here.plugins), here.request("one"), here.ear, here.runs)
    assert planner.remarks == [
        "method one: nobody asks for its 'labels'; was 'label' meant?",
        "method one: nobody asks for its 'pixel_fromat'; was 'pixel_format' meant?",
    ]


def test_scores_that_are_none_are_a_failed_row_that_says_so(bench: Bench) -> None:
    here = planned(bench, MEMBER="")
    (job,) = here.jobs("one", protocols=("judge",), ipcs=(1,), classes="2")
    (ended,) = here.run(job).evaluations.values()
    assert ended.reason == "evaluate of Judge returned a NoneType; it must return bench.evaluation.Scores"


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
