"""Where a download may lead: http and https alone, few redirects, and no host inside the user's own network.

A card is a stranger's text, and what it names is asked for from inside a network. An address of this machine, of the
local network or of a cloud's metadata service is refused unless the user allows it. Names are resolved first, and the
addresses that were looked at are those connected to: no name means one thing when it is checked and another when it is
asked.
"""

import http.client
import ipaddress
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


class Refused(Exception):
    """An address that is not asked."""


def ask(url: str, headers: Mapping[str, str], timeout: float, *, private: bool) -> http.client.HTTPResponse:
    """The answer to a GET, after redirects; through the user's proxy where the environment names one.

    Args:
        timeout: seconds without a byte.
        private: whether hosts that are not of the public internet may be asked.

    Raises:
        Refused: a redirect to no http(s) address or out of encryption, too many, or a host that may not be asked.
        urllib.error.HTTPError: an answer other than the file.
        OSError, http.client.HTTPException: none.
    """
    opener = _opener(private=private)
    for _ in range(MOST_REDIRECTS + 1):
        try:
            answer: http.client.HTTPResponse = opener.open(urllib.request.Request(url, headers=headers), None, timeout)
            return answer
        except urllib.error.HTTPError as error:
            location = error.headers.get("Location")
            if error.code not in _REDIRECTS or location is None:
                raise
            error.close()  # unread: its body may be without an end
            url = followed(url, location)
    raise Refused(f"it was sent on more than {MOST_REDIRECTS} times")


def followed(url: str, location: str) -> str:
    """Where a redirect leads. Raises Refused: to no http(s) address, or out of encryption."""
    target = urljoin(url, location.strip()).replace(" ", "%20")
    before, after = urlsplit(url).scheme, urlsplit(target).scheme
    if after not in ("http", "https") or (before, after) == ("https", "http"):
        raise Refused(f"it was sent on to {target}, which does not begin with https://")
    return target


def _opener(*, private: bool) -> urllib.request.OpenerDirector:
    """Without a handler for redirects, files, data: and ftp:, which `urllib.request.urlopen` has."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Plain(private=private),
        _Encrypted(private=private),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, *, private: bool) -> None:
        super().__init__()
        self._private = private

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        anywhere = self._private or _is_proxied(req)
        return self.do_open(http.client.HTTPConnection if anywhere else _PublicConnection, req)


class _Encrypted(urllib.request.HTTPSHandler):
    def __init__(self, *, private: bool) -> None:
        super().__init__()
        self._private = private

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        anywhere = self._private or _is_proxied(req)
        return self.do_open(http.client.HTTPSConnection if anywhere else _PublicEncryptedConnection, req)


def _is_proxied(request: urllib.request.Request) -> bool:
    """Whether the user's proxy is connected to, which decides for itself what it asks."""
    return request.host != urlsplit(request.full_url).netloc


class _PublicConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self._create_connection = _connect
        super().connect()


class _PublicEncryptedConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        self._create_connection = _connect
        super().connect()


def _connect(address: tuple[str, int], *how: Any) -> socket.socket:  # noqa: ANN401 - as `socket.create_connection`
    """Connects to the first of a host's public addresses that answers."""
    host, port = address
    found = dict.fromkeys(str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    public = [each for each in found if ipaddress.ip_address(each).is_global]
    if not public:
        raise Refused(
            f"{host} is {', '.join(found)}, no address of the public internet; "
            "--allow-private, or BENCH_ALLOW_PRIVATE=1, asks it all the same"
        )
    for each in public[:-1]:
        try:
            return socket.create_connection((each, port), *how)
        except OSError:
            continue
    return socket.create_connection((public[-1], port), *how)
