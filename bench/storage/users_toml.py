"""Models of pydantic from what users write in TOML, and what is wrong with it in one line."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from bench.errors import UsageError, why
from bench.storage.names import brief, nearest
from bench.storage.regular_files import read_regular

M = TypeVar("M", bound=BaseModel)
MOST = 16 << 20  # bytes of a TOML file; those written by hand have some thousands


def read_toml(model: type[M], path: Path, what: str) -> M:
    """The model in a TOML file.

    Raises:
        UsageError: no such file, not TOML, or a missing, unknown or wrong field; the line names `what`, file and field.
    """
    return validated(model, read_fields(path, what), f"{what} {path}")


def read_fields(path: Path, what: str) -> dict[str, Any]:
    """What a TOML file says, whatever that is.

    Raises:
        UsageError: no such file, or not TOML; the line names `what` and the file.
    """
    try:
        return tomllib.loads(read_regular(path, MOST).decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read: {why(error)}") from error
    except RecursionError:
        raise UsageError(f"{what} {path} is not valid TOML: its brackets are nested too deeply") from None
    except ValueError as error:  # of TOML, of UTF-8, or of a number with thousands of digits
        raise UsageError(f"{what} {path} is not valid TOML: {error}") from error


def validated(model: type[M], fields: Mapping[str, Any], where: str) -> M:
    """The model with these fields.

    Raises:
        UsageError: the first thing wrong, in one line that starts with `where`; unknown fields come first, because a
            misspelt field is missing as well.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        raise UsageError(f"{where}: {_explained(model, problems[0])}") from error


def _explained(model: type[BaseModel], problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    field = ".".join(str(part) for part in problem["loc"] if part != "[key]")  # of a table of names
    if problem["type"] == "missing":
        return f"the field {field!r} is missing"
    if problem["type"] == "extra_forbidden":
        return f"unknown field {field!r}; {hint(str(problem['loc'][-1]), _fields_at(model, problem['loc'][:-1]))}"
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"field {field!r} is a table, {_example(model, problem['loc'])}, not {brief(problem['input'])}"
    if problem["type"] == "too_short":
        return (
            f"field {field!r} has {problem['ctx']['actual_length']}, and needs {problem['ctx']['min_length']} at least"
        )
    message = problem["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    return f"field {field!r}: {message}, not {brief(problem['input'])}" if field else message


def hint(name: str, known: list[str]) -> str:
    """The nearest of the known names to one that is none, or all of them."""
    match = nearest(name, known)
    return f"did you mean {match!r}?" if match else f"choose from {', '.join(known)}"


def _fields_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The fields of the table at a location of the card, e.g. ("sources", 0)."""
    for part in location:
        if isinstance(part, str):
            field = model.model_fields.get(part)
            model = (_table_in(field.annotation) if field else None) or model
    return [*model.model_fields, *getattr(model, "also", ())]


def _example(model: type[BaseModel], location: tuple[str | int, ...]) -> str:
    """The table that belongs at a location, as its fields or, where any are taken, by its outline."""
    part = location[-1] if location else ""
    field = next((each for name, each in model.model_fields.items() if name == part), None)
    table = _table_in(field.annotation) if field else None
    return f"{{ {', '.join(f'{name} = ...' for name in table.model_fields)} }}" if table else "{ ... }"


def _table_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _table_in(inner))), None)
