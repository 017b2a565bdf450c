"""What is recorded of a run besides its costs: by its method (`Notes`), and by the harness itself (`Findings`)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.errors import RunFailure


class Notes(dict[str, Any]):
    """What a method or a protocol notes: JSON values, which the record keeps apart under `notes`.

    A name of what the harness itself records is refused when it is noted, so that no note is taken for a measurement.

    Args:
        reserved: those names.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        super().__init__()
        self._reserved = frozenset(reserved)

    def __setitem__(self, name: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """Raises RunFailure: a reserved name, or what is no JSON value."""
        if name in self._reserved:
            raise RunFailure(
                f"a note cannot be called {name!r}: that is a field which the harness fills itself; "
                f"call it {f'own_{name}'!r}, say"
            )
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RunFailure(f"the note {name!r} is no JSON value: {error}") from error
        super().__setitem__(name, value)

    def update(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - as of a dict
        """As of a dict, each name looked at."""
        for name, value in dict(*given, **named).items():
            self[name] = value

    def setdefault(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as of a dict
        """As of a dict, the name looked at."""
        if name not in self:
            self[name] = default
        return self[name]

    def __ior__(self, other: Any) -> "Notes":  # type: ignore[override, misc]  # noqa: ANN401 - as of a dict
        self.update(other)
        return self


@dataclass
class Findings:
    """What the harness finds out while a method or a protocol works. Only `bench` writes it.

    Attributes:
        teacher_bn_loss_real, teacher_bn_loss_noise: see `bench.recovery.health`.
        compiled: of each loop, whether its step was compiled, why, and the seconds that took.
        compiling_s: seconds that weighing, compiling and trying took, outside the making of stages.
        networks: what networks say of themselves (their attribute `facts`), by backbone.
    """

    teacher_bn_loss_real: float | None = None
    teacher_bn_loss_noise: float | None = None
    compiled: dict[str, dict[str, Any]] = field(default_factory=dict)
    compiling_s: float = 0.0
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What is known, by name."""
        return {name: value for name, value in asdict(self).items() if value not in (None, {})}

    def take(self, known: Mapping[str, Any]) -> None:
        """Adds what an earlier attempt at the same run found out; names of earlier versions say nothing any more."""
        for name in known.keys() & asdict(self).keys():
            held, value = getattr(self, name), known[name]
            setattr(self, name, {**held, **value} if isinstance(held, dict) else value)
