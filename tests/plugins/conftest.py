"""Fixtures for tests of several plugins."""

import pytest
import torch

from bench import compiling


@pytest.fixture
def compiled_in_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that compile "always" do so in name alone: what is computed is what would be compiled."""
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: None)
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda *given: function(*given))
