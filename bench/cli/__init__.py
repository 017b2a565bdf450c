"""The command line: the program and how it shows work and answers; each of its `commands` is imported when called."""

import errno
import gc
import os
import sys
from importlib import import_module

import click

from bench.errors import LostOutput, RunFailure, StoreAway, UsageError
from bench.storage.streams import guarded

COMMANDS = {
    "run": "Condense, evaluate, measure and compare: the grid of what you name.",
    "work": "Do a share of a plan that bench run --plan-only made, beside others.",
    "reproduce": "A published table, measured: how each number stands to the paper's.",
    "report": "Tables from the records of runs.",
    "compare": "Two runs: what differs in what they are, what they scored and what they cost.",
    "speed": "How fast a method's step is, beside its reference, the convolutions alone, and what was published.",
    "evaluate": "Score a condensed set that came from anywhere.",
    "export": "A run's set in the form in which others keep theirs.",
    "list": "What there is: methods, backbones, datasets, protocols, formats, tables, runs.",
    "show": "All about one name or one run.",
    "clean": "Take away runs and what lies in the cache; shows first what would go.",
    "data": "Fetch and verify datasets.",
    "new-plugin": "Write a complete, passing plugin to start from.",
    "doctor": "What this machine has, and what is missing.",
}


EXTRA, REPEAT = "Got unexpected extra argument", "; for several values an option is repeated, as --ipc 1 --ipc 10"
COLLECTED = 100_000  # new objects until garbage is looked for: Python's 700 cost 0.3 s of imports, which leave none


class Commands(click.Group):
    """Finds a command in the module of its name; unknown ones get the nearest name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of a user's needs."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command's module; its `command` attribute is the command."""
        if cmd_name not in COMMANDS:
            from bench.storage.names import unknown

            raise unknown("command", cmd_name, COMMANDS)
        module = import_module(f"bench.cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands from the table above, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


# color: click takes nothing out of what is printed; bench.storage.streams shows it
@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "color": True})
@click.version_option(package_name="condensation-bench", prog_name="bench")
def cli() -> None:
    """Compare dataset-condensation methods: accuracy, cost, and random real images under the same protocol."""
    try:
        os.getcwd()  # noqa: PTH109 - pathlib is no part of a quick start
    except OSError as error:
        raise UsageError("the folder you are in is not there any more; go to another one") from error


def main(command: click.Command = cli) -> None:
    """The `bench` program. A user's mistake is one line and status 2; a bug keeps its traceback.

    Status 1 as well where standard output cannot be written.
    """
    gc.set_threshold(COLLECTED)
    with guarded():
        status = _status(command)
    gc.freeze()  # or Python's end looks at all of torch's objects, for as long
    sys.exit(status if isinstance(status, int) else 0)


def _one_line(message: str) -> str:
    """The message without line breaks, words of more than 400 letters shortened: what was typed may have any length."""
    words = (word if len(word) <= 400 else f"{word[:100]}...{word[-100:]}" for word in message.split())
    return " ".join(words)


def _say_too_long(path: str) -> None:
    """Of a name that no file system takes: only a user makes up such names."""
    from bench.storage.names import brief

    click.echo(f"bench: {brief(path)}: a name in it is longer than file systems take", err=True)


def _status(command: click.Command) -> object:
    """Does what was typed; the exit status, where it is a number."""
    try:
        return command.main(prog_name="bench" if command is cli else None, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
    except (click.UsageError, UsageError) as error:
        message = error.format_message() if isinstance(error, click.UsageError) else str(error)
        click.echo(f"bench: {_one_line(message)}{REPEAT if message.startswith(EXTRA) else ''}", err=True)
    except (click.Abort, KeyboardInterrupt):
        click.echo("bench: stopped; the same command continues", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (LostOutput, RunFailure, StoreAway) as error:
        click.echo(f"bench: {_one_line(str(error))}", err=True)
        return 1
    except Exception as error:
        if getattr(error, "errno", None) != errno.ENAMETOOLONG:
            import traceback  # rarely needed, and no part of a quick start

            traceback.print_exc()
            return 1
        _say_too_long(str(getattr(error, "filename", "")))
    return 2
