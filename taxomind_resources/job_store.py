"""The jobs of the service: one row each in a database, safe for several processes, every change a compare-and-set.

A row says all that is known of a job; what was asked and what was answered lie in files beside it. Who works on a job holds a
lease that a heartbeat renews, so that a job whose process died is found and taken up again, and nobody works on it twice.

    <data>/service/jobs.sqlite      jobs, and the workers that are there; or the database of `database.url`
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault
from taxomind_resources.job_database import Database, PostgresDatabase, SqliteDatabase, Statements
from taxomind_resources.jobs import BUILDS, CHANGES, KINDS, Job, Status, WorkerRow

if TYPE_CHECKING:
    from pathlib import Path

    from taxomind_resources.settings import Settings

# Dagster has a table `jobs` of its own, and may share the database.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS service_jobs (
  seq {counter}, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, status TEXT NOT NULL,
  tenant TEXT NOT NULL, taxonomy TEXT NOT NULL, stored_key TEXT NOT NULL, token TEXT NOT NULL,
  message TEXT NOT NULL, error TEXT, error_code TEXT, rows INTEGER NOT NULL, done INTEGER NOT NULL,
  batch_id TEXT, body_hash TEXT NOT NULL, idempotency_key TEXT, parameters TEXT NOT NULL, input TEXT, result TEXT,
  run_id TEXT, attempts INTEGER NOT NULL, worker TEXT, heartbeat_at DOUBLE PRECISION,
  created_at DOUBLE PRECISION NOT NULL, updated_at DOUBLE PRECISION NOT NULL, started_at DOUBLE PRECISION,
  completed_at DOUBLE PRECISION, failed_at DOUBLE PRECISION, canceled_at DOUBLE PRECISION, expired_at DOUBLE PRECISION
);
CREATE INDEX IF NOT EXISTS service_jobs_open ON service_jobs (status, seq);
CREATE INDEX IF NOT EXISTS service_jobs_batch ON service_jobs (stored_key, batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS service_jobs_idempotency ON service_jobs (token, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE IF NOT EXISTS service_workers (
  id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL,
  started_at DOUBLE PRECISION NOT NULL, heartbeat_at DOUBLE PRECISION NOT NULL
);
"""


class JobStore:
    """The jobs of one data root. Safe to share between threads.

    Args:
        data: data root; without `address`, `<data>/service` is made at once.
        address: of a PostgreSQL database (`Settings.database`).

    Raises:
        Fault: `missing_extra` or `storage_failed`.
    """

    def __init__(self, data: Path, address: str | None = None) -> None:
        self.database: Database = PostgresDatabase(address) if address else SqliteDatabase(sqlite_file(data))
        self.database.script(_SCHEMA.format(counter=self.database.counter))

    def add(self, job: Job) -> tuple[Job, bool]:
        """Add a job, or find the one that this request has made already.

        The same (token, idempotency key) is the same request. So is the same labelling batch of a taxonomy with the same
        body, as long as its job has not failed or been cancelled.

        Returns:
            The job, and whether it is new.

        Raises:
            Fault: `idempotency_conflict` when the idempotency key came with another body or to another route; `storage_failed`.
        """
        with self.database.writing() as db:
            former = self._same_request(db, job)
            if former is not None:
                return former, False
            now = time.time()
            values = {**{f.name: getattr(job, f.name) for f in fields(Job)}, "created_at": now, "updated_at": now}
            values["parameters"] = json.dumps(dict(job.parameters))
            names = ", ".join(values)
            marks = ", ".join(f":{name}" for name in values)
            db.execute(f"INSERT INTO service_jobs ({names}) VALUES ({marks})", values)  # noqa: S608 (names of our own columns)
            return self._got(db, job.id), True

    def get(self, job_id: str) -> Job | None:
        """A job by its id."""
        with self.database.reading() as db:
            return _job(db.execute("SELECT * FROM service_jobs WHERE id = :id", {"id": job_id}).fetchone())

    def open_jobs(self, *, stored_key: str | None = None, kinds: Sequence[str] = KINDS) -> list[Job]:
        """Jobs that are pending or running, in the order in which they were asked for."""
        query = f"SELECT * FROM service_jobs WHERE status IN ('pending', 'running') AND kind IN ({_listed(kinds)})"  # noqa: S608 (our own names)
        values = {}
        if stored_key is not None:
            query, values = f"{query} AND stored_key = :key", {"key": stored_key}
        with self.database.reading() as db:
            return _jobs(db.execute(f"{query} ORDER BY seq", values))

    def failed_since(self, moment: float) -> list[Job]:
        """Jobs that failed after a time, the first one first."""
        query = "SELECT * FROM service_jobs WHERE status = 'failed' AND failed_at > :moment ORDER BY failed_at, seq"
        with self.database.reading() as db:
            return _jobs(db.execute(query, {"moment": moment}))

    def latest(self, *, tenant: str, limit: int, key: str | None = None, status: Status | None = None) -> list[Job]:
        """Jobs of a tenant that have not expired, the latest first.

        Args:
            tenant: slug.
            limit: most of them.
            key: only those of the taxonomy with this stored key.
            status: only those in this state.
        """
        chosen = {"stored_key": key, "status": status}
        values = {"tenant": tenant, "limit": limit, **{name: value for name, value in chosen.items() if value is not None}}
        more = "".join(f" AND {name} = :{name}" for name in chosen if name in values)
        query = f"SELECT * FROM service_jobs WHERE tenant = :tenant AND expired_at IS NULL{more} ORDER BY seq DESC LIMIT :limit"  # noqa: S608
        with self.database.reading() as db:
            return _jobs(db.execute(query, values))

    def counts(self) -> dict[tuple[str, str], int]:
        """How many jobs there are by (kind, status)."""
        with self.database.reading() as db:
            rows = db.execute("SELECT kind, status, count(*) AS n FROM service_jobs GROUP BY kind, status", {})
            return {(row["kind"], row["status"]): row["n"] for row in rows}

    def claim(self, worker: str, *, most_rows: int | None = None) -> Job | None:
        """The next job for a worker, now running; None when there is none that may start.

        A job that needs an index waits for the builds of its taxonomy that were asked for before; of the jobs that change a
        taxonomy, one runs at a time and in their order.

        Args:
            worker: id of who asks.
            most_rows: leave larger jobs to others.
        """
        with self.database.reading() as db:
            # Asked without a lock first: idle workers ask several times a second.
            if db.execute(_CLAIM, {"most": most_rows}).fetchone() is None:
                return None
        with self.database.writing() as db:
            row = db.execute(_CLAIM, {"most": most_rows}).fetchone()
            if row is None:
                return None
            now = time.time()
            db.execute(
                "UPDATE service_jobs SET status = 'running', worker = :worker, attempts = attempts + 1, heartbeat_at = :now, "
                "updated_at = :now, started_at = coalesce(started_at, :now), message = 'Running.' WHERE seq = :seq",
                {"worker": worker, "now": now, "seq": row["seq"]},
            )
            return self._got(db, row["id"])

    def beat(self, job_id: str, worker: str, *, done: int | None = None, message: str | None = None) -> bool:
        """Renew a worker's lease and tell its progress, which never falls; False when the job is no longer this worker's."""
        with self.database.writing() as db:
            changed = db.execute(
                "UPDATE service_jobs SET heartbeat_at = :now, updated_at = :now, "
                "done = CASE WHEN :done > done THEN :done ELSE done END, message = coalesce(:message, message) "
                "WHERE id = :id AND worker = :worker AND status = 'running'",
                {"now": time.time(), "done": done, "message": message, "id": job_id, "worker": worker},
            )
            return changed.rowcount == 1

    def started_run(self, job_id: str, worker: str, run_id: str) -> bool:
        """Note the Dagster run of a job; False when the job is no longer this worker's."""
        with self.database.writing() as db:
            changed = db.execute(
                "UPDATE service_jobs SET run_id = :run, updated_at = :now "
                "WHERE id = :id AND worker = :worker AND status = 'running'",
                {"run": run_id, "now": time.time(), "id": job_id, "worker": worker},
            )
            return changed.rowcount == 1

    def complete(self, job_id: str, worker: str, message: str, result: str | None) -> bool:
        """End a job well; False when it is no longer this worker's, and its result must be dropped."""
        return self._end(job_id, "completed", "completed_at", message=message, result=result, worker=worker)

    def fail(self, job_id: str, error: str, code: str, *, worker: str | None = None) -> bool:
        """End a job that is pending or running badly; with a worker, only when it is that worker's."""
        return self._end(job_id, "failed", "failed_at", message="Failed.", error=error, error_code=code, worker=worker)

    def cancel(self, job_id: str) -> bool:
        """Cancel a job that is pending or running; its worker notices with its next heartbeat."""
        return self._end(job_id, "canceled", "canceled_at", message="Canceled.", error="Canceled by the caller.")

    def release(self, job_id: str, worker: str) -> bool:
        """Give a running job back, to be taken up by any worker."""
        with self.database.writing() as db:
            changed = db.execute(
                "UPDATE service_jobs SET status = 'pending', worker = NULL, heartbeat_at = NULL, updated_at = :now, "
                "message = :message WHERE id = :id AND worker = :worker AND status = 'running'",
                {"now": time.time(), "message": "Waits to be taken up again.", "id": job_id, "worker": worker},
            )
            return changed.rowcount == 1

    def expire(self, older_than: float) -> list[Job]:
        """Mark jobs that ended before a time as expired; returns them, so that their files can go."""
        with self.database.writing() as db:
            rows = db.execute(
                "SELECT * FROM service_jobs WHERE status IN ('completed', 'failed', 'canceled') "
                "AND expired_at IS NULL AND updated_at < :older",
                {"older": older_than},
            )
            found = _jobs(rows)
            for job in found:
                values = {"now": time.time(), "none": "{}", "id": job.id}
                db.execute("UPDATE service_jobs SET expired_at = :now, parameters = :none WHERE id = :id", values)
            return found

    def forget(self, older_than: float) -> int:
        """Remove jobs that expired before a time; returns how many."""
        with self.database.writing() as db:
            return db.execute("DELETE FROM service_jobs WHERE expired_at < :older", {"older": older_than}).rowcount

    def worker_beat(self, worker: WorkerRow) -> None:
        """Say that a worker lives."""
        with self.database.writing() as db:
            db.execute(
                "INSERT INTO service_workers (id, host, pid, started_at, heartbeat_at) "
                "VALUES (:id, :host, :pid, :started_at, :now) ON CONFLICT (id) DO UPDATE SET heartbeat_at = :now",
                {**asdict(worker), "now": time.time()},
            )

    def worker_gone(self, worker_id: str) -> None:
        """Say that a worker has ended."""
        with self.database.writing() as db:
            db.execute("DELETE FROM service_workers WHERE id = :id", {"id": worker_id})

    def workers(self) -> list[WorkerRow]:
        """The workers that have not said that they ended."""
        with self.database.reading() as db:
            rows = db.execute("SELECT * FROM service_workers ORDER BY started_at", {})
            return [WorkerRow(**dict(row)) for row in rows]

    def _end(self, job_id: str, status: Status, moment: str, *, worker: str | None = None, **values: Any) -> bool:
        given = {"error": None, "error_code": None, "result": None, **values}
        with self.database.writing() as db:
            changed = db.execute(
                f"UPDATE service_jobs SET status = :status, {moment} = :now, updated_at = :now, message = :message, "  # noqa: S608
                "error = :error, error_code = :error_code, result = :result, "
                "done = CASE WHEN :status = 'completed' THEN rows ELSE done END "
                "WHERE id = :id AND status IN ('pending', 'running') AND (:worker IS NULL OR worker = :worker)",
                {**given, "status": status, "now": time.time(), "id": job_id, "worker": worker},
            )
            return changed.rowcount == 1

    @staticmethod
    def _same_request(db: Statements, job: Job) -> Job | None:
        if job.idempotency_key is not None:
            query = "SELECT * FROM service_jobs WHERE token = :token AND idempotency_key = :key ORDER BY seq DESC"
            former = _job(db.execute(query, {"token": job.token, "key": job.idempotency_key}).fetchone())
            if former is not None and (former.body_hash, former.kind) != (job.body_hash, job.kind):
                raise Fault("idempotency_conflict", "The key came before with another request.", value=job.idempotency_key)
            if former is not None:
                return former
        if job.batch_id is None:
            return None
        query = (
            "SELECT * FROM service_jobs WHERE stored_key = :key AND batch_id = :batch AND body_hash = :body AND kind = :kind "
            "AND status IN ('pending', 'running', 'completed') AND expired_at IS NULL ORDER BY seq DESC"
        )
        values = {"key": job.stored_key, "batch": job.batch_id, "body": job.body_hash, "kind": job.kind}
        return _job(db.execute(query, values).fetchone())

    @staticmethod
    def _got(db: Statements, job_id: str) -> Job:
        found = _job(db.execute("SELECT * FROM service_jobs WHERE id = :id", {"id": job_id}).fetchone())
        if found is None:
            raise Fault("storage_failed", "A job has gone while it was written.", value=job_id)
        return found


def sqlite_file(data: Path) -> Path:
    """Where jobs are kept without a server."""
    return data / "service" / "jobs.sqlite"


def job_store(settings: Settings) -> JobStore:
    """The jobs of these settings.

    Raises:
        Fault: `invalid_setting`, `missing_extra` or `storage_failed`.
    """
    address = settings.database.address()
    return JobStore(settings.data) if address is None else _shared_store(settings.data, address)


@lru_cache(maxsize=4)
def _shared_store(data: Path, address: str) -> JobStore:
    """One for all of a process, since each keeps connections to the server."""
    return JobStore(data, address)


def has_jobs(settings: Settings) -> bool:
    """Whether a service has ever kept jobs here, as far as files tell."""
    return settings.database.url is not None or sqlite_file(settings.data).exists()


def keys_in_hand(settings: Settings, kinds: Sequence[str]) -> set[str]:
    """Stored keys that the service is about to change: sensors leave them to it, as long as its workers live.

    Args:
        settings: of the data root; one without a service has none.
        kinds: kinds of jobs that change what a sensor would.

    Raises:
        Fault: as `job_store`.
    """
    if not has_jobs(settings):
        return set()
    store = job_store(settings)
    jobs = store.open_jobs(kinds=kinds)
    beats = [worker.heartbeat_at for worker in store.workers()] + [job.heartbeat_at or 0.0 for job in store.open_jobs()]
    is_alive = time.time() - max(beats, default=0.0) < settings.service.stale_s
    return {job.stored_key for job in jobs} if is_alive else set()


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(f"'{kind}'" for kind in kinds)


_CLAIM: Final = f"""
SELECT seq, id FROM service_jobs AS own
WHERE status = 'pending' AND (CAST(:most AS BIGINT) IS NULL OR rows <= :most) AND NOT EXISTS (
  SELECT 1 FROM service_jobs AS other
  WHERE other.stored_key = own.stored_key AND other.status IN ('pending', 'running') AND other.seq < own.seq
    AND (other.kind IN ({_listed(BUILDS)}) OR (other.kind = 'learn' AND own.kind IN ({_listed(CHANGES)})))
)
ORDER BY seq LIMIT 1
"""  # noqa: S608 (names of our own kinds)


def _job(row: Any) -> Job | None:
    if row is None:
        return None
    values = {f.name: row[f.name] for f in fields(Job)}
    return Job(**{**values, "parameters": json.loads(values["parameters"])})


def _jobs(rows: Iterable[Any]) -> list[Job]:
    return [job for row in rows if (job := _job(row)) is not None]
