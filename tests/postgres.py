"""A PostgreSQL server for tests, from the programs of this machine; where there are none, the tests that need it say so."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

#: Debian keeps the programs of a server out of the way.
_FOLDERS: Final = "/usr/lib/postgresql"
#: A server refuses to run as root; its package makes this user.
_USER: Final = "postgres"


def find_server() -> Path | None:
    """Folder with the programs of a server that this user can run, the newest; None where there is none."""
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        return None
    found = sorted(Path(_FOLDERS).glob("*/bin/initdb"), key=lambda path: float(path.parents[1].name))
    on_path = shutil.which("initdb")
    folder = found[-1].parent if found else Path(on_path).parent if on_path else None
    return folder if folder is not None and (os.getuid() != 0 or _has_user()) else None


def _has_user() -> bool:
    import pwd

    with suppress(KeyError):
        return bool(pwd.getpwnam(_USER))
    return False


@contextmanager
def running_postgres(programs: Path) -> Iterator[Callable[[], str]]:
    """A server; gives what makes the address of an empty schema in it."""
    import psycopg2

    own: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    if os.getuid() == 0:
        own["user"] = own["group"] = _USER
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, socket.socket() as probe:
        data = Path(folder) / "data"
        data.mkdir()
        if os.getuid() == 0:
            for path in (Path(folder), data):
                shutil.chown(path, _USER, _USER)
        subprocess.run([programs / "initdb", "-D", data, "-U", "taxomind", "--auth=trust", "--no-sync"], check=True, **own)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        values = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        options = [word for name, value in values.items() for word in ("-c", f"{name}={value}")]
        server = subprocess.Popen([programs / "postgres", "-D", data, *options], **own)
        address = f"postgresql://taxomind@127.0.0.1:{port}/postgres"
        numbers = itertools.count()

        def schema() -> str:
            name = f"s{next(numbers)}"
            connection = psycopg2.connect(address)
            with connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE SCHEMA {name}")
            connection.close()
            return f"{address}?options=-csearch_path%3D{name}"

        try:
            _wait(lambda: psycopg2.connect(address).close(), psycopg2.OperationalError)
            yield schema
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(5)
            server.kill()
            server.wait()


def _wait(attempt: Callable[[], None], refused: type[Exception], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            attempt()
        except refused:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
