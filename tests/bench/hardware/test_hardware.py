"""What a run computes on and in which arithmetic, on machines that have it and machines that have not."""

from collections.abc import Iterator

import pytest
import torch

from bench.errors import UsageError
from bench.hardware.choices import Precision
from bench.hardware.devices import choose_device, choose_precision, plain_precision, use_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
TURING, AMPERE, HOPPER = (7, 5), (8, 0), (9, 0)


@pytest.fixture
def _as_it_was() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def a_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: capability >= AMPERE)


@pytest.mark.parametrize(("capability", "plain", "best"), [(TURING, "fp32", "fp32"), (HOPPER, "tf32", "bf16")])
def test_a_gpu_computes_in_what_it_has(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], plain: Precision, best: Precision
) -> None:
    a_gpu(monkeypatch, capability)
    assert plain_precision(GPU) == plain
    assert choose_precision("auto", GPU) == best


def test_plain_code_on_a_processor_computes_in_fp32() -> None:
    assert plain_precision(CPU) == "fp32"


def test_tf32_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="on this cpu take fp32 or bf16"):
        choose_precision("tf32", CPU)
    a_gpu(monkeypatch, TURING)
    with pytest.raises(UsageError, match="NVIDIA GPUs from Ampere on"):
        choose_precision("tf32", GPU)
    a_gpu(monkeypatch, AMPERE)
    assert choose_precision("tf32", GPU) == "tf32"


@pytest.mark.parametrize("named", ["fp32", "bf16"])
def test_what_is_named_is_taken(named: Precision) -> None:
    assert choose_precision(named, CPU) == named


@pytest.mark.usefixtures("_as_it_was")
@pytest.mark.parametrize(("precision", "rounded"), [("fp32", False), ("tf32", True), ("bf16", False), ("fp32", False)])
def test_fp32_products_are_rounded_in_tf32_alone(precision: Precision, rounded: bool) -> None:
    use_precision(precision)
    assert torch.backends.cudnn.allow_tf32 is rounded
    assert torch.backends.cuda.matmul.allow_tf32 is False  # as torch by itself, and papers' code with it


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device("auto").type == ("cuda" if there else "cpu")
