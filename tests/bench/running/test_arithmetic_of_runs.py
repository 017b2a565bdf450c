"""A method that bf16 would change makes its images as papers' code computes; all else of its run is as in others."""

from pathlib import Path
from typing import Any

import pytest
from benching import Bench

from bench.planning import request
from bench.results.records import Record
from bench.results.rows import rows
from bench.results.spec import RunSpec
from bench.storage.files import digest

PLUGIN = str(Path(__file__).with_name("listening_methods.py"))


@pytest.fixture
def listening(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """On a processor whose auto is bf16."""
    monkeypatch.setattr(request, "choose_precision", lambda name, device: "bf16" if name == "auto" else name)
    bench.plugins = (PLUGIN,)
    return bench


def ran(bench: Bench, method: str, precision: str, **changes: Any) -> list[Record]:  # noqa: ANN401 - fields of Request
    return [bench.run(job) for job in bench.jobs(method, precision=precision, **changes)]


@pytest.mark.parametrize(
    ("method", "asked", "synthesis", "rest"),
    [
        ("fast", "auto", "bf16", "bf16"),
        ("plain", "auto", "fp32", "bf16"),
        ("plain", "bf16", "bf16", "bf16"),
        ("plain", "fp32", "fp32", "fp32"),
    ],
)
def test_each_part_computes_in_its_arithmetic_and_what_the_user_names_wins(
    listening: Bench, method: str, asked: str, synthesis: str, rest: str
) -> None:
    (record,) = ran(listening, method, asked)
    notes = record.costs.notes.to_json()
    assert (notes["prepared_in"], notes["made_in"], notes["labelled_in"]) == (synthesis, synthesis, rest)
    (evaluation,) = record.evaluations.values()
    assert evaluation.scores[0].notes["evaluated_in"] == rest
    (row,) = rows([record])
    assert (row["synthesis_precision"], row["precision"]) == (synthesis, rest)
    assert record.environment.synthesis_precision == synthesis


def test_a_control_finds_the_stages_of_its_labels(listening: Bench) -> None:
    """The labels' stage is made once, in the arithmetic of the synthesis."""
    made, control = ran(listening, "plain", "auto", control=True)
    assert control.spec.labeller is not None and control.spec.labeller.name == "plain"
    assert list(control.costs.stages) == list(made.costs.stages) and len(made.costs.stages) == 1


def test_under_hard_labels_one_control_serves_methods_of_any_arithmetic(listening: Bench) -> None:
    for method in ("fast", "plain"):
        *_, control = listening.jobs(method, precision="auto", control=True, protocols=("hard",))
        assert (control.spec.method.name, control.spec.made_in) == ("random", "bf16")


def test_only_an_arithmetic_that_differs_makes_another_run(listening: Bench) -> None:
    (plain,), (named,), (exact,) = (listening.jobs("plain", precision=name) for name in ("auto", "bf16", "fp32"))
    assert len({plain.spec.name, named.spec.name, exact.spec.name}) == 3
    assert RunSpec.from_json(plain.spec.to_json()) == plain.spec
    spec = named.spec
    before = {
        "method": {"name": "plain", "version": 1, "config": {}},
        "dataset": ["digits", spec.card_hash, list(spec.classes)],
        **{"ipc": 2, "backbone": "convnet3-w32-bn", "seed": 0, "budget": "quick"},
        **{"made_on": ["cpu", "bf16"], "labeller": None},
    }
    assert spec.hash == digest(before), "runs of before keep their names"
    earlier = {key: value for key, value in spec.to_json().items() if key != "synthesis_precision"}
    assert RunSpec.from_json(earlier) == spec
