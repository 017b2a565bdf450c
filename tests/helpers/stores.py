"""Stores elsewhere: servers on this machine that stand for S3 and Google's; and machines that have a mirror of one."""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import requests
from google_storage import Buckets, GoogleStorage
from moto.server import ThreadedMotoServer

from bench.progress import Silent
from bench.storage.shared.leases import locked
from bench.storage.shared.mirrors import Mirror, mirrored
from bench.storage.shared.stores import Store, opened

AWS_SECRETS = {"AWS_ACCESS_KEY_ID": "AKIDOFNOBODYATALL", "AWS_SECRET_ACCESS_KEY": "a-secret-that-nobody-is-told"}


class Server(Protocol):
    """A store on this machine, which can go away and come back with what it had."""

    scheme: ClassVar[str]

    @property
    def environment(self) -> dict[str, str]:
        """How its address and who may use it are told."""
        ...

    @property
    def secrets(self) -> list[str]:
        """What nobody else may be told."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def empty(self) -> None:
        """Takes away all that it has."""
        ...


@dataclass
class S3:
    """moto's server."""

    scheme: ClassVar[str] = "s3"
    port: int = 0
    running: ThreadedMotoServer | None = None

    @property
    def _there(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {**AWS_SECRETS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": self._there}

    @property
    def secrets(self) -> list[str]:
        return list(AWS_SECRETS.values())

    def start(self) -> None:
        self.running = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self.running.start()
        self.port = self.running.get_host_and_port()[1]

    def stop(self) -> None:
        assert self.running
        self.running.stop()

    def empty(self) -> None:
        requests.post(f"{self._there}/moto-api/reset", timeout=10)


@dataclass
class Google:
    """Google's JSON API, to which a service account's key opens."""

    scheme: ClassVar[str] = "gs"
    folder: Path
    buckets: Buckets = field(default_factory=Buckets)
    port: int = 0
    running: GoogleStorage | None = None

    @property
    def _key(self) -> Path:
        return self.folder / "key.json"

    @property
    def environment(self) -> dict[str, str]:
        there = f"http://127.0.0.1:{self.port}"
        return {"STORAGE_EMULATOR_HOST": there, "GOOGLE_APPLICATION_CREDENTIALS": str(self._key)}

    @property
    def secrets(self) -> list[str]:
        """Lines of the key, and whatever was given for it."""
        return [*json.loads(self._key.read_text())["private_key"].splitlines()[1:3], *self.buckets.tokens]

    def start(self) -> None:
        self.running = GoogleStorage(self.port, self.buckets)
        self.port = self.running.server_port
        if not self._key.exists():
            self.running.key_file(self._key)

    def stop(self) -> None:
        assert self.running
        self.running.stop()

    def empty(self) -> None:
        self.buckets.held.clear()


@dataclass
class Machine:
    """A machine's own mirror of the store."""

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

    @property
    def store(self) -> Store:
        return opened(self.mirror.address)

    def there(self) -> dict[str, str]:
        """What is in the store of the run."""
        return {name.removeprefix("run/"): self.store.read(name).decode() for name in self.store.find("run")}
