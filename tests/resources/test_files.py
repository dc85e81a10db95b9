"""Atomic files: old or new, never half, and nothing left behind for ever."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from taxomind_resources import files
from taxomind_resources.faults import Fault


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def temporary_name(pid: int, host: str | None = None) -> str:
    own = files.temporary_path(Path()).name.split("-")
    return "-".join([own[0], host or own[1], str(pid), own[3]])


def test_write_atomically_publishes_the_file_and_leaves_nothing_else(tmp_path):
    path = files.replace_bytes(tmp_path / "deep" / "file", b"one")
    files.replace_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_write_atomically_keeps_the_former_content_when_the_writer_fails(tmp_path):
    path = files.replace_bytes(tmp_path / "file", b"old")

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        files.write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomically_reports_a_refusal_of_the_system_as_a_fault(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Fault, match="storage_failed") as caught:
        files.replace_bytes(tmp_path / "file" / "below", b"x")
    assert str(tmp_path) in str(caught.value)


def test_sweep_removes_only_what_dead_processes_left(tmp_path):
    mine = files.temporary_path(tmp_path)
    mine.write_bytes(b"")
    dead = tmp_path / temporary_name(dead_pid())
    dead.mkdir()
    (dead / "inside").write_bytes(b"")
    other_host = tmp_path / temporary_name(dead_pid(), "00000000")
    other_host.write_bytes(b"")
    forgotten = tmp_path / temporary_name(os.getpid(), "00000001")
    forgotten.write_bytes(b"")
    os.utime(forgotten, (0, time.time() - files.FORGOTTEN_S - 10))
    (tmp_path / ".taxomind-notes.tmp").write_bytes(b"a user's own")
    assert files.sweep_temporary(tmp_path) == 2
    assert sorted(tmp_path.iterdir()) == sorted([mine, other_host, tmp_path / ".taxomind-notes.tmp"])
    assert files.sweep_temporary(tmp_path / "absent") == 0


def test_content_digest_is_the_head_of_sha256(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert files.content_digest(path) == "ba7816bf8f01cfea"
    path.write_bytes(b"a" * 1_000_000)
    assert files.content_digest(path) == "cdc76e5c9914fb92"
    with pytest.raises(Fault, match="unreadable_file"):
        files.content_digest(tmp_path / "absent")


def test_folder_name_refuses_keys_that_no_file_system_can_hold():
    assert files.folder_name("a b") == "a%20b"
    with pytest.raises(Fault, match="invalid_key"):
        files.folder_name("漢" * 30)


def test_remove_at_once_hides_then_deletes(tmp_path):
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    assert files.remove_at_once(folder, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not files.remove_at_once(folder, tmp_path)


def test_lock_admits_one_thread_at_a_time(tmp_path):
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(10):
            with files.locked(tmp_path / ".lock"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.001)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_lock_gives_up_with_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LOCK_TIMEOUT_S", 0.05)
    seen: list[BaseException] = []

    def second() -> None:
        try:
            with files.locked(tmp_path / ".lock"):
                pass
        except Fault as fault:
            seen.append(fault)

    with files.locked(tmp_path / ".lock"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert [fault.code for fault in seen] == ["storage_failed"]


@pytest.mark.slow
def test_killed_writer_leaves_the_old_or_the_new_file(tmp_path):
    path = tmp_path / "file"
    program = textwrap.dedent(f"""
        import itertools, pathlib
        from taxomind_resources.files import replace_bytes
        for number in itertools.count():
            replace_bytes(pathlib.Path({str(path)!r}), bytes([number % 256]) * 4_000_000)
            print(number, flush=True)
    """)
    chance = random.Random(7)
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        assert len(content) == 4_000_000
        assert len(set(content)) == 1
    files.sweep_temporary(tmp_path)
    assert list(tmp_path.iterdir()) == [path]
