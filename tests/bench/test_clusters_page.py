"""docs/clusters.md: its files are whole, and its commands are those of the program."""

import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path

import click
import pytest

from bench.data.finding import load_card
from bench.extensions.registry import Registry

PAGE = (Path(__file__).parents[2] / "docs" / "clusters.md").read_text(encoding="utf-8")
(SBATCH,) = re.findall(r"^```bash\n(#!/bin/bash\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every `bench ...` of a block, in words."""
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("srun ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("bench ")]


def test_the_sbatch_file_is_one() -> None:
    checked = subprocess.run(["bash", "-n"], input=SBATCH, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    words = ["bash", "-c", f"srun() {{ printf '%s\\n' \"$@\"; }}\n{SBATCH}"]
    slurm = {"USER": "me", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_CPUS_PER_TASK": "8"}
    said = subprocess.run(words, env=slurm, text=True, capture_output=True, check=True).stdout.splitlines()
    assert said == ["bench", "work", "/shared/me/bench/jobs.jsonl", "--shard", "3/8"]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_its_commands_are_understood(words: list[str]) -> None:
    command: click.Command = import_module(f"bench.cli.commands.{words[0].replace('-', '_')}").command
    command.make_context(words[0], words[1:])


def test_all_datasets_list_their_classes() -> None:
    registry = Registry()
    assert {name for name in registry.names("dataset") if load_card(registry, name).order is None} == set()
    assert "if that lists the classes, as all do. A card" in " ".join(PAGE.split())
