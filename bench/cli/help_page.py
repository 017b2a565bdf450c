"""The page docs/commands.md: every command with its options, as --help says them.

python -m bench.cli.help_page > docs/commands.md
"""

import inspect
from collections.abc import Iterator

import click

from bench.cli import cli

INTRO = """\
# Commands

What `--help` says of each, made by `python -m bench.cli.help_page > docs/commands.md`. Results go to standard output,
all else to standard error. Exit status: 0 all is done, 1 some row failed or was refused, 2 wrong usage, 130 stopped by
Ctrl-C or, while runs are under way, by SIGTERM.
"""
AS_TYPED = "\b\n"  # click's mark of a paragraph that keeps its lines


def page() -> str:
    """The page: the commands in the order of a user's needs."""
    return INTRO + "".join(f"\n{each}" for each in _sections(cli, click.Context(cli, info_name="bench")))


def _sections(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, "it is in the group's own list"
        within = click.Context(command, info_name=name, parent=context)
        yield from _sections(command, within) if isinstance(command, click.Group) else [_section(command, within)]


def _section(command: click.Command, context: click.Context) -> str:
    title = context.command_path
    usage = " ".join([title, *command.collect_usage_pieces(context)])
    about = "\n\n".join(_paragraph(each) for each in inspect.cleandoc(command.help or "").split("\n\n"))
    options = (each.get_help_record(context) for each in command.params if isinstance(each, click.Option))
    lines = [f"| `{_cell(names)}` | {_cell(said)} |" for names, said in filter(None, options)]
    table = "\n".join(["| option | |", "| --- | --- |", *lines])
    return f"## {title}\n\n{_fenced(usage)}\n\n{about}\n\n{table}\n"


def _paragraph(text: str) -> str:
    return _fenced(text.removeprefix(AS_TYPED)) if text.startswith(AS_TYPED) else text


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def _cell(text: str) -> str:
    """On one line, and no bar between choices is the border of a cell."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
