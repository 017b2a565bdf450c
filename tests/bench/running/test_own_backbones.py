"""From what the user named to the backbones that methods condense with."""

import pytest

from bench.errors import UsageError
from bench.running.request import backbones_of


def test_plain_backbones_are_for_every_method() -> None:
    assert backbones_of(["a", "b"], ["x", "y"]) == {"a": ("x", "y"), "b": ("x", "y")}


def test_a_method_may_have_backbones_of_its_own() -> None:
    assert backbones_of(["a", "b"], ["x", "b=y", "b=z"]) == {"a": ("x",), "b": ("y", "z")}


def test_no_plain_backbone_is_needed_where_each_method_has_its_own() -> None:
    assert backbones_of(["a"], ["a=x"]) == {"a": ("x",)}


def test_a_method_without_a_backbone_is_refused() -> None:
    with pytest.raises(UsageError, match="names none for b"):
        backbones_of(["a", "b"], ["a=x"])


def test_a_backbone_for_a_method_that_is_not_run_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'herding'"):
        backbones_of(["herding"], ["x", "herdin=x"])
