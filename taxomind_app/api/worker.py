"""A worker: claims jobs, does them one after another, and says every second that it lives and how far it is.

A job that is cancelled, stopped in Dagster or over its time is noticed within a second; the run is interrupted, and when it
does not end by itself the process does. What a worker was doing when it died is found by `reconcile`.
"""

from __future__ import annotations

import logging
import os
import platform
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from taxomind_app.api.executor import Executor
from taxomind_app.api.inbox_learning import ask_to_learn
from taxomind_app.api.jobs import Service
from taxomind_app.api.reconcile import close_run, reconcile, undo_effects
from taxomind_resources.faults import Fault
from taxomind_resources.job_store import JobStore
from taxomind_resources.jobs import Job, WorkerRow

if TYPE_CHECKING:
    from dagster import DagsterInstance

_LOG: Final = logging.getLogger("taxomind.worker")
_BEAT_S: Final = 1.0
#: Heartbeats of a job after which its worker says as well that it lives.
_WORKER_BEATS: Final = 5
_IDLE_S: Final = 0.25
#: Seconds that an interrupted run has to end by itself.
_GRACE_S: Final = 3.0
_RECONCILE_S: Final = 15.0
#: In a container that is started again the numbers of processes come again as well; this does not.
_OWN: Final = secrets.token_hex(3)
#: Exit code of a process that ended to stop its run.
STOPPED: Final = 75


def worker_row(slot: int) -> WorkerRow:
    """This process as a worker."""
    now = time.time()
    return WorkerRow(f"{platform.node()}-{os.getpid()}-{slot}-{_OWN}", platform.node(), os.getpid(), now, now)


class Lease(threading.Thread):
    """Renews the lease of one job until it is told to end, and stops the work when the job is taken away.

    Args:
        jobs: the job store.
        job: the job.
        row: who works on it.
        rows_done: how far the work is.
        stopped_elsewhere: whether somebody stopped the run in Dagster.
        time_limit_s: seconds that the job may take.
        stop: called once when the job is taken away.
    """

    def __init__(
        self,
        jobs: JobStore,
        job: Job,
        row: WorkerRow,
        *,
        rows_done: Callable[[], int],
        stopped_elsewhere: Callable[[], bool],
        time_limit_s: float,
        stop: Callable[[], None],
    ) -> None:
        super().__init__(name=f"lease of {job.id}", daemon=True)
        self._jobs, self._job, self._row, self._worker = jobs, job, row, row.id
        self._rows_done, self._stopped_elsewhere = rows_done, stopped_elsewhere
        # `Thread` has a method `_stop` of its own.
        self._take_away = stop
        self._until = time.monotonic() + time_limit_s
        self._beats = 0
        self._limit_s = time_limit_s
        self._ended = threading.Event()

    def run(self) -> None:
        """Beat every second."""
        while not self._ended.wait(_BEAT_S):
            try:
                if not self._goes_on():
                    self._take_away()
                    return
            except Fault as fault:
                # The lease is renewed with the next beat, or another worker takes the job over.
                _LOG.warning("no heartbeat for %s: %s", self._job.id, fault.what)

    def end(self) -> None:
        """The work is done."""
        self._ended.set()
        self.join()

    def _goes_on(self) -> bool:
        job, jobs = self._job, self._jobs
        self._beats += 1
        if self._beats % _WORKER_BEATS == 0:
            jobs.worker_beat(self._row)
        if time.monotonic() > self._until:
            jobs.fail(job.id, f"The job took more than {self._limit_s:g} seconds.", "time_limit", worker=self._worker)
        elif self._stopped_elsewhere():
            jobs.fail(job.id, "Stopped by an operator.", "stopped", worker=self._worker)
        done = self._rows_done()
        message = f"{done:,} of {job.rows:,} processed." if job.kind in {"label", "classify", "learn"} else None
        return jobs.beat(job.id, self._worker, done=done, message=message)


class Stop(Protocol):
    """Interrupts the work of a job that was taken away."""

    def __call__(self) -> None:
        """Stop the work now."""

    def disarm(self) -> None:
        """The work has stopped."""


class Worker:
    """Works on jobs in this process.

    Args:
        service: the stores.
        instance: the Dagster instance.
        slot: number of the worker, from 0.
        stop: what interrupts the work when a job is taken away.
    """

    def __init__(self, service: Service, instance: DagsterInstance, slot: int, stop: Stop) -> None:
        self.service = service
        self.instance = instance
        self.row = worker_row(slot)
        # One worker stays free for small jobs when there are several.
        self.most_rows = service.service.small_rows if slot == 0 and service.service.workers > 1 else None
        self.executor = Executor(service, instance, self.row.id)
        self._stop = stop

    def step(self) -> bool:
        """Do the next job, if there is one; returns whether there was."""
        job = self.service.jobs.claim(self.row.id, most_rows=self.most_rows)
        if job is None:
            return False
        lease = self._lease(job)
        lease.start()
        try:
            self.executor.do(job, lease.end)
        except KeyboardInterrupt:
            # Either the job was taken away, or this worker is told to end: then another one goes on with it.
            released = self.service.jobs.release(job.id, self.row.id)
            _LOG.info("job %s was %s", job.id, "given back" if released else "taken away")
        finally:
            lease.end()
            self._stop.disarm()
        self._tidy(job)
        return True

    def forever(self, ended: threading.Event) -> None:
        """Work until told to end."""
        beat = tidy = 0.0
        while not ended.is_set():
            now = time.monotonic()
            if now - beat > _WORKER_BEATS * _BEAT_S:
                self.service.jobs.worker_beat(self.row)
                beat = now
            if now - tidy > _RECONCILE_S:
                reconcile(self.service, self.instance)
                ask_to_learn(self.service, self.instance)
                tidy = now
            if not self.step():
                ended.wait(_IDLE_S)
        self.service.jobs.worker_gone(self.row.id)

    def _lease(self, job: Job) -> Lease:
        self.service.jobs.worker_beat(self.row)
        return Lease(
            self.service.jobs,
            job,
            self.row,
            rows_done=lambda: self.executor.progress.of(job.rows),
            stopped_elsewhere=lambda: self._is_stopped(job),
            time_limit_s=self.service.service.time_limit_s,
            stop=self._stop,
        )

    def _is_stopped(self, job: Job) -> bool:
        from dagster import DagsterRunStatus

        current = self.service.jobs.get(job.id)
        if current is None or current.run_id is None or current.is_terminal:
            return False
        run = self.instance.get_run_by_id(current.run_id)
        return run is not None and run.status in {DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED}

    def _tidy(self, job: Job) -> None:
        """What an interrupted job leaves behind goes away, and its run is closed."""
        current = self.service.jobs.get(job.id)
        if current is None or current.status == "completed":
            return
        if current.status == "pending":
            close_run(self.instance, current, "The worker was told to end; another one takes the job up.")
        elif current.status in {"canceled", "failed"}:
            undo_effects(self.service, self.instance, current)


class ProcessStop:
    """Interrupts the main thread of this process, and ends the process when it goes on."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def __call__(self) -> None:
        """Stop the work now."""
        self._timer = threading.Timer(_GRACE_S, os._exit, (STOPPED,))
        self._timer.daemon = True
        self._timer.start()
        os.kill(os.getpid(), signal.SIGINT)

    def disarm(self) -> None:
        """The work has stopped."""
        if self._timer is not None:
            self._timer.cancel()


def main(data: Path, slot: int) -> None:
    """Be a worker process until a signal comes. A termination gives the job back."""
    from taxomind_app.api.children import end_with_parent
    from taxomind_app.api.config import service_settings
    from taxomind_app.api.logs import configure_logs
    from taxomind_app.cli.instance import open_instance
    from taxomind_resources.settings import DATA_VARIABLE, load_settings

    os.environ[DATA_VARIABLE] = str(data)
    configure_logs()
    settings = load_settings(data)
    ended = threading.Event()

    def terminate(number: int, frame: object) -> None:
        ended.set()
        raise KeyboardInterrupt

    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _note_terminations(ended)
    stop = ProcessStop()
    with open_instance(settings.data) as instance:
        worker = Worker(Service(settings, service_settings(settings)), instance, slot, stop)
        while not ended.is_set():
            with suppress(KeyboardInterrupt):
                worker.forever(ended)
            stop.disarm()


def _note_terminations(ended: threading.Event) -> None:
    """Set `ended` when this process is told to end, also while a run has put its own handlers in the place of ours."""
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)

    def note() -> None:
        while number := reading.recv(1):
            if number[0] == signal.SIGTERM:
                ended.set()
        writing.close()

    threading.Thread(target=note, name="notes terminations", daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
