"""A store elsewhere, empty for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stores import SECRETS, Machine, Server

from bench.storage.mirrors import mirror_of
from bench.storage.stores import opened


@pytest.fixture(scope="session")
def running() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """An empty one; who may use it comes from the environment."""
    import requests

    there = f"http://127.0.0.1:{running.port}"
    requests.post(f"{there}/moto-api/reset", timeout=10)
    for name, value in {**SECRETS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": there}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_LEASE_TTL", "1.5")
    opened("s3://any").fs.mkdir("bucket")
    return running


@pytest.fixture
def machine(server: Server, tmp_path: Path) -> Callable[[str], Machine]:
    return lambda name: Machine(mirror_of("s3://bucket/x", tmp_path / name))
