"""What is killed: commands of a second or two that between them write every kind of file there is."""

import contextlib
import importlib
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.soak.commands import Command

BRIEF = Path(__file__).with_name("brief_methods.py")
USUAL = (
    f"--ipc 1 --classes 3 --budget quick --compile never --device cpu --precision fp32 --plugin {BRIEF} --format json"
)
CARD = """
name = "squares"
resolution = 8
channels = 3
normalisation = "half"
licence = "made by this file"
citation = "made by this file"

[[sources]]
layout = "image-folder"
"""


def nothing(folder: Path) -> None:
    """A folder that is empty."""


@dataclass(frozen=True)
class Scene:
    """A command, what of a run it comes to, and what must lie in its folder before."""

    name: str
    covers: str
    words: str
    prepare: Callable[[Path], None] = nothing

    def command(self, folder: Path) -> Command:
        """The command in a folder that is emptied."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.prepare(folder)
        return Command(f"{self.words} {USUAL}".split(), folder)


def squares(folder: Path) -> None:
    """A dataset of one's own: a card, and twelve PNGs of three classes."""
    (folder / "squares.toml").write_text(CARD)
    draws = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 1)):
        for name in ("blue", "green", "red"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")


RECOVER = Scene(
    "recover",
    "a teacher, recovery, stored labels, two students each, the control's run",
    "run -m brief -d digits --backbone convnet3-bn --eval-seeds 2 --set squeeze.epochs=1 --set recover.iterations=2",
)
MATCH = Scene(
    "match",
    "two experts, trajectories matched, a student",
    "run -m mtt -d digits --backbone convnet3 --protocol brief-hard --eval-seeds 1 --no-control --set experts.count=2 "
    "--set experts.epochs=2 --set max_start_epoch=1 --set expert_epochs=1 --set steps=1 --set iterations=2",
)
DECODE = Scene(
    "decode",
    "a dataset of image files: digests, decoded images, a student",
    "run -m random -d squares.toml --backbone convnet3 --protocol brief-hard --eval-seeds 1",
    squares,
)
SCENES = (RECOVER, MATCH, DECODE)


def warm_up(scenes: Sequence[Scene], folder: Path) -> None:
    """Imports what the commands import, so that their forks need not. Nothing is computed here."""
    for scene in scenes:
        listed = folder / "modules.txt"
        scene.command(folder / scene.name).lists_modules(listed)
        for name in sorted(set(listed.read_text().split()) - set(sys.modules)):
            with contextlib.suppress(
                ImportError
            ):  # a plugin that is a file, parts of packages under names of their own
                importlib.import_module(name)
