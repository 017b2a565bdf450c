"""Leases as other processes leave and hold them, on this machine or on one that is said to be another."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.storage.shared.owners import Owner, owner_in, started
from bench.storage.shared.slots import FolderSlots

HOLDING = (
    "import sys; from pathlib import Path\n"
    "from bench.progress import Silent; from bench.storage.shared import leases, owners\n"
    "if sys.argv[2]:\n    owners.machine = lambda: sys.argv[2]\n"
    "with leases.locked(Path(sys.argv[1]), Silent(), wait=False):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


def slots(lock: Path) -> FolderSlots:
    """The files of a lease in a folder."""
    return FolderSlots(lock.parent / ".leases" / lock.name)


@contextmanager
def held(lock: Path, machine: str = "") -> Iterator["subprocess.Popen[str]"]:
    """Has another process hold a lease, on a machine of that name where one is given, and kills it afterwards."""
    command = [sys.executable, "-c", HOLDING, str(lock), machine]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def killed_with(lock: Path) -> None:
    """The lease of a process that was killed: it is held, and nobody is there any more."""
    with held(lock):
        pass


def owner_of(folder: Path) -> int:
    """The process that has a run's folder."""
    files = slots(folder.with_name(f".{folder.name}.lock"))
    owner = owner_in(files.read(files.numbers()[-1])[0])
    assert owner and started(owner.pid) == owner.started
    return owner.pid


def elsewhere(pid: int = 1, life: float = 0.3) -> Owner:
    """A process of another machine."""
    return Owner(f"process {pid} on elsewhere", "another start", pid, 1, life)
