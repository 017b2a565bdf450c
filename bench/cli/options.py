"""Options that several commands share."""

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.cli.folders import Folder, RunsFolder, folder_of, why_no_folder
from bench.errors import UsageError
from bench.hardware.quantities import seconds, size_in
from bench.storage.settings import cache_named, is_address

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def _refuse_list(value: Any, param: click.Parameter | None, ctx: click.Context | None) -> None:  # noqa: ANN401 - as typed
    """Of an option that is given once for each, a list with commas fails in words that say so; a card is a path."""
    parts = [part.strip() for part in str(value).split(",")]
    if len(parts) > 1 and all(parts) and param is not None and param.multiple and not str(value).endswith(".toml"):
        each = " ".join(f"{param.opts[0]} {part}" for part in parts)
        raise click.BadParameter(f"repeat the option: {each}", ctx, param)


class Number(click.IntRange):
    """A whole number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Fails for anything else."""
        _refuse_list(value, param, ctx)
        return super().convert(value, param, ctx)


class Seed(click.types.IntParamType):
    """Any number of 64 bits, a range that help need not show."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Fails for anything else."""
        _refuse_list(value, param, ctx)
        found = super().convert(value, param, ctx)
        if not -(2**63) <= found < 2**63:
            self.fail(f"{found} is not a number of 64 bits.", param, ctx)
        return found


class Name(click.types.StringParamType):
    """One name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Fails for several."""
        _refuse_list(value, param, ctx)
        return super().convert(value, param, ctx)


COUNT = Number(1, 1_000_000)  # of images
STEPS = click.IntRange(1, 1_000_000_000)
TRAININGS = click.IntRange(1, 1_000)  # of one evaluation
WORKERS = click.IntRange(1, 1024)
MANY: dict[str, Any] = {"multiple": True, "metavar": "NAME", "type": Name()}  # of an option that takes names


def together(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several options as one decorator, in the order of the help page."""
    return lambda command: reduce(lambda wrapped, option: option(wrapped), reversed(options), command)


def _read_by(reader: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """A value as a reader of such words understands it."""

    def callback(ctx: click.Context, parameter: click.Parameter, value: str | None) -> T | None:
        try:
            return None if value is None else reader(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


def time_option(name: str, said: str) -> Callable[[F], F]:
    """An option that takes a time: seconds, or 90s, 30m, 2h."""
    return click.option(name, callback=_read_by(seconds), metavar="TIME", help=said)


def _timeout(what: str, then: str = "") -> Callable[[F], F]:
    return time_option("--timeout", f"Stop {what} after so many seconds, or 90s, 30m, 2h: a failed row{then}.")


def seed_option(of: str, default: str | None = None) -> Callable[[F], F]:
    """The option --seed, once for each.

    Args:
        of: what its seeds are of.
        default: where none may be said, what is taken then; None: it is 0.
    """
    usual = None if default else (0,)
    said = f"Seed of {of} (repeatable)."
    return click.option(
        "--seed",
        "seeds",
        multiple=True,
        type=Seed(),
        metavar="N",
        default=usual,
        show_default=default or True,
        help=said,
    )


timeout_option = _timeout("a run", ", which --retry-failed continues")
row_timeout_option = _timeout("what measures a row")
plugin_option = click.option(
    "--plugin", "plugins", multiple=True, metavar="MODULE_OR_FILE", help="Also load this plugin (repeatable)."
)
data_root_option = click.option(
    "--data-root",
    type=Folder(),
    envvar="BENCH_DATA",
    default=Path("data"),
    show_default=True,
    show_envvar=True,
    help="Where datasets lie.",
)
runs_option = click.option(
    "--runs",
    type=RunsFolder(),
    envvar="BENCH_RUNS",
    default=Path("runs"),
    show_default=True,
    show_envvar=True,
    help="Where run folders are kept: a folder, or an address such as s3://bucket/runs.",
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")


def _precision(auto: str) -> Callable[[F], F]:
    """The option --precision, where auto stands for that."""
    return click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "tf32", "bf16"]),
        default="auto",
        show_default=True,
        help=f"Arithmetic; auto: {auto}. tf32: NVIDIA GPUs.",
    )


precision_option = _precision("bf16 where the device has it and the method bears it")
compile_option = click.option(
    "--compile",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Compile the steps of loops; auto: where that saves more time than it takes.",
)
changes_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a hyper-parameter (repeatable); METHOD:KEY=VALUE for one method.",
)
format_option = click.option(
    "--format", "form", default="table", show_default=True, help="Of the result on standard output."
)
table_or_json_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Of the result on standard output.",
)
trainings_option = together(
    click.option(
        "--eval-seeds",
        type=TRAININGS,
        metavar="N",
        default=3,
        show_default=True,
        help="Trainings an evaluation, each from scratch.",
    ),
    click.option(
        "--looks",
        type=click.IntRange(0, 1000),
        metavar="N",
        default=0,
        show_default=True,
        help="Test so often during a training, for learning curves; nothing is chosen by it.",
    ),
)
executor_options = together(
    click.option("--executor", metavar="NAME", default="local", show_default=True, help="Who does the work."),
    click.option(
        "--workers",
        type=WORKERS,
        metavar="N",
        help="So many work side by side [default: local: 1, or with --device cuda one a GPU].",
    ),
    click.option("--address", metavar="ADDRESS", help="Of the executor's cluster, where it is not on this machine."),
    click.option(
        "--memory",
        callback=_read_by(size_in),
        metavar="SIZE",
        help="Memory that each worker of a cluster asks its node for, such as 16GiB [default: by a forecast].",
    ),
    click.option("--exclusive-costs", is_flag=True, help="Make sets while no other worker is busy."),
)


def _work_options(precision: Callable[[Any], Any]) -> Callable[[F], F]:
    """Where and how jobs are worked off, and how their table is shown."""
    return together(
        click.option(
            "--budget",
            type=click.Choice(["paper", "quick"]),
            default="paper",
            show_default=True,
            help="The recipe as published, or a stated fraction of its iterations and epochs.",
        ),
        device_option,
        precision,
        compile_option,
        data_root_option,
        runs_option,
        click.option("--retry-failed", is_flag=True, help="Do again what failed before."),
        timeout_option,
        executor_options,
        click.option("--dry-run", is_flag=True, help="Try a few real iterations, and say what the rest would take."),
        format_option,
        plugin_option,
    )


work_options = _work_options(precision_option)
reproducing_options = _work_options(_precision("fp32, and tf32 where the GPU has it, as papers"))
# What `bench run` and `bench evaluate` take alike.
grid_options = together(
    click.option("--control/--no-control", default=True, show_default=True, help="Random real images beside each."),
    work_options,
)


def cache_folder() -> Path:
    """Where stages and decoded images are kept: BENCH_CACHE, or a folder in the user's cache.

    Of a store elsewhere the folder that stands for it; stages alone are shared, all else is this machine's own.

    Raises:
        UsageError: there can be no such folder.
    """
    named = cache_named()
    if is_address(named):
        return folder_of(named, shared="stages")
    try:
        folder = Path(named).expanduser()
        reason = why_no_folder(folder)
    except RuntimeError as error:  # ~NAME of a user that nobody knows
        reason = str(error)
    if reason:
        raise UsageError(f"BENCH_CACHE: {reason}")
    return folder
