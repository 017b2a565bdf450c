"""Memory that a step frees stays for the next one, unless the user wants it otherwise, and goes when it is asked to."""

import os
import platform
import subprocess
import sys

import pytest

from bench.hardware.allocator import THEIRS

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything")

STEPS = """
import resource
import torch
from bench.hardware.allocator import keep_freed_memory, release_memory
from bench.hardware.meters import memory_in_use

def step():
    torch.ones(2**24) + torch.ones(2**24)

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

keep_freed_memory()
for _ in range(24):  # holes of the right size are found after a few
    step()
before = faults()
for _ in range(4):
    step()
print(faults() - before)
held = memory_in_use(torch.device("cpu"))
release_memory()
print(held - memory_in_use(torch.device("cpu")))
"""
PAGES = 4 * 3 * 2**26 // 4096  # that four steps write to


def faults_and_released(**settings: str) -> tuple[int, int]:
    theirs = {name: value for name, value in os.environ.items() if name not in THEIRS}
    environment = {**theirs, "THP_MEM_ALLOC_ENABLE": "0", **settings}  # a huge page would be one fault
    ended = subprocess.run([sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, check=True)
    faults, released = map(int, ended.stdout.split())
    return faults, released


def test_steps_find_the_memory_of_those_before_until_it_is_released() -> None:
    faults, released = faults_and_released()
    assert faults < PAGES / 20
    assert released > 2**27


def test_what_the_user_says_of_the_allocator_holds() -> None:
    faults, released = faults_and_released(MALLOC_MMAP_MAX_="65536")
    assert faults > PAGES / 2
    assert released < 2**26
