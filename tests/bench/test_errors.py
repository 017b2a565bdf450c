"""What an exception is said to say: one line that is never empty, and no advice to run what a file holds."""

import errno
import json
from pathlib import Path

import pluggy
import pytest
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from bench import hookspecs
from bench.errors import fault, why
from bench.running.failures import reason_of


class Odd:
    """Not a tensor."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "No space left on device"),
        (OSError("seek on a pipe"), "seek on a pipe"),
        (OSError(), "OSError"),
        (ValueError("\nfirst\nsecond"), "first"),
        (EOFError(), "EOFError"),
    ],
)
def test_one_line_that_says_something(error: Exception, said: str) -> None:
    assert why(error) == said


def test_a_full_disk_without_a_file_names_none() -> None:
    assert reason_of(OSError(errno.ENOSPC, "No space left on device")) == "disk full: No space left on device"


@pytest.mark.parametrize("damaged", [False, True])
def test_what_torch_refuses_comes_without_its_advice(tmp_path: Path, damaged: bool) -> None:
    path = tmp_path / "set.pt"
    torch.save({"images": Odd()}, path)
    if damaged:
        path.write_bytes(b"\x80\x02garbage")
    with pytest.raises(Exception, match="weights_only") as refused:
        torch.load(path, weights_only=True)
    found = "Unsupported operand 103" if damaged else f"Unsupported global: GLOBAL {__name__}.Odd was not an allowed"
    assert why(refused.value).startswith(f"it holds more than tensors: {found}")
    assert "\n" not in why(refused.value) and "False" not in why(refused.value)


class Config(BaseModel):
    lr: float = 0.1
    model_config = ConfigDict(frozen=True)


def test_what_libraries_head_with_a_count_is_said_by_the_mistake() -> None:
    with pytest.raises(ValidationError) as frozen:
        Config().lr = 0.2
    assert why(frozen.value) == "lr: Instance is frozen"
    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(hookspecs)

    class Misspelt:
        @hookspecs.hookimpl
        def bench_run_finished(self, recrod: object) -> None:
            """Nothing."""

    with pytest.raises(pluggy.PluginValidationError) as strange:
        manager.register(Misspelt())
    assert "'recrod'" in why(strange.value) and "\n" not in why(strange.value)


def test_a_fault_is_placed_where_its_author_can_mend_it() -> None:
    """Not in the library that he called."""
    with pytest.raises(RuntimeError) as raised:
        torch.nn.functional.conv2d(torch.zeros(1), torch.zeros(1, 1, 1, 1))
    with pytest.raises(TypeError) as inside:
        json.dumps(object())
    assert fault(inside.value).endswith(f"(test_errors.py:{inside.traceback[0].lineno + 1})")
    assert "test_errors.py" in fault(raised.value)
