"""What is killed: commands of a second or two that between them write every kind of file there is."""

import contextlib
import importlib
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.soak.grounds import Ground
from tests.soak.ray_ground import RayGround
from tests.soak.shards import ShardsGround
from tests.soak.stores import ServerGround, StoreGround

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
    """A command, what of a run it comes to, and where it runs.

    Attributes:
        prepare: makes what must lie in its folder before.
        in_order: whether it makes the same calls each time; else processes work side by side, and the n-th may be any.
    """

    name: str
    covers: str
    words: str
    prepare: Callable[[Path], None] = nothing
    ground: type[Ground] = Ground
    in_order: bool = True

    def staged(self, folder: Path) -> Ground:
        """The ground for its command, in a folder that is emptied; to be closed."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.prepare(folder)
        return self.ground(f"{self.words} {USUAL}".split(), folder)


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
PIECES = "--no-control --eval-seeds 1 --set squeeze.epochs=1 --set recover.iterations=2 --set recover.batch_size=1"
IN_PIECES = f"run -m brief -d digits --backbone convnet3-bn {PIECES}"
WORKERS = Scene(
    "workers",
    "two workers side by side: a teacher, three units of recovery, stored labels, a student",
    f"{IN_PIECES} --workers 2",
    in_order=False,
)
SHARDS = Scene(
    "shards",
    "three shards of a plan of one run, side by side: a teacher, three units of recovery, some of them made by shards "
    "that help, stored labels, a student; a shard is killed, its child, or both, while the others go on to their ends",
    IN_PIECES,
    ground=ShardsGround,
    in_order=False,
)
STORE = Scene(
    "store",
    "runs and stages in an S3 store: a teacher, three units of recovery, stored labels, a student; the command after a "
    "kill begins with an empty mirror, as on another machine",
    IN_PIECES,
    ground=StoreGround,
    in_order=False,
)
SERVER = Scene(
    "server",
    "as store; the store's server is killed and comes back after a while, and the command waits for it",
    IN_PIECES,
    ground=ServerGround,
    in_order=False,
)
RAY = Scene(
    "ray",
    "a teacher, three units of recovery, stored labels, a student on a Ray cluster of two nodes",
    f"{IN_PIECES} --plugin bench_ray --executor ray",
    ground=RayGround,
)
SCENES = (RECOVER, MATCH, DECODE, WORKERS, SHARDS, STORE, SERVER, RAY)


def warm_up(scenes: Sequence[Scene], folder: Path) -> None:
    """Imports what the commands import, so that their forks need not. Nothing is computed here."""
    for scene in scenes:
        if not scene.ground.forks:
            continue
        listed = folder / "modules.txt"
        with closing(scene.staged(folder / scene.name)) as ground:
            ground.command.lists_modules(listed)
        for name in sorted(set(listed.read_text().split()) - set(sys.modules)):
            with contextlib.suppress(
                ImportError
            ):  # a plugin that is a file, parts of packages under names of their own
                importlib.import_module(name)
