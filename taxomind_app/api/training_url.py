"""Training data from an address that a caller names: fetched so that it reaches no place that the caller could not.

Server-side request forgery (OWASP): the name is resolved once per hop, every address must be public, and the connection goes
to an address that was checked, so that a second answer of the name server changes nothing. No proxy, no cookie, no header of
the caller takes part; time, bytes on the wire and unpacked bytes are limited while they are read.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urljoin, urlsplit

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_resources.settings import ServiceSettings

Resolve = Callable[[str, int], Sequence[str]]
Dial = Callable[[str, int, float], socket.socket]

MOST_REDIRECTS: Final = 3
_PORTS: Final = {"https": 443, "http": 80}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_BLOCK: Final = 1 << 16
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})?(\.[a-z0-9_]([a-z0-9_-]{0,62})?)*", re.IGNORECASE)
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_ACCEPTED: Final = "application/json, application/x-ndjson, text/csv"


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched.

    Attributes:
        path: where it lies, unpacked.
        content_type: as the server said it, without parameters, lower case; '' = not said.
        name: last part of the address.
    """

    path: Path
    content_type: str
    name: str


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def dial(address: str, port: int, timeout_s: float) -> socket.socket:
    """A connection to an address."""
    return socket.create_connection((address, port), timeout_s)


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet, whatever it is wrapped in."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(_is_global(item) for item in (address, *_inside(address)))


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    refused = address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local
    return address.is_global and not refused and not address.is_reserved


def _inside(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address]:
    """IPv4 addresses that an IPv6 address leads to: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return
    teredo = address.teredo or ()
    yield from (item for item in (address.ipv4_mapped, address.sixtofour, *teredo) if item is not None)
    if any(address in network for network in _NAT64):
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def check_url(url: str, service: ServiceSettings) -> SplitResult:
    """Take an address apart, when it is one that may be asked at all.

    Raises:
        Fault: `training_url_refused`.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise _refused("The address cannot be read.") from error
    if parts.scheme not in ({"https", "http"} if service.training_http else {"https"}):
        raise _refused("The address does not begin with https://.")
    if parts.username is not None or parts.password is not None:
        raise _refused("The address holds a user name or a password.")
    if port not in (None, _PORTS[parts.scheme]):
        raise _refused(f"The address has the port {port}.")
    if not _HOST.fullmatch(host) or re.search(r"[\x00-\x20\x7f]", url.strip()):
        raise _refused("The address has no name of a host.")
    if not service.training_hosts:
        raise _refused("Training data is fetched from nowhere.", "Name hosts in service.training_hosts.")
    if not any(_matches(host.lower(), pattern.lower()) for pattern in service.training_hosts):
        raise _refused(f"The host {host[:100]!r} is not among those that are allowed.")
    return parts


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1 if pattern.startswith("*.") else host == pattern


def _refused(what: str, next_step: str | None = None) -> Fault:
    return Fault("training_url_refused", what, next_step=next_step)


def fetch(
    url: str, target: Path, service: ServiceSettings, *, resolve_name: Resolve = resolve, dial_address: Dial = dial
) -> Fetched:
    """Fetch a file.

    Args:
        url: its address.
        target: where it is written, unpacked.
        service: hosts and limits.
        resolve_name: tells the addresses of a name.
        dial_address: connects to an address that was checked.

    Raises:
        Fault: `training_url_refused`, `training_file_failed` or `too_large`; none of them tells the query of the address.
    """
    until = time.monotonic() + service.training_timeout_s
    address = url
    for _ in range(MOST_REDIRECTS + 1):
        parts = check_url(address, service)
        place = f"{parts.hostname}{parts.path}"[:200]
        with _told(place, until, service), _connected(parts, until, resolve_name, dial_address) as connection:
            response = _asked(connection, parts)
            # A connection that was cut looks like one that has ended.
            _left(until)
            if response.status in _REDIRECTS and (location := response.getheader("Location")):
                address = urljoin(address, location)
                continue
            if response.status != 200:
                raise Fault("training_file_failed", f"{place} was answered with status {response.status}.")
            _read(response, target, service, until)
            kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
            return Fetched(target, kind, parts.path.rpartition("/")[2])
    raise _refused(f"There are more than {MOST_REDIRECTS} redirects.")


@contextlib.contextmanager
def _told(place: str, until: float, service: ServiceSettings) -> Iterator[None]:
    """Errors of the network as sentences."""
    try:
        yield
    except Fault:
        raise
    except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
        if time.monotonic() >= until or isinstance(error, TimeoutError):
            what = f"{place} took more than {service.training_timeout_s:g} seconds."
        else:
            what = f"{place} cannot be fetched: {type(error).__name__}."
        raise Fault("training_file_failed", what) from error


@contextlib.contextmanager
def _connected(
    parts: SplitResult, until: float, resolve_name: Resolve, dial_address: Dial
) -> Iterator[http.client.HTTPConnection]:
    """A connection to the host, at an address that is public; it is cut when the time is over."""
    host, port = str(parts.hostname), _PORTS[parts.scheme]
    addresses = resolve_name(host, port)
    if not addresses or not all(is_public(address) for address in addresses):
        raise _refused(f"The host {host[:100]!r} has an address that is not public.")
    raw = dial_address(addresses[0], port, _left(until))
    cut = threading.Timer(_left(until), _cut, (raw,))
    cut.daemon = True
    cut.start()
    try:
        raw.settimeout(_left(until))
        connection = http.client.HTTPConnection(host, port)
        connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if port == 443 else raw
        yield connection
    finally:
        cut.cancel()
        _cut(raw)
        raw.close()


def _cut(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        raw.shutdown(socket.SHUT_RDWR)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _asked(connection: http.client.HTTPConnection, parts: SplitResult) -> http.client.HTTPResponse:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Accept": _ACCEPTED, "Accept-Encoding": "gzip", "User-Agent": "taxomind", "Connection": "close"}
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def _read(response: http.client.HTTPResponse, target: Path, service: ServiceSettings, until: float) -> None:
    """Write the body to a file, unpacked and counted."""
    encoding = (response.getheader("Content-Encoding") or "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise Fault("training_file_failed", f"The file is packed as {encoding[:50]!r}.", allowed="gzip, or not at all")
    unpacker = zlib.decompressobj(31) if encoding != "identity" else None
    wire = plain = 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while block := response.read1(_BLOCK):
            _left(until)
            wire += len(block)
            _check_size(wire, service.training_wire_bytes, "sent", "service.training_wire_bytes")
            for part in _unpacked(unpacker, block):
                plain += len(part)
                _check_size(plain, service.training_bytes, "unpacked", "service.training_bytes")
                file.write(part)
    _left(until)
    if response.length or (unpacker is not None and not unpacker.eof):
        raise Fault("training_file_failed", "The file ends before its content does.")


def _unpacked(unpacker: zlib._Decompress | None, block: bytes) -> Iterator[bytes]:
    """A block in parts of bounded size: a few packed bytes may be gigabytes."""
    if unpacker is None:
        yield block
        return
    while block:
        yield unpacker.decompress(block, _BLOCK)
        block = unpacker.unconsumed_tail


def _check_size(size: int, most: int, how: str, setting: str) -> None:
    if size > most:
        raise Fault("too_large", f"The training data has more than {most:,} bytes as {how}.", allowed=f"{setting}: {most:,}")
