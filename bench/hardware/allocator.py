"""Settings of glibc's allocator for the memory of tensors; other allocators are left as they are."""

import ctypes
import gc
import os
from collections.abc import Callable

import torch

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # parameters of mallopt(3)
THEIRS = ("GLIBC_TUNABLES", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def keep_freed_memory() -> None:
    """From now on the memory that a step frees stays with the process, for the next step.

    By default glibc gives every large tensor back to the kernel, which fills the pages of the next one with zeros: half
    of a large step. On two cores, gradients of 256 images of 64 pixels (ConvNet-4, bf16) take 4.5 ms an image for 10.0,
    and SRe2L's plain step on ResNet-18 takes 65 for 96. The peak is up to a half higher, by holes between tensors.
    Nothing is done where the environment says how memory is to be allocated.
    """
    mallopt = _glibc("mallopt")
    if mallopt and not any(name in os.environ for name in THEIRS):
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, -1)  # never


def spare_the_collector() -> None:
    """What is there now is there to the end, as all that was imported: Python's collector need not look at it again.

    It looks at half a million objects of torch's else, a quarter of a second each time that memory is released.
    """
    gc.collect()
    gc.freeze()


def release_memory() -> None:
    """Gives back what earlier work has left, so that the peak of the next is its own."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if malloc_trim := _glibc("malloc_trim"):
        malloc_trim(0)


def _glibc(function: str) -> Callable[..., int] | None:
    """A function of the process's C library that only glibc has."""
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), function)
    except (OSError, AttributeError, TypeError):
        return None
    return found
