"""`bench work`: a share of a plan, beside others."""

import re
from pathlib import Path

import click

from bench.cli.names import check_names
from bench.cli.options import (
    cache_folder,
    data_root_option,
    device_option,
    format_option,
    plugin_option,
    runs_option,
    timeout_option,
)
from bench.errors import UsageError
from bench.extensions.registry import Registry


@click.command("work")
@click.argument("plan", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--shard", metavar="I/N", default="1/1", help="Which of N shares, from 1/N to N/N [default: all].")
@device_option
@data_root_option
@runs_option
@click.option("--retry-failed", is_flag=True, help="Do again what failed before, of this share.")
@timeout_option
@format_option
@plugin_option
def command(
    plan: Path,
    shard: str,
    device: str,
    data_root: Path,
    runs: Path,
    retry_failed: bool,
    timeout: float | None,
    form: str,
    plugins: tuple[str, ...],
) -> None:
    """Do a share of a plan that bench run --plan-only made, then what no other share has begun, then help.

    To help is to make units of runs that others are at. As many as you like work side by side on one folder of runs and
    one BENCH_CACHE. Interrupted or killed, the same command continues. Exit status: 0 all its rows done or nothing left
    to take, 1 some row failed, 2 wrong usage.
    """
    number, count = _share(shard)
    check_names(Registry(plugins), format=[form])
    from bench.cli.plans import Place, Shard, work

    place = Place(runs, cache_folder(), data_root, device, timeout)
    raise SystemExit(work(plan, Shard(number, count), place, plugins, form, retry=retry_failed))


def _share(text: str) -> tuple[int, int]:
    """I and N of "I/N". Raises UsageError: there is no such share."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"--shard takes I/N with I from 1 to N, such as 2/8, not {text!r}")
    return number, count
