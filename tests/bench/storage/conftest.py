"""Stores elsewhere, empty for each test, which is made with each kind of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gcsfs.core import GCSFileSystem
from s3fs import S3FileSystem
from stores import S3, Google, Machine, Server

from bench.storage.shared.mirrors import mirror_of
from bench.storage.shared.stores import opened


@pytest.fixture(scope="session", params=["s3", "gs"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server: Server = S3() if request.param == "s3" else Google(tmp_path_factory.mktemp("google"))
    server.start()
    for kind in (S3FileSystem, GCSFileSystem):  # keeps what was opened, of servers before this one too
        kind.clear_instance_cache()
    yield server
    server.stop()


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """An empty one; who may use it comes from the environment."""
    running.empty()
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_LEASE_TTL", "1.5")
    monkeypatch.setenv("BENCH_STORE_PATIENCE", "20")
    opened(f"{running.scheme}://any").fs.mkdir("bucket")
    return running


@pytest.fixture
def machine(server: Server, tmp_path: Path) -> Callable[[str], Machine]:
    return lambda name: Machine(mirror_of(f"{server.scheme}://bucket/x", tmp_path / name))
