"""Processes that belong together: started, started again when they end, stopped together, none left behind."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_LOG: Final = logging.getLogger("taxomind.serve")
_POLL_S: Final = 0.5
#: Seconds before a process that ended is started again: the first time, and at most.
_PAUSE_S: Final = (0.5, 30.0)
#: A process that ran this long was well; its pauses begin anew.
_WELL_S: Final = 60.0
_GRACE_S: Final = 20.0


@dataclass
class Child:
    """A process that is kept running.

    Attributes:
        name: for the log.
        command: program and arguments.
        environment: its environment.
        folder: its working directory.
        stop_signal: what asks it to end.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path | None = None
    stop_signal: int = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started: float = field(default=0.0, init=False)
    pause_s: float = field(default=_PAUSE_S[0], init=False)
    due: float = field(default=0.0, init=False)

    def keep_up(self) -> None:
        """Start the process when it is not there and its pause is over."""
        now = time.monotonic()
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return
            _LOG.warning("%s ended with code %s; it is started again", self.name, code)
            self.process = None
            self.pause_s = _PAUSE_S[0] if now - self.started > _WELL_S else min(2 * self.pause_s, _PAUSE_S[1])
            self.due = now + self.pause_s
        if now >= self.due:
            self.started = now
            # A session of its own: Ctrl-C at the terminal reaches the parent alone, which stops all in order.
            self.process = subprocess.Popen(
                list(self.command), env=dict(self.environment), cwd=self.folder, start_new_session=True
            )

    def ask_to_end(self) -> None:
        """Send the signal that asks it to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def end(self, until: float) -> None:
        """Wait for its end, then end whatever is left of it and its own children."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.1, until - time.monotonic()))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def keep_all(children: Sequence[Child], ended: threading.Event) -> None:
    """Keep processes running until told to end, then stop all of them."""
    try:
        while not ended.is_set():
            for child in children:
                child.keep_up()
            ended.wait(_POLL_S)
    finally:
        for child in children:
            child.ask_to_end()
        until = time.monotonic() + _GRACE_S
        for child in children:
            child.end(until)


def end_with_parent(stop: Callable[[], None]) -> None:
    """Call `stop` once the process that started this one is gone, even if it was killed."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        stop()

    threading.Thread(target=watch, name="watches the parent", daemon=True).start()


def main(command: Sequence[str]) -> int:
    """Run a program that does not look after its parent by itself; end it, and all that it started, with the parent."""
    child = Child(command[0], command, os.environ, stop_signal=signal.SIGINT)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    end_with_parent(ended.set)
    child.keep_up()
    assert child.process is not None  # just started
    while child.process.poll() is None and not ended.wait(_POLL_S):
        continue
    code = child.process.poll()
    child.ask_to_end()
    child.end(time.monotonic() + _GRACE_S / 2)
    return code or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
