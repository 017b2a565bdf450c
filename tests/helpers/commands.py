"""The command line in this process: what a user sees, without another process that loads torch first."""

import io
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from bench.cli import main


def run_bench(
    *words: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> "CompletedProcess[str]":
    """`bench WORDS` to its end, with its output kept; runs have child processes of their own, as always.

    Args:
        folder: to be in (default: this one).
        environment: the whole of it (default: this one).
    """
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        patch.setattr(sys, "argv", ["bench", *words])
        patch.chdir(folder or Path.cwd())
        _surround(patch, environment or os.environ)
        with pytest.raises(SystemExit) as ended:
            main()
    return CompletedProcess(["bench", *words], int(ended.value.code or 0), out.getvalue(), errors.getvalue())


def _surround(patch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(environment):
        patch.delenv(name)
    for name, value in environment.items():
        patch.setenv(name, value)


def answer(*words: str) -> tuple[int, str, str]:
    """Status, output and errors of `bench WORDS`."""
    ended = run_bench(*words)
    return ended.returncode, ended.stdout, ended.stderr
