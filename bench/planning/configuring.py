"""From a method's recipe, the budget and the user's --set to a resolved configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from bench.condensation import Condenser, MethodConfig
from bench.errors import UsageError
from bench.extensions.answers import answers_of, held, misfit
from bench.extensions.registry import Registry
from bench.planning.checks import check_named_backbones
from bench.planning.contracts import wrong_config, wrong_members
from bench.recipes import Setting, Values, merge, set_value_at, value_at
from bench.results.differences import not_published
from bench.results.spec import MethodChoice, Origin
from bench.storage.names import brief, unknown

MOST = 1_000_000_000  # iterations, images, epochs, ... that a key may count


def configure(registry: Registry, name: str, setting: Setting, changes: Sequence[str]) -> MethodChoice:
    """The method with every hyper-parameter resolved: recipe at the budget, then the user's changes.

    Args:
        changes: what --set names, as KEY=VALUE with dotted keys.

    Raises:
        UsageError: a wrong type or value, a backbone that does not exist or fit, or what the method cannot work with in
            this setting.
    """
    method = condenser(registry, name)
    with answers_of(registry, "method", name):
        return _configured(registry, name, method, setting, changes)


def condenser(registry: Registry, name: str) -> type[Condenser[Any]]:
    """A registered method.

    Raises:
        UsageError: an unknown or unavailable one, or what is no method.
    """
    method = registry.load("method", name)
    if not (isinstance(method, type) and issubclass(method, Condenser)):
        raise misfit(registry, "method", name, "it is no subclass of bench.condensation.Condenser")
    return method


def _configured(
    registry: Registry, name: str, method: type[Condenser[Any]], setting: Setting, changes: Sequence[str]
) -> MethodChoice:
    registered = registry.find("method", name)
    recipe = method.recipe(setting)
    held(registry, "method", name, wrong_config(method, recipe))
    planned = recipe.at(setting.budget)
    values = merge(planned, {})
    for key, text in _pairs(changes):
        set_value_at(values, key, _typed(method.Config, key, typed_value(text)))
    config = _validated(method.Config, values, name)
    _check_sizes(config, [key for key, _ in _pairs(changes)])
    configured = method(config)
    held(registry, "method", name, wrong_members(configured))
    check_named_backbones(registry, name, configured.backbones(setting))
    configured.check(setting)
    keys = [key for key in dict(_pairs(changes)) if method.made_here]  # else they say where the set is
    changed = _changed(_filled(method.Config, planned), config, keys)
    return MethodChoice(
        name=name,
        version=method.version,
        config=config.model_dump(mode="json"),
        recipe=recipe.name,
        source=recipe.source,
        quick=recipe.taken() if setting.budget == "quick" else (),
        changed=changed,
        plugin=registered.plugin,
        plugin_version=registered.version,
        engine=set_at(config, method.knobs["engine"]) if "engine" in method.knobs else None,
        differs=(*not_published("the method's recipe", recipe), *recipe.differs, *configured.differs(setting)),
        aside=tuple(sorted(method.Config.aside)),
    )


def share_changes(registry: Registry, methods: Sequence[str], changes: Sequence[str]) -> dict[str, list[str]]:
    """For each method those of the user's changes that are for it, as KEY=VALUE.

    A plain one is for every method that has the key; METHOD:KEY=VALUE is for that method alone, and there takes the
    place of a plain one.

    Raises:
        UsageError: a key that no method has, or the one it is for has not, or a method that is not run; it names the
            nearest.
    """
    known = {name: _keys(registry, name) for name in methods}
    addressed = [_addressed(key, text) for key, text in _pairs(changes)]
    _refuse_twice(addressed)
    for change in addressed:
        _check_known(registry, change, known)
    return {name: _changes_for(name, keys, addressed) for name, keys in known.items()}


def _keys(registry: Registry, name: str) -> list[str]:
    method = condenser(registry, name)
    with answers_of(registry, "method", name):
        return keys_of(method.Config)


@dataclass(frozen=True)
class _Change:
    """One --set; `method` is None where it is for all that have the key."""

    method: str | None
    key: str
    text: str


def _addressed(key: str, text: str) -> _Change:
    method, colon, own = key.partition(":")
    return _Change(method.strip(), own.strip(), text) if colon else _Change(None, key, text)


def _refuse_twice(changes: Sequence[_Change]) -> None:
    first: dict[tuple[str | None, str], _Change] = {}
    for each in changes:
        if (earlier := first.setdefault((each.method, each.key), each)) is not each:
            name = f"{each.method}:{each.key}" if each.method else each.key
            raise UsageError(f"--set {name} is given twice: {brief(earlier.text)} and {brief(each.text)}; keep one")


def _check_known(registry: Registry, change: _Change, known: Mapping[str, Sequence[str]]) -> None:
    if change.method is None:
        every = {key for keys in known.values() for key in keys}
        if not every:
            raise UsageError(f"--set {change.key}: {', '.join(known)} takes no hyper-parameters")
        if change.key not in every:
            raise UsageError(f"{unknown('--set key', change.key, every)} (methods: {', '.join(known)})")
    elif change.method not in known:
        offered = registry.has("method", change.method)
        why = f"{change.method} is not among the methods here" if offered else unknown("method", change.method, known)
        raise UsageError(f"--set {change.method}:{change.key}: {why}")
    elif change.key not in known[change.method]:
        raise unknown(f"--set key of {change.method}", change.key, known[change.method])


def _changes_for(method: str, keys: Sequence[str], changes: Sequence[_Change]) -> list[str]:
    own = [change for change in changes if change.method == method]
    named = {change.key for change in own}
    shared = [change for change in changes if change.method is None and change.key in keys and change.key not in named]
    return [f"{change.key}={change.text}" for change in (*shared, *own)]


def own_protocol(registry: Registry, method: str, setting: Setting, origin: Origin | None) -> str:
    """What "paper" stands for: the protocol that an imported set's manifest names, or else the method's own."""
    if origin is not None:
        return origin.protocol
    condensing = condenser(registry, method)
    with answers_of(registry, "method", method):
        return condensing.protocol(setting)


def build(registry: Registry, choice: MethodChoice) -> Condenser[Any]:
    """The method, ready to work."""
    method: type[Condenser[Any]] = registry.load("method", choice.name)
    return method(method.Config.model_validate(choice.config))


def keys_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key of a config, tables followed into."""
    found: list[str] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += keys_of(inner, f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}")
    return found


def field_of(model: type[BaseModel], key: str) -> FieldInfo:
    """The field of a dotted key that the config has."""
    *tables, last = key.split(".")
    for table in tables:
        model = cast(type[BaseModel], model.model_fields[table].annotation)
    return model.model_fields[last]


def _pairs(changes: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise UsageError(f"--set takes KEY=VALUE or METHOD:KEY=VALUE, not {change!r}")
        pairs.append((key.strip(), text.strip()))
    return pairs


def _typed(model: type[BaseModel], key: str, value: Any) -> Any:  # noqa: ANN401 - any value
    """The value, unless it is a truth value for a number: pydantic would take True for 1."""
    if isinstance(value, bool) and field_of(model, key).annotation in (int, float):
        raise UsageError(f"--set {key} takes a number, not {str(value).lower()}")
    return value


def _check_sizes(config: MethodConfig, keys: Sequence[str]) -> None:
    """Refuses whole numbers with which nothing would end, or fit into what computers count with."""
    for key in keys:
        value = set_at(config, key)
        if isinstance(value, int) and abs(value) > MOST:
            raise UsageError(f"--set {key} takes numbers up to {MOST:,}, not {brief(value)}")


def typed_value(text: str) -> Any:  # noqa: ANN401 - any value a user can type
    """A value as typed: a TOML literal where it is one (numbers, booleans, lists), else the text itself."""
    import tomllib

    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # no TOML, or a number or brackets beyond what Python reads
        return text
    return found["value"] if len(found) == 1 else text  # a line break begins another key


def set_at(config: BaseModel, key: str) -> Any:  # noqa: ANN401 - any value
    """What a dotted key is set to, as JSON; also one that a dump leaves unsaid (`bench.storage.growing`)."""
    *tables, last = key.split(".")
    return to_jsonable_python(getattr(reduce(getattr, tables, config), last))


def _filled(model: type[MethodConfig], values: Values) -> MethodConfig | Values:
    """A recipe's values with the defaults of all else, where they are a whole configuration."""
    try:
        return model.model_validate(values)
    except ValidationError:
        return values


def _changed(before: MethodConfig | Values, after: MethodConfig, keys: Sequence[str]) -> dict[str, list[Any]]:
    """Of these keys those whose value is another now: what it was and what it is."""
    found = {key: [_look_or_none(before, key), set_at(after, key)] for key in keys}
    return {key: pair for key, pair in found.items() if pair[0] != pair[1]}


def _look_or_none(values: MethodConfig | Values, key: str) -> Any:  # noqa: ANN401 - any value
    if isinstance(values, MethodConfig):
        return set_at(values, key)
    try:
        return value_at(values, key)
    except KeyError:
        return None


def _validated(model: type[MethodConfig], values: Mapping[str, Any], method: str) -> MethodConfig:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        every = error.errors()
        first, key = every[0], _key_of(every[0]["loc"], values)
        said = _joined([each["msg"] for each in every if _key_of(each["loc"], values) == key])
        if first["type"] == "missing":
            raise UsageError(f"method {method!r}: {key}: no recipe gives it, and it has no default") from error
        if first["type"] == "extra_forbidden":
            raise UsageError(f"method {method!r}: {unknown('key of its recipe', key, keys_of(model))}") from error
        whole = isinstance(first["input"], Mapping)  # a rule over several keys
        given = "" if whole else f", not {brief(first['input'])}"
        raise UsageError(f"method {method!r}: {key or 'config'}: {said}{given}") from error


def _key_of(location: Sequence[int | str], values: Mapping[str, Any]) -> str:
    """The key that an error is about: of a value that may be of several types pydantic names the type as well."""
    parts, inside = list[str](), cast(Any, values)
    for part in location:
        if parts and not isinstance(inside, Mapping | list | tuple):
            break
        parts.append(str(part))
        inside = inside.get(part) if isinstance(inside, Mapping) else None
    return ".".join(parts)


def _joined(messages: Sequence[str]) -> str:
    """What a value should be, as "Input should be a valid integer or 'all'"."""
    first, *others = (message.removeprefix("Value error, ") for message in messages)
    return " or ".join([first, *(other.removeprefix("Input should be ") for other in others)])
