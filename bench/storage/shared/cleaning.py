"""What may go from the folders of runs and of the cache, and taking it away without disturbing who works there."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import CorruptArtefact, UnreadableArtefact
from bench.progress import Progress, Silent
from bench.storage import run_folder
from bench.storage.files import LEFTOVER, is_being_written, is_quarantined, read_json
from bench.storage.shared.leases import holder, is_of_dead, leased, locked, owner_lives
from bench.storage.shared.mirrors import SEALS, mirrored
from bench.storage.shared.scratch import abandoned, gate
from bench.storage.shared.slots import LEASES
from bench.storage.shared.stages import WORK

WATCHERS = 16  # owners of other machines that are watched at once


@dataclass(frozen=True)
class Removable:
    """Something that may go.

    Attributes:
        what: its kind, in words.
        path: a file or a folder.
        locks: of those who may be at work on it.
    """

    what: str
    path: Path
    locks: tuple[Path, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that are free afterwards, there for what is in a store; files that other folders share stay."""
        if there := mirrored(self.path):
            return there.mirror.size(there.name)
        files = [self.path] if self.path.is_file() else [each for each in self.path.rglob("*") if each.is_file()]
        return sum(about.st_size for about in map(os.lstat, files) if about.st_nlink == 1)

    def holder(self) -> str | None:
        """A process that works on it, or None; one whose life cannot be seen from here counts."""
        return next((who for who in map(holder, self.locks) if who), None)

    def user(self, progress: Progress) -> str | None:
        """A live process that works on it, or None. Of another machine's it is said that this takes a while to see."""
        held = ((holder(lock), lock) for lock in self.locks)
        return next((who for who, lock in held if who and owner_lives(lock, progress)), None)

    def remove(self) -> None:
        """Takes it away while holding its locks.

        Raises:
            LockHeld: a live process has one of them; nothing was touched.
        """
        with ExitStack() as held:
            for lock in self.locks:
                held.enter_context(locked(lock, Silent(), wait=False, bring=False))
            if there := mirrored(self.path):
                there.mirror.remove(there.name)
            for name in SEALS:  # first: a kill leaves no ruin
                (self.path / name).unlink(missing_ok=True) if self.path.is_dir() else None
            shutil.rmtree(self.path) if self.path.is_dir() else self.path.unlink(missing_ok=True)


def run_folders(runs: Path) -> list[Path]:
    """Every folder of a run, whatever its state."""
    return sorted({path.parent for name in (run_folder.SPEC, run_folder.RECORD) for path in runs.glob(f"*/{name}")})


def run(folder: Path, what: str = "run") -> Removable:
    """A run with all that it made. What it took from the cache stays."""
    return Removable(what, folder, (run_folder.lock_of(folder),))


def failed_runs(runs: Path) -> list[Removable]:
    """Runs that made no set, and say why. A set whose evaluation failed is none of them."""
    return [run(folder, "failed run") for folder in run_folders(runs) if _status(folder) in ("failed", "refused")]


def unused_stages(runs: Path, cache: Path) -> list[Removable]:
    """Stages, finished or not, that no finished run below the folder uses."""
    used = {stage for folder in run_folders(runs) for stage in _stages_of(folder)}
    found = sorted(path for path in (cache / "stages").glob("*-*") if path.is_dir() and not is_quarantined(path))
    return [_stage(path) for path in found if path.name.rpartition("-")[2] not in used]


def users(found: Sequence[Removable], progress: Progress) -> list[str | None]:
    """The `user` of each, looked for side by side."""
    with ThreadPoolExecutor(WATCHERS) as pool:
        return list(pool.map(lambda each: each.user(progress), found))


def at_work(runs: Path, progress: Progress) -> list[Path]:
    """Runs that a live process has: what they use is not known yet."""
    found = list(map(run, run_folders(runs)))
    return [each.path for each, user in zip(found, users(found, progress), strict=True) if user]


def unfinished(runs: Path) -> list[Path]:
    """Runs without costs: of the stages they made none is known."""
    return [folder for folder in run_folders(runs) if not (folder / run_folder.COSTS).exists()]


def quarantined_files(*roots: Path) -> list[Removable]:
    """What was found damaged and put aside for inspection; of what lies within another only the outer."""
    found = sorted(path for root in roots for path in root.rglob("*") if is_quarantined(path))
    outer = [path for path in found if not any(is_quarantined(above) for above in path.parents)]
    return [Removable("damaged, set aside", path) for path in outer]


def leftovers(runs: Path, cache: Path) -> list[Removable]:
    """What killed processes left: half-written files, the work of what is finished, names of owners that are gone."""
    found = [*_left_in_runs(runs), *_left_in_stages(cache), *_left_by_writers(cache), *_left_by_trials(cache)]
    going = {each.path for each in found}
    places = [runs, *(path.parent for path in sorted(cache.rglob(LEASES)) if going.isdisjoint(path.parents))]
    dead = [path for place in places for path in leased(place) if is_of_dead(path)]
    names = [Removable("name of a dead owner", path, (path,)) for path in dead]
    return [*found, *names, *_left_by_versions(runs, cache)]


def _left_by_versions(runs: Path, cache: Path) -> Iterator[Removable]:
    """Files of the locks of earlier versions, which hold nobody up."""
    for end in ("lock", "owner"):
        for path in sorted([*runs.glob(f".*.{end}"), *cache.rglob(f"*.{end}")]):
            if path.is_file():
                yield Removable("lock of an earlier version", path)


def _left_in_runs(runs: Path) -> Iterator[Removable]:
    """Of runs that nobody has; a live one's files are its own."""
    for each in map(run, run_folders(runs)):
        finished = [path for path in each.path.glob(f"*/*{run_folder.WORK}") if _has_result(path)]
        for path in sorted([*each.path.rglob(f"*{LEFTOVER}"), *finished]) if each.holder() is None else ():
            yield Removable("leftover of a run", path, each.locks)


def _left_in_stages(cache: Path) -> Iterator[Removable]:
    for each in (_stage(path) for path in sorted((cache / "stages").glob("*-*")) if path.is_dir()):
        finished = [each.path / WORK] if (each.path / "stage.json").exists() and (each.path / WORK).exists() else []
        parts = [] if finished else sorted(each.path.rglob(f"*{LEFTOVER}"))
        for path in [*finished, *parts] if each.holder() is None else ():
            yield Removable("leftover of a stage", path, each.locks)


def _left_by_writers(cache: Path) -> Iterator[Removable]:
    """Of folders that several processes write to: what a process began that is there no more."""
    for path in sorted([*(cache / "choices").glob(f"*{LEFTOVER}"), *(cache / "images").glob(f"*/*{LEFTOVER}")]):
        split = path.with_name(f"{path.name.partition('.')[0]}.lock")
        locks = [each for each in (split, path.parent.with_suffix(".lock")) if each in leased(each.parent)]
        if not is_being_written(path) and not any(map(holder, locks)):  # the process may be another machine's
            yield Removable("half-written file", path, tuple(locks))


def _left_by_trials(cache: Path) -> Iterator[Removable]:
    """Of dry runs and of measurements, each with all that it made."""
    for path in abandoned(cache):
        yield Removable("work of a dry run or of bench speed", path, (gate(cache),))


def _has_result(work: Path) -> bool:
    return any(work.with_suffix(suffix).exists() for suffix in (".safetensors", ".json"))


def decoded_images(cache: Path) -> list[Removable]:
    """Datasets as they were decoded, which takes minutes again."""
    folders = sorted({path.parent for path in (cache / "images").glob("*/*.u8")})
    return [Removable("decoded images", folder, tuple(leased(folder))) for folder in folders]


def _stage(folder: Path) -> Removable:
    what = "unused stage" if (folder / "stage.json").exists() else "unfinished stage"
    return Removable(what, folder, (folder.with_name(f"{folder.name}.lock"),))


def _status(folder: Path) -> Any:  # noqa: ANN401 - what a damaged file may say
    with suppress(UnreadableArtefact):  # it may be done
        return _content(folder / run_folder.RECORD).get("status")
    return None


def _stages_of(folder: Path) -> Iterator[str]:
    """Of its synthesis, of its evaluations, and of its labels' teacher.

    Raises:
        UnreadableArtefact: that cannot be known, so that none is unused for sure.
    """
    for path in (folder / run_folder.COSTS, *(folder / run_folder.EVALUATIONS).glob("*.json")):
        yield from map(str, _inside(_content(path), "stages"))
    yield str(_inside(_content(folder / run_folder.CONDENSED / run_folder.MANIFEST), "labels", "teacher").get("stage"))


def _inside(content: Any, *keys: str) -> Mapping[str, Any]:  # noqa: ANN401 - what a damaged file may say
    """The object under these keys; an empty one where there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content if isinstance(content, Mapping) else {}


def _content(path: Path) -> dict[str, Any]:
    """What a file says; nothing where it is missing or damaged, which its run finds out."""
    with suppress(FileNotFoundError, CorruptArtefact):
        return read_json(path)
    return {}


def total(removable: Iterable[Removable]) -> int:
    """Bytes of all of them."""
    return sum(each.size for each in removable)
