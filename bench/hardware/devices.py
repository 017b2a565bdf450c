"""What a run computes on, and in which arithmetic.

    fp32  products of fp32 numbers, exactly those
    tf32  convolutions of fp32 numbers rounded to TF32 (10 bits of mantissa) by the units of NVIDIA GPUs from Ampere
          on; matrix products as in fp32
    bf16  forward passes under bf16 autocast; all else as in fp32

Weights, statistics, losses and updates are fp32 in all of them. "tf32" is what torch does by itself on such a
GPU, without calling it so, and with it what papers' code does: a benchmark that says "fp32" must not.
"""

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from bench.errors import UsageError
from bench.hardware.choices import Precision

AUTO = "auto"  # for --precision

AMPERE = (8, 0)  # compute capability


def choose_device(name: str) -> torch.device:
    """The device for --device. Raises UsageError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UsageError(f"unknown device {name!r}; choose from auto, cpu, cuda, cuda:N")
    if name.startswith("cuda"):
        number = int(name[5:]) if name[5:].isdigit() else 0
        if number >= torch.cuda.device_count():
            raise UsageError(
                f"no such device: {name}; this machine has {torch.cuda.device_count()} CUDA devices; try cpu"
            )
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """A name under which timings may stand together: "cpu", or the GPU's own name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def model_name(device: torch.device) -> str:
    """Of the GPU, or of the processor, as records name what they were made on."""
    return device_name(device) if device.type == "cuda" else processor()


def processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def choose_precision(name: str, device: torch.device) -> Precision:
    """The arithmetic for --precision; auto is bf16 where the hardware multiplies it faster than fp32.

    Raises:
        UsageError: tf32 on a device that has none.
    """
    match name:
        case "tf32":
            if not multiplies_tf32(device):
                raise UsageError(
                    f"tf32 is an arithmetic of NVIDIA GPUs from Ampere on; on this {device.type} take fp32 or bf16"
                )
            return "tf32"
        case "fp32" | "bf16":
            return name
    return "bf16" if multiplies_bf16(device) else "fp32"


def plain_precision(device: torch.device) -> Precision:
    """What code computes in that says nothing of it, as papers' code does: tf32 where torch takes it, else fp32."""
    return "tf32" if multiplies_tf32(device) else "fp32"


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device has units for bf16: CUDA from Ampere on, processors with AMX or AVX-512 BF16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def multiplies_tf32(device: torch.device) -> bool:
    """Whether the device has units for TF32: CUDA from Ampere on."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE


def use_precision(precision: Precision) -> None:
    """Has this process compute in that arithmetic from now on; forward passes go through `Task.autocast` besides."""
    # Not by torch's newer names, fp32_precision: its compiler read these in 2.9, and failed where only those had been
    # written (pytorch issue 166387).
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = False


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Has this process compute in that arithmetic for a while."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    use_precision(precision)
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
