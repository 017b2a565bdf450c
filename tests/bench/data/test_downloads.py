"""Downloads from a server on this machine that cuts, refuses ranges, lies or is slow to come back."""

import errno
import hashlib
import io
import socket
import tarfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ears import Ear

from bench.data import downloads
from bench.data.addresses import MOST_REDIRECTS, Refused, followed
from bench.data.cards import Fetch
from bench.data.downloads import ATTEMPTS, fetch
from bench.errors import RunFailure
from bench.progress import Silent
from bench.storage.shared.leases import locked

BODY = hashlib.shake_128(b"body").digest(700_000)


@dataclass
class Site:
    """What the server gives, how it misbehaves, and what it was asked."""

    body: bytes = BODY
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes of body in each of the first answers
    statuses: list[int] = field(default_factory=list)  # of the first answers
    lengths: list[str] = field(default_factory=list)  # the Content-Length of each of the first answers
    locations: list[str] = field(default_factory=list)  # where the first answers send whoever asks, in 100 MB of words
    asked: list[str | None] = field(default_factory=list)  # the Range header of every request
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site, asked = self.site, self.headers.get("Range")
        site.asked.append(asked)
        if site.locations:
            self.send_response(302)
            self.send_header("Location", site.locations.pop(0))
            self.end_headers()
            with suppress(ConnectionError):
                for _ in range(100):
                    self.wfile.write(bytes(1_000_000))
            return
        if site.statuses:
            self.send_error(site.statuses.pop(0))
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and site.ranges else 0
        if start >= len(site.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(site.body)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", site.lengths.pop(0) if site.lengths else str(len(site.body) - start))
        self.end_headers()
        end = start + site.cut_after.pop(0) if site.cut_after else len(site.body)
        with suppress(ConnectionError):  # a client that has had enough hangs up
            self.wfile.write(site.body[start:end])

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    handler = type("Handler", (_Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}/file.bin"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield site
        server.shutdown()


def _wanted(site: Site, **changes: object) -> Fetch:
    checksum = f"md5:{hashlib.md5(BODY).hexdigest()}"
    return Fetch.model_validate(
        {"url": site.url, "file": "file.bin", "bytes": len(BODY), "checksum": checksum, **changes}
    )


def _fetch(wanted: Fetch, root: Path, watcher: Silent | None = None) -> Path:
    return fetch(wanted, root, watcher or Silent(), pause=lambda seconds: None, private=True)


def test_a_download_is_shown_and_made_once(tmp_path: Path, site: Site) -> None:
    watcher = Ear()
    path = _fetch(_wanted(site), tmp_path / "new", watcher)
    assert path.read_bytes() == BODY
    assert watcher.seen[-1] == ("fetch file.bin", len(BODY), len(BODY))
    assert _fetch(_wanted(site), tmp_path / "new") == path
    assert site.asked == [None]


def test_a_cut_connection_goes_on_where_it_stopped(tmp_path: Path, site: Site) -> None:
    site.cut_after = [300_000, 100_000]
    assert _fetch(_wanted(site), tmp_path).read_bytes() == BODY
    assert site.asked == [None, "bytes=300000-", "bytes=400000-"]


def test_what_an_earlier_call_left_is_not_fetched_again(tmp_path: Path, site: Site) -> None:
    (tmp_path / "file.bin.part").write_bytes(BODY[:500_000])
    assert _fetch(_wanted(site), tmp_path).read_bytes() == BODY
    assert site.asked == ["bytes=500000-"]
    assert not (tmp_path / "file.bin.part").exists()


def test_a_complete_part_is_only_verified(tmp_path: Path, site: Site) -> None:
    (tmp_path / "file.bin.part").write_bytes(BODY)
    assert _fetch(_wanted(site), tmp_path).read_bytes() == BODY


def test_a_part_longer_than_the_file_starts_again(tmp_path: Path, site: Site) -> None:
    (tmp_path / "file.bin.part").write_bytes(BODY + b"more")
    assert _fetch(_wanted(site), tmp_path).read_bytes() == BODY
    assert site.asked == [f"bytes={len(BODY) + 4}-", None]


def test_a_server_without_ranges_starts_again(tmp_path: Path, site: Site) -> None:
    site.ranges, site.cut_after = False, [300_000]
    assert _fetch(_wanted(site), tmp_path).read_bytes() == BODY
    assert site.asked == [None, "bytes=300000-"]


def test_a_server_that_recovers_is_asked_again(tmp_path: Path, site: Site) -> None:
    site.statuses = [503, 503]
    assert _fetch(_wanted(site), tmp_path).read_bytes() == BODY


def test_a_server_that_never_gives_a_byte_is_given_up_and_the_part_kept(tmp_path: Path, site: Site) -> None:
    (tmp_path / "file.bin.part").write_bytes(BODY[:1000])
    site.cut_after = [0] * ATTEMPTS
    with pytest.raises(RunFailure, match=f"{site.url} cannot be fetched: .*1,000 bytes are kept"):
        _fetch(_wanted(site), tmp_path)
    assert (tmp_path / "file.bin.part").read_bytes() == BODY[:1000]
    assert len(site.asked) == ATTEMPTS


def test_a_file_that_is_gone_is_said_at_once(tmp_path: Path, site: Site) -> None:
    site.statuses = [404]
    with pytest.raises(RunFailure, match=f"{site.url} cannot be fetched: 404"):
        _fetch(_wanted(site), tmp_path)
    assert len(site.asked) == 1


def test_nobody_there(tmp_path: Path, site: Site) -> None:
    with pytest.raises(RunFailure, match="cannot be fetched"):
        _fetch(_wanted(site, url="http://127.0.0.1:1/file.bin"), tmp_path)


def test_a_wrong_checksum_leaves_no_file(tmp_path: Path, site: Site) -> None:
    site.body = BODY[:-1] + b"!"
    with pytest.raises(RunFailure, match="without the checksum md5:"):
        _fetch(_wanted(site), tmp_path)
    assert list(tmp_path.glob("file.bin*")) == []


def test_a_server_that_gives_too_much_is_cut_off(tmp_path: Path, site: Site) -> None:
    site.body = BODY * 20
    with pytest.raises(RunFailure, match="gave more than the 700,000 bytes"):
        _fetch(_wanted(site), tmp_path)
    assert list(tmp_path.glob("file.bin*")) == []


def test_a_damaged_file_that_was_there_is_set_aside(tmp_path: Path, site: Site) -> None:
    (tmp_path / "file.bin").write_bytes(b"damaged")
    watcher = Ear()
    assert _fetch(_wanted(site), tmp_path, watcher).read_bytes() == BODY
    assert "file.bin.corrupt-1" in watcher.heard[0]
    assert (tmp_path / "file.bin.corrupt-1").read_bytes() == b"damaged"


def test_too_small_a_disk_is_said_beforehand(tmp_path: Path, site: Site) -> None:
    with pytest.raises(RunFailure, match=r"bytes free; file\.bin needs"):
        _fetch(_wanted(site, bytes=1 << 60), tmp_path)
    assert site.asked == []


def test_a_disk_that_fills_up_keeps_the_part(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    class Full(io.FileIO):
        def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
            if self.tell() + len(data) > 400_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    def open_full(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        return Full(path, mode) if path.suffix == ".part" and "a" in mode else opened(path, mode, *rest, **named)

    with (
        monkeypatch.context() as patched,
        pytest.raises(RunFailure, match=r"file\.bin cannot be written: No space left"),
    ):
        patched.setattr(Path, "open", open_full)
        _fetch(_wanted(site), tmp_path)
    kept = (tmp_path / "file.bin.part").read_bytes()
    assert 0 < len(kept) <= 400_000
    assert _fetch(_wanted(site), tmp_path).read_bytes() == BODY
    assert site.asked[-1] == f"bytes={len(kept)}-"


def test_two_do_not_fetch_one_file(tmp_path: Path, site: Site) -> None:
    with (
        locked(tmp_path / ".file.bin.lock", Silent(), wait=False),
        pytest.raises(RunFailure, match="being fetched already"),
    ):
        _fetch(_wanted(site), tmp_path)


def test_an_archive_is_extracted_after_its_checksum(tmp_path: Path, site: Site) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("batches/one")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"one"))
    site.body = stream.getvalue()
    checksum = f"md5:{hashlib.md5(site.body).hexdigest()}"
    wanted = _wanted(site, file="a.tar.gz", bytes=None, checksum=checksum, extract="batches")
    assert _fetch(wanted, tmp_path) == tmp_path / "batches"
    assert (tmp_path / "batches" / "one").read_bytes() == b"one"
    assert _fetch(wanted, tmp_path) == tmp_path / "batches"
    assert len(site.asked) == 1


def test_an_archive_with_another_checksum_is_never_opened(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "extract", lambda *given: pytest.fail("opened before its checksum was known"))
    with pytest.raises(RunFailure, match="without the checksum"):
        _fetch(_wanted(site, checksum=f"md5:{0:032}", extract="batches"), tmp_path)


@pytest.mark.parametrize("length", ["", "many", "-5", "1.5", "²", "9" * 5000, "0x10", str(2 * len(BODY))])
@pytest.mark.parametrize("known", [True, False])
def test_a_content_length_that_lies_is_not_believed(tmp_path: Path, site: Site, length: str, known: bool) -> None:
    site.lengths = [length]
    fetched = _fetch(_wanted(site, bytes=len(BODY) if known else None), tmp_path)
    assert fetched.read_bytes() == BODY


def test_a_content_length_below_the_known_size_is_a_cut_and_what_is_missing_is_asked_for(
    tmp_path: Path, site: Site
) -> None:
    site.lengths = [str(len(BODY) // 2)]
    assert _fetch(_wanted(site), tmp_path).read_bytes() == BODY
    assert site.asked == [None, f"bytes={len(BODY) // 2}-"]


PRIVATE = ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "10.1.2.3", "192.168.0.1", "169.254.169.254", "2130706433"]


@pytest.mark.parametrize("host", [*PRIVATE, "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]", "100.64.0.1"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_of_a_private_network_is_asked_only_where_the_user_says_so(
    tmp_path: Path, site: Site, host: str, scheme: str
) -> None:
    address = site.url.replace("127.0.0.1", host).replace("http", scheme)
    with pytest.raises(RunFailure, match="no address of the public internet; --allow-private, or BENCH_ALLOW_PRIVATE"):
        fetch(_wanted(site, url=address), tmp_path, Silent(), pause=lambda seconds: pytest.fail("asked again"))
    assert site.asked == []


@pytest.fixture
def official(site: Site, monkeypatch: pytest.MonkeyPatch) -> str:
    """The site as a host of the public internet: its address, under a name that means another host each second time."""
    answers, connect = ["93.184.215.14", "127.0.0.1"], socket.create_connection
    resolve = socket.getaddrinfo

    def resolved(host: str, port: int, *how: Any, **named: Any) -> Any:  # noqa: ANN401
        if host == "official.example":
            answers.reverse()
            return resolve(answers[1], port, *how, **named)
        return resolve(host, port, *how, **named)

    def connected(address: tuple[str, int], *how: Any) -> socket.socket:  # noqa: ANN401
        assert address[0] == "93.184.215.14", "another address than the one that was looked at"
        return connect(("127.0.0.1", address[1]), *how)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setattr(socket, "create_connection", connected)
    return site.url.replace("127.0.0.1", "official.example")


def test_the_address_that_was_looked_at_is_the_one_connected_to(tmp_path: Path, site: Site, official: str) -> None:
    assert fetch(_wanted(site, url=official), tmp_path, Silent()).read_bytes() == BODY


@pytest.mark.parametrize("host", PRIVATE)
def test_a_public_server_sends_nobody_into_a_private_network(
    tmp_path: Path, site: Site, official: str, host: str
) -> None:
    site.locations = [f"http://{host}/latest/meta-data"]
    with pytest.raises(RunFailure, match="no address of the public internet"):
        fetch(_wanted(site, url=official), tmp_path, Silent())
    assert site.asked == [None]


def test_a_proxy_of_the_users_own_may_be_anywhere(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url.removesuffix("/file.bin"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert fetch(_wanted(site, url="http://nowhere.example/file.bin"), tmp_path, Silent()).read_bytes() == BODY


def test_a_redirect_is_followed_from_where_the_file_was_cut(tmp_path: Path, site: Site) -> None:
    site.locations = ["/elsewhere.bin"]
    (tmp_path / "file.bin.part").write_bytes(BODY[:500_000])
    assert _fetch(_wanted(site), tmp_path).read_bytes() == BODY
    assert site.asked == ["bytes=500000-"] * 2


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://official.example/x", "data:,x", "gopher://x/"])
def test_a_redirect_leads_to_no_other_scheme(tmp_path: Path, site: Site, location: str) -> None:
    site.locations = [location]
    with pytest.raises(RunFailure, match=f"it was sent on to {location}, which does not begin with https://"):
        _fetch(_wanted(site), tmp_path)
    assert len(site.asked) == 1


def test_a_redirect_does_not_leave_encryption() -> None:
    assert followed("http://a.example/x/y", "https://b.example/z z") == "https://b.example/z%20z"
    with pytest.raises(Refused, match="https://"):
        followed("https://a.example/x", "http://a.example/x")


def test_redirects_without_an_end_are_left(tmp_path: Path, site: Site) -> None:
    site.locations = ["/again"] * 100
    with pytest.raises(RunFailure, match=f"it was sent on more than {MOST_REDIRECTS} times"):
        _fetch(_wanted(site), tmp_path)
    assert len(site.asked) == MOST_REDIRECTS + 1


@pytest.mark.parametrize("length", ["", str(len(BODY))])
def test_a_file_of_no_known_size_has_an_end(
    tmp_path: Path, site: Site, length: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_UNSTATED", 300_000)
    site.lengths = [length]
    with pytest.raises(RunFailure, match="gave more than the 300,000 bytes"):
        _fetch(_wanted(site, bytes=None), tmp_path)
    assert list(tmp_path.glob("file.bin*")) == []


def test_a_disk_too_small_for_what_the_server_states_is_said_before_a_byte_is_written(
    tmp_path: Path, site: Site
) -> None:
    site.lengths = [str(10**17)]
    with pytest.raises(RunFailure, match=r"bytes free; file\.bin needs"):
        _fetch(_wanted(site, bytes=None), tmp_path)
    assert not (tmp_path / "file.bin.part").exists()
