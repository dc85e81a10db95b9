"""Training data from elsewhere (CC-35, CC-50): what is refused, and what is cut off. The servers run on this machine."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from taxomind_app.api.training_url import Fetched, check_url, fetch, is_public
from taxomind_resources.faults import Fault
from taxomind_resources.settings import ServiceSettings

PUBLIC = "93.184.216.34"
Answer = Callable[[BaseHTTPRequestHandler], None]


def some(**values: object) -> ServiceSettings:
    hosts = ("data.example.org", "*.files.example.org")
    return ServiceSettings.model_validate({"training_hosts": hosts, "training_http": True, **values})


@pytest.mark.parametrize(
    "url",
    [
        "http://data.example.org/x",
        "ftp://data.example.org/x",
        "file:///etc/passwd",
        "https://other.example.org/x",
        "https://files.example.org/x",
        "https://data.example.org.evil.com/x",
        "https://evil.com#data.example.org",
        "https://evil.com\\@data.example.org/",
        "https://user:word@data.example.org/x",
        "https://@data.example.org/x",
        "https://data.example.org:8443/x",
        "https://data.example.org:0/x",
        "https://data.example.org:port/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://2130706433/x",
        "https://data.example.org/x\r\nHost: evil",
        "https://",
        "",
    ],
)
def test_an_address_that_is_not_allowed_is_refused_at_once(url: str) -> None:
    with pytest.raises(Fault) as refused:
        check_url(url, some(training_http=False))
    assert refused.value.code == "training_url_refused"


def test_allowed_hosts_are_exact_names_or_all_below_one() -> None:
    for host in (
        "data.example.org",
        "DATA.example.org",
        "a.files.example.org",
        "a.b.files.example.org",
        "data.example.org:443",
    ):
        assert check_url(f"https://{host}/x?y=1", some(training_http=False)).path == "/x"
    with pytest.raises(Fault, match="from nowhere"):
        check_url("https://data.example.org/x", some(training_hosts=()))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *(
            "2002:7f00:1::",
            "2002:a00:1::",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2001:db8::1",
            "2001:0:7f00:1::",
            "no address",
        ),
    ],
)
def test_addresses_that_are_not_public_are_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700:4700::1111"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], int]]:
    """Start a server of this machine; returns its port."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return int(servers[-1].server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def sent(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


class Net:
    """Names and addresses as a test wants them; every public address leads to one server of this machine."""

    def __init__(self, port: int, *answers: list[str]) -> None:
        self.port, self.answers = port, list(answers) or [[PUBLIC]]
        self.resolved: list[str] = []
        self.dialled: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        return self.answers[min(len(self.resolved), len(self.answers)) - 1]

    def dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        self.dialled.append(address)
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)

    def fetch(self, folder: Path, url: str = "http://data.example.org/t.csv?key=secret", **values: object) -> Fetched:
        return fetch(url, folder / "file", some(**values), resolve_name=self.resolve, dial_address=self.dial)


def test_a_file_is_fetched_from_the_address_that_was_checked(serve: Callable[[Answer], int], tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(dict(request.headers))
        sent(b"code,text\n", Content_Type="Text/CSV; charset=utf-8")(request)

    net = Net(serve(answer), [PUBLIC], ["127.0.0.1"])
    found = net.fetch(tmp_path)
    assert (found.path.read_bytes(), found.content_type, found.name) == (b"code,text\n", "text/csv", "t.csv")
    assert (net.resolved, net.dialled) == (["data.example.org"], [PUBLIC])
    assert set(seen[0]) == {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection"}


@pytest.mark.parametrize("addresses", [["10.0.0.1"], [PUBLIC, "127.0.0.1"], ["::ffff:169.254.169.254"], []])
def test_a_name_with_an_address_that_is_not_public_is_refused(addresses: list[str], tmp_path: Path) -> None:
    net = Net(1, addresses)
    with pytest.raises(Fault) as refused:
        net.fetch(tmp_path)
    assert (refused.value.code, net.dialled) == ("training_url_refused", [])
    assert "secret" not in refused.value.render()


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1/", "http://evil.example.org/", "http://data.example.org:8080/x", "file:///etc/passwd", "//evil/x"],
)
def test_a_redirect_to_a_place_that_is_not_allowed_is_refused(
    target: str, serve: Callable[[Answer], int], tmp_path: Path
) -> None:
    net = Net(serve(sent(b"", 302, Location=target)))
    with pytest.raises(Fault) as refused:
        net.fetch(tmp_path)
    assert (refused.value.code, net.dialled) == ("training_url_refused", [PUBLIC])


def test_a_redirect_is_resolved_and_checked_again(serve: Callable[[Answer], int], tmp_path: Path) -> None:
    net = Net(serve(sent(b"", 307, Location="/again")), [PUBLIC], ["192.168.0.1"])
    with pytest.raises(Fault) as refused:
        net.fetch(tmp_path)
    assert (refused.value.code, len(net.resolved), net.dialled) == ("training_url_refused", 2, [PUBLIC])


def test_three_redirects_are_followed_and_no_more(serve: Callable[[Answer], int], tmp_path: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        left = int(request.path.strip("/"))
        sent(b"[]" if not left else b"", 301 if left else 200, Location=f"/{left - 1}")(request)

    port = serve(answer)
    assert Net(port).fetch(tmp_path, "http://data.example.org/3").path.read_bytes() == b"[]"
    with pytest.raises(Fault, match="3 redirects"):
        Net(port).fetch(tmp_path, "http://data.example.org/4")


def test_bytes_are_counted_while_they_are_read(serve: Callable[[Answer], int], tmp_path: Path) -> None:
    with pytest.raises(Fault) as large:
        Net(serve(sent(b"x" * 300_000))).fetch(tmp_path, training_wire_bytes=200_000)
    assert large.value.code == "too_large"
    bomb = gzip.compress(b"\0" * 20_000_000)
    net = Net(serve(sent(bomb, Content_Encoding="gzip")))
    with pytest.raises(Fault) as unpacked:
        net.fetch(tmp_path, training_bytes=1_000_000)
    assert unpacked.value.code == "too_large"
    assert (tmp_path / "file").stat().st_size <= 1_100_000


def test_a_file_that_ends_too_early_is_refused(serve: Callable[[Answer], int], tmp_path: Path) -> None:
    with pytest.raises(Fault) as refused:
        Net(serve(sent(b"code,te", Content_Length="100"))).fetch(tmp_path)
    assert refused.value.code == "training_file_failed"


def test_a_packed_file_is_unpacked_and_a_broken_one_is_refused(serve: Callable[[Answer], int], tmp_path: Path) -> None:
    packed = gzip.compress(b"text" * 1000)
    found = Net(serve(sent(packed, Content_Encoding="gzip"))).fetch(tmp_path)
    assert found.path.read_bytes() == b"text" * 1000
    for body, encoding in ((packed[:-20], "gzip"), (b"no gzip", "gzip"), (b"x", "br")):
        with pytest.raises(Fault) as refused:
            Net(serve(sent(body, Content_Encoding=encoding))).fetch(tmp_path)
        assert refused.value.code == "training_file_failed"


def test_a_server_that_drips_is_cut_off(serve: Callable[[Answer], int], tmp_path: Path) -> None:
    ended = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.0 200 OK\r\n")
        while not ended.wait(0.05):
            try:
                request.wfile.write(b"X-Y: z\r\n")
            except OSError:
                return

    started = time.monotonic()
    with pytest.raises(Fault, match="seconds") as slow:
        Net(serve(drip)).fetch(tmp_path, training_timeout_s=0.5)
    ended.set()
    assert slow.value.code == "training_file_failed"
    assert time.monotonic() - started < 30


def test_a_failure_is_told_without_the_query(serve: Callable[[Answer], int], tmp_path: Path) -> None:
    with pytest.raises(Fault, match="status 404") as failed:
        Net(serve(sent(b"", 404))).fetch(tmp_path)
    assert "secret" not in failed.value.render()
    assert "data.example.org/t.csv" in failed.value.what
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(Fault, match="cannot be fetched"):
            Net(nobody.getsockname()[1]).fetch(tmp_path)
