"""What an exception is said to say: one line that is never empty, and no advice to run what a file holds."""

import errno
from pathlib import Path

import pytest
import torch

from bench.errors import why
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
