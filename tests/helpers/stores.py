"""A store elsewhere: moto's server, on this machine, stands for it; and machines that have a mirror of it."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from moto.server import ThreadedMotoServer

from bench.progress import Silent
from bench.storage.leases import locked
from bench.storage.mirrors import Mirror, mirrored
from bench.storage.stores import opened

SECRETS = {"AWS_ACCESS_KEY_ID": "AKIDOFNOBODYATALL", "AWS_SECRET_ACCESS_KEY": "a-secret-that-nobody-is-told"}


@dataclass
class Server:
    """S3 on this machine, which can go away and come back with what it had."""

    port: int = 0
    running: ThreadedMotoServer | None = None

    def start(self) -> None:
        self.running = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self.running.start()
        self.port = self.running.get_host_and_port()[1]

    def stop(self) -> None:
        assert self.running
        self.running.stop()


@dataclass
class Machine:
    """A machine's own mirror of the store at s3://bucket/x."""

    root: Path

    @property
    def mirror(self) -> Mirror:
        there = mirrored(self.root / "any")
        assert there
        return there.mirror

    def run(self) -> AbstractContextManager[None]:
        """The lease on the run of all tests here."""
        return locked(self.root / ".run.lock", Silent(), wait=False)

    def write(self, **files: str) -> None:
        """Files of the run, in this order; None: taken away."""
        for name, text in files.items():
            path = self.root / "run" / name.replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def files(self) -> dict[str, str]:
        """What lies here of the run."""
        return {path.name: path.read_text() for path in sorted((self.root / "run").glob("*"))}


def there(under: str = "run") -> dict[str, str]:
    """What is in the store of the run."""
    store = opened("s3://bucket/x")
    return {name.removeprefix(f"{under}/"): store.read(name).decode() for name in store.find(under)}
