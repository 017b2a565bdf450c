"""Orders: typed on both sides, and one object of JSON between the processes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from benching import Bench

from bench.cli.child import KINDS
from bench.errors import CorruptArtefact
from bench.extensions.registry import Registry
from bench.planning.configuring import configure
from bench.progress import Silent
from bench.recipes import Setting
from bench.running.executors.orders import (
    HelpOrder,
    Order,
    PrepareOrder,
    RunOrder,
    SetOrder,
    TrialOrder,
    UnitsOrder,
    order_from,
)
from bench.speed.floor import FloorSpec
from bench.speed.measuring import StepSpec
from bench.speed.orders import FloorOrder, StepOrder

LOG, PLUGINS = Path("/somewhere/log.txt"), ("a_plugin.py", "another")


def orders(bench: Bench) -> list[Order]:
    (job,) = bench.jobs("sre2l", control=False)
    choice = configure(Registry(), "sre2l", Setting("digits", 8, 1, 6, 1, "convnet3-w32-bn"), ())
    step = StepSpec(choice, "digits", 6, 1, "convnet3-w32-bn", "fp32", None, 2)
    whose: dict[str, Any] = {"log": LOG, "plugins": PLUGINS, "device": "cuda:1", "precision": "bf16"}
    folders = {"runs": Path("/runs"), "cache": Path("/cache"), "data_root": Path("/data")}
    watched = {"checkpoint_seconds": 0.5, "looks": 4, "company": "at-work/one"}
    run: dict[str, Any] = {"job": job, **folders, "retry": True, "command": "bench run", **watched}
    return [
        RunOrder(**whose, **run),
        SetOrder(**whose, **run),
        PrepareOrder(**whose, **run),
        UnitsOrder(**whose, **run, units=("class-0", "class-1")),
        HelpOrder(**whose, **run),
        TrialOrder(**whose, **run, scratch=Path("/scratch")),
        StepOrder(**whose, step=step, folder=Path("/folder")),
        FloorOrder(**whose, floor=FloorSpec("resnet18", 10, 32, 3, 100, "bf16", (("resnet18", 0.5),))),
    ]


def test_an_order_of_every_kind_arrives_as_it_was_given(bench: Bench) -> None:
    given = orders(bench)
    assert {type(each) for each in given} == set(KINDS)
    for order in given:
        sent = json.dumps(order.to_json())
        assert "\n" not in sent
        assert order_from(json.loads(sent), KINDS) == order


def test_what_is_no_order_is_refused(bench: Bench) -> None:
    content = orders(bench)[0].to_json()
    with pytest.raises(KeyError, match="juggle"):
        order_from({**content, "work": "juggle"}, KINDS)
    with pytest.raises(CorruptArtefact, match="retry: "):
        order_from({name: value for name, value in content.items() if name != "retry"}, KINDS)


def test_a_run_works_where_its_order_says(bench: Bench) -> None:
    order = orders(bench)[0]
    assert isinstance(order, RunOrder)
    place = order.context(Silent(), lambda: True)
    assert (place.runs, place.cache, place.data_root) == (Path("/runs"), Path("/cache"), Path("/data"))
    assert (place.device, place.command) == (torch.device("cuda:1"), "bench run")
    assert (place.checkpoint_seconds, place.looks, place.company) == (0.5, 4, "at-work/one")
    assert place.should_stop()
