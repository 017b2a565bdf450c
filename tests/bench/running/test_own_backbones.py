"""From what the user named to the backbones that methods condense with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from benching import Bench

from bench.errors import UsageError
from bench.extensions.registry import Registry
from bench.planning.request import backbones_of

NEEDS = {"a": {"batchnorm"}, "b": set[str](), "herding": set[str]()}


def backbones(methods: Sequence[str], asked: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return backbones_of(methods, asked, NEEDS)


def test_plain_backbones_are_for_every_method() -> None:
    assert backbones(["a", "b"], ["x", "y"]) == {"a": ("x", "y"), "b": ("x", "y")}


def test_a_method_may_have_backbones_of_its_own() -> None:
    assert backbones(["a", "b"], ["x", "b=y", "b=z"]) == {"a": ("x",), "b": ("y", "z")}


def test_methods_that_need_a_trait_may_have_theirs_and_one_of_them_its_own() -> None:
    assert backbones(["a", "b"], ["x", "batchnorm=y", "batchnorm=z"]) == {"a": ("y", "z"), "b": ("x",)}
    assert backbones(["a", "b"], ["batchnorm=y", "b=x"]) == {"a": ("y",), "b": ("x",)}
    assert backbones(["a", "b"], ["x", "batchnorm=y", "a=z"]) == {"a": ("z",), "b": ("x",)}


def test_no_plain_backbone_is_needed_where_each_method_has_its_own() -> None:
    assert backbones(["a"], ["a=x"]) == {"a": ("x",)}
    assert backbones(["a"], ["batchnorm=x"]) == {"a": ("x",)}


def test_a_method_without_a_backbone_is_refused() -> None:
    with pytest.raises(UsageError, match="names none for b"):
        backbones(["a", "b"], ["a=x"])


def test_a_backbone_for_a_method_that_is_not_run_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown method or trait 'herdin'; did you mean 'herding'"):
        backbones(["herding"], ["x", "herdin=x"])
    with pytest.raises(UsageError, match=r"--backbone herding=y: herding is not among the methods, a, b$"):
        backbones(["a", "b"], ["x", "herding=y"])


def test_a_backbone_for_a_trait_that_no_method_needs_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--backbone batchnorm=y: none of b needs batchnorm$"):
        backbones(["b"], ["x", "batchnorm=y"])
    with pytest.raises(UsageError, match="did you mean 'batchnorm'"):
        backbones(["a"], ["x", "batchnrm=y"])


def test_what_lacks_a_trait_is_answered_with_the_word_for_all_that_need_it(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"backbones": ("convnet3-w32",), "protocols": ("hard",)}
    with pytest.raises(UsageError, match=r"\(for all that need it: --backbone batchnorm=NAME\)$"):
        Bench(tmp_path).jobs(methods=("dm", "sre2l", "cda"), **asked)
    with pytest.raises(UsageError, match=r"\(for it alone: --backbone sre2l=NAME\)$"):
        Bench(tmp_path).jobs(methods=("dm", "sre2l"), **asked)


def test_every_method_can_be_run_at_once(tmp_path: Path) -> None:
    """As README has it: what new methods need is given by one word."""
    made = Bench(tmp_path).jobs("all", backbones=("convnet3-w32", "batchnorm=convnet3-w32-bn"), protocols=("hard",))
    registry = Registry()
    found = {job.spec.method.name: job.spec.backbone for job in made}
    makers = {name for name in registry.names("method") if registry.load("method", name).made_here}
    assert set(found) == makers - {"full-data"}, "which would cost more than all others together"
    assert {registry.find("method", name).offer.needs for name, used in found.items() if used == "convnet3-w32-bn"} == {
        frozenset({"batchnorm"})
    }


def test_one_set_of_random_images_serves_all_methods_and_networks_under_hard_labels(tmp_path: Path) -> None:
    networks = ("convnet3-w32-bn", "convnet3-w32")
    made = Bench(tmp_path).jobs(
        methods=("sre2l", "dm"),
        backbones=("convnet3-w32", "batchnorm=convnet3-w32-bn"),
        eval_backbones=networks,
        protocols=("hard",),
        control=True,
    )
    (control,) = [job for job in made if job.spec.method.name == "random"]
    assert [each.backbone for each in control.evaluations] == list(networks)
    others = [job for job in made if job is not control]
    assert {name for job in others for name in job.controls.values()} == {control.spec.name}
    assert all(len(job.controls) == 2 for job in others)
