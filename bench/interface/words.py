"""From the arguments of a call to the words of a command, and what the command makes of them.

A call goes the way of the command line, so that names, defaults, environment variables, checks and messages are the
same, and a record says by which line its run is made again.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from inspect import Parameter, signature
from os import PathLike, fspath
from typing import Any, ParamSpec, TypeVar

import click

from bench.errors import UsageError
from bench.storage.names import unknown

P = ParamSpec("P")
T = TypeVar("T")

# How commands print, and what they plan for others; calls return rows.
BY_OTHER_WORDS = {"dry_run", "form", "output", "pivot", "width", "plan_only", "machine"}


def offered(call: Callable[P, T]) -> Callable[P, T]:
    """The call as `bench` offers it: its TypeError for a keyword that it has not names the nearest that it has."""
    known = [name for name, each in signature(call).parameters.items() if each.kind is not Parameter.VAR_POSITIONAL]

    @wraps(call)
    def told(*places: P.args, **keywords: P.kwargs) -> T:
        for name in keywords:
            if name not in known:
                raise TypeError(f"bench.{call.__name__}: {unknown('keyword', name, known)}")
        return call(*places, **keywords)

    return told


def arguments_of(command: click.Command) -> dict[str, click.Parameter]:
    """The parameters of a command by the names that they have in a call: `eval_backbone` for --eval-backbone."""
    return {_name(each): each for each in command.params if each.required or each.name not in BY_OTHER_WORDS}


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        longest = max(parameter.opts, key=len)
        return longest.removeprefix("--").replace("-", "_")
    return str(parameter.name)


def words_of(command: click.Command, **given: Any) -> list[str]:  # noqa: ANN401 - arguments of any type
    """What a user would type after `bench NAME`; what is None, or as it is by default, goes without saying.

    Args:
        given: by the names of `arguments_of`: one value or several, and for options of KEY=VALUE a mapping too.
    """
    known, usual = arguments_of(command), command.make_context("", [], resilient_parsing=True).params
    options = {name: value for name, value in given.items() if isinstance(known[name], click.Option)}
    said = {name: value for name, value in options.items() if _says(value, usual[str(known[name].name)])}
    words = [word for name, value in said.items() for word in _option(known[name], value)]
    places = [text for name, value in given.items() if name not in options for text in texts(value)]
    return [*words, *(["--", *places] if places else [])]


def _option(parameter: click.Parameter, value: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    assert isinstance(parameter, click.Option)
    longest = max(parameter.opts, key=len)
    if parameter.is_flag:
        yield longest if value else parameter.secondary_opts[0]
        return
    typed = list(texts(value)) if parameter.multiple else [",".join(texts(value))]
    for text in typed:
        yield f"{longest}={text}"


def _says(value: Any, usual: Any) -> bool:  # noqa: ANN401 - as above
    """Whether a value is there, and another than the usual one."""
    return value is not None and list(texts(value)) != list(texts(usual))


def texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    """Each of one value or several as it is typed; nothing for None."""
    if value is None:
        return
    if isinstance(value, Mapping):
        yield from (f"{key}={_literal(each)}" for key, each in value.items())
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes | PathLike):
        yield from (_plain(each) for each in value)
    else:
        yield _plain(value)


def _plain(value: Any) -> str:  # noqa: ANN401 - as above
    return fspath(value) if isinstance(value, PathLike) else str(value)


def _literal(value: Any) -> str:  # noqa: ANN401 - as above
    """A value as a TOML literal, which --set takes; text as it is where it reads as text."""
    if isinstance(value, str):
        return json.dumps(value) if _reads_as_another(value) else value
    return json.dumps(value) if isinstance(value, bool | list | tuple) else str(value)


def _reads_as_another(text: str) -> bool:
    """Whether a text, unquoted, would be taken for a number, a truth value or a list."""
    from bench.planning.configuring import typed_value

    return text != text.strip() or typed_value(text) != text


def understood(command: click.Command, words: Sequence[str]) -> dict[str, Any]:
    """The values that a command's function is given for these words.

    Raises:
        UsageError: what the command line refuses, in its words.
    """
    try:
        return command.make_context(str(command.name), list(words)).params
    except click.UsageError as error:
        raise UsageError(error.format_message()) from error
