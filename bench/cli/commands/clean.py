"""`bench clean`: take away runs and what lies in the cache. Shows what would go, and takes it with --yes."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from tabulate import tabulate

from bench.cli.filters import run_rows, where_option
from bench.cli.options import cache_folder, runs_option
from bench.errors import UnreadableArtefact, UsageError
from bench.hardware.quantities import size
from bench.progress import Silent
from bench.storage.names import unknown
from bench.storage.shared import cleaning
from bench.storage.shared.cleaning import Removable
from bench.storage.shared.leases import LockHeld
from bench.storage.shared.mirrors import looked_at


class WarningsOnStderr(Silent):
    """What takes a while is said on standard error."""

    def warn(self, message: str) -> None:
        """As a command's console does."""
        click.echo(f"warning: {message}", err=True)


@click.command("clean")
@click.argument("named", nargs=-1, metavar="[RUN]...")
@where_option
@click.option("--failed", is_flag=True, help="Runs that failed before they had made a set.")
@click.option("--stages", is_flag=True, help="Stages in the cache (teachers, experts) that no run below --runs uses.")
@click.option("--corrupt", is_flag=True, help="What was found damaged and set aside.")
@click.option("--images", is_flag=True, help="Decoded datasets in the cache.")
@click.option("--leftovers", is_flag=True, help="What killed processes left half-written or did not need any more.")
@click.option("--yes", is_flag=True, help="Take it away [default: only show it].")
@runs_option
def command(named: tuple[str, ...], where: tuple[str, ...], yes: bool, runs: Path, **kinds: bool) -> None:
    """Take away runs and what lies in the cache.

    Without --yes it is shown and nothing is touched; without anything that is asked for, all that may go is shown in
    sums. What a live process has is always left; with --yes a process of another machine is looked at for as long as it
    takes to tell (a minute). --where picks runs as in bench list runs.
    """
    for place in (runs, cache_folder()):
        looked_at(place)
    chosen = [kind for kind, asked in kinds.items() if asked]
    if not named and not where and not chosen:
        if yes:
            raise UsageError(f"--yes needs what shall go: names of runs, --where, {', '.join(map(_option, KINDS))}")
        _overview(runs)
        return
    raise SystemExit(_clean(_asked_for(named, where, chosen, runs), yes=yes))


def _option(kind: str) -> str:
    return f"--{kind}"


def _asked_for(named: Sequence[str], where: Sequence[str], kinds: Sequence[str], runs: Path) -> list[Removable]:
    picked = {str(row["run"]) for row in run_rows(runs, where)} if where else set()
    folders = [_folder(name, runs) for name in dict.fromkeys([*named, *sorted(picked)])]
    found = [*map(cleaning.run, folders), *(each for kind in kinds for each in KINDS[kind](runs, cache_folder()))]
    return list({each.path: each for each in found}.values())


def _folder(name: str, runs: Path) -> Path:
    """The folder of a run that exists."""
    known = {folder.name: folder for folder in cleaning.run_folders(runs)}
    if name not in known:
        raise unknown("run", name, known, f"bench list runs --runs {runs}")
    return known[name]


def _unused(runs: Path, cache: Path) -> list[Removable]:
    if busy := cleaning.at_work(runs, WarningsOnStderr()):
        names = ", ".join(folder.name for folder in busy)
        raise UsageError(f"no stage is unused for sure while a run is under way: {names}")
    try:
        found = cleaning.unused_stages(runs, cache)
    except UnreadableArtefact as error:
        raise UsageError(f"no stage is unused for sure: {error}") from error
    if found:
        click.echo(f"stages: no run below {runs} uses these; runs in other folders were not asked", err=True)
    if found and (open_ := cleaning.unfinished(runs)):
        count = f"{len(open_)} run{'s have' if len(open_) > 1 else ' has'}"
        click.echo(f"warning: {count} not made a set yet; what was prepared for it may be among these stages", err=True)
    return found


def _clean(found: Sequence[Removable], *, yes: bool) -> int:
    """Shows what is free and takes it away if `yes`; returns the exit status: 1 where something had to be left."""
    free, left, freed = [], 0, 0
    who_has = cleaning.users(found, WarningsOnStderr()) if yes else [each.holder() for each in found]
    for each, who in zip(found, who_has, strict=True):
        if who:
            click.echo(f"left: {each.path.name} is in use by {who}", err=True)
            left += 1
        else:
            free.append((each, each.size))
    click.echo(_table([(each.what, str(each.path), count) for each, count in free]))
    for each, count in free if yes else []:
        try:
            each.remove()
            freed += count
        except LockHeld as error:
            click.echo(f"left: {each.path.name} is {error}", err=True)
            left += 1
    if free:
        click.echo(f"\n{size(freed)} freed" if yes else "\nnothing was taken away; --yes does it")
    return 1 if left and yes else 0


def _table(lines: Sequence[tuple[str, str, int]]) -> str:
    if not lines:
        return "nothing to take away"
    rows = [(what, path, size(count)) for what, path, count in lines]
    rows.append(("in all", "", size(sum(count for *_, count in lines))))
    return tabulate(rows, ("what", "where", "size"), disable_numparse=True, colalign=("left", "left", "right"))


def _overview(runs: Path) -> None:
    cache = cache_folder()
    kinds = {"RUN ... or --where": [cleaning.run(folder) for folder in cleaning.run_folders(runs)]}
    kinds |= {_option(kind): find(runs, cache) for kind, find in {**KINDS, "stages": _said_unused}.items()}
    rows = [(option, len(found), size(cleaning.total(found))) for option, found in kinds.items()]
    click.echo(tabulate(rows, ("asked for by", "how many", "size"), colalign=("left", "right", "right")))


def _said_unused(runs: Path, cache: Path) -> list[Removable]:
    """For sums: none where it cannot be known."""
    with contextlib.suppress(UnreadableArtefact):
        return cleaning.unused_stages(runs, cache)
    return []


KINDS: dict[str, Callable[[Path, Path], list[Removable]]] = {
    "failed": lambda runs, cache: cleaning.failed_runs(runs),
    "stages": _unused,
    "corrupt": lambda runs, cache: cleaning.quarantined_files(runs, cache),
    "images": lambda runs, cache: cleaning.decoded_images(cache),
    "leftovers": cleaning.leftovers,
}
