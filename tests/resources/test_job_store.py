"""Jobs in SQLite and in PostgreSQL: idempotent requests, an order that keeps taxonomies whole, leases, expiry."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_resources.faults import Fault
from taxomind_resources.job_store import JobStore, keys_in_hand, sqlite_file
from taxomind_resources.jobs import KINDS, TERMINAL, Job, WorkerRow, new_job_id
from taxomind_resources.settings import Settings


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def settings_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Settings]:
    """Settings of a data root of its own, with jobs in a file or on a server."""

    def made() -> Settings:
        url = None if request.param == "SQLite" else request.getfixturevalue("postgres")()
        return Settings.model_validate({"data": tmp_path, "database": {"url": url}, "service": {"stale_s": 60}})

    return made


@pytest.fixture
def store(settings_of: Callable[[], Settings]) -> JobStore:
    own = settings_of()
    return JobStore(own.data, own.database.address())


def a_job(kind: Any = "label", key: str = "K", **values: Any) -> Job:
    own = {"token": "t", "message": "m", "rows": 10, "body_hash": "h", **values}
    return Job(new_job_id(), kind, "local", key, key, **own)


def add(store: JobStore, *arguments: Any, **values: Any) -> Job:
    job, is_new = store.add(a_job(*arguments, **values))
    assert is_new
    return job


def test_a_job_comes_back_as_it_was_added(store: JobStore) -> None:
    job = add(store, batch_id="b", parameters={"a": [1, "é"]}, input="x/y")
    found = store.get(job.id)
    assert found == job
    assert (found.status, found.progress, found.parameters, found.created_at > 0) == ("pending", 0.0, {"a": [1, "é"]}, True)
    assert store.get("unknown") is None


def test_the_same_batch_is_one_job_until_it_fails(store: JobStore) -> None:
    first = add(store, batch_id="b")
    assert store.add(a_job(batch_id="b")) == (first, False)
    assert store.add(a_job(batch_id="b", key="L"))[1]
    assert store.add(a_job(batch_id="b", body_hash="other"))[1]
    store.fail(first.id, "e", "c")
    again, is_new = store.add(a_job(batch_id="b"))
    assert is_new
    store.claim("w")
    assert store.add(a_job(batch_id="b")) == (store.get(again.id), False)


def test_the_same_batch_at_once_is_one_job(store: JobStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: store.add(a_job(batch_id="b")), range(24)))
    assert len({job.id for job, _ in found}) == 1
    assert sum(is_new for _, is_new in found) == 1


def test_an_idempotency_key_belongs_to_one_request_of_one_token(store: JobStore) -> None:
    first = add(store, "learn", idempotency_key="k")
    assert store.add(a_job("learn", idempotency_key="k")) == (first, False)
    assert store.add(a_job("learn", idempotency_key="k", token="other"))[1]
    for other in (a_job("learn", idempotency_key="k", body_hash="x"), a_job("build", idempotency_key="k")):
        with pytest.raises(Fault) as refused:
            store.add(other)
        assert refused.value.code == "idempotency_conflict"


def test_what_needs_an_index_waits_for_earlier_builds_only(store: JobStore) -> None:
    build, label, other = add(store, "taxonomies"), add(store, "label"), add(store, "label", key="L")
    later = add(store, "build")
    assert store.claim("w").id == build.id
    assert store.claim("w").id == other.id
    assert store.claim("w") is None
    store.complete(build.id, "w", "m", None)
    assert [store.claim("w").id, store.claim("w").id] == [label.id, later.id]


def test_changes_of_a_taxonomy_happen_one_after_the_other(store: JobStore) -> None:
    first, second = add(store, "learn"), add(store, "learn")
    answers = add(store, "classify")
    assert store.claim("w").id == first.id
    assert store.claim("w").id == answers.id
    assert store.claim("w") is None
    store.fail(first.id, "e", "c", worker="w")
    assert store.claim("w").id == second.id


def test_a_small_worker_leaves_large_jobs_to_others(store: JobStore) -> None:
    large, small = add(store, rows=5000), add(store, rows=5, key="L")
    assert store.claim("w", most_rows=2000).id == small.id
    assert store.claim("w", most_rows=2000) is None
    assert store.claim("v").id == large.id


def test_no_job_is_claimed_twice(store: JobStore) -> None:
    ids = {add(store, key=f"K{i % 3}").id for i in range(60)}
    claimed: Counter[str] = Counter()
    lock = threading.Lock()

    def work(name: str) -> None:
        while (job := store.claim(name)) is not None:
            with lock:
                claimed[job.id] += 1
            assert store.complete(job.id, name, "m", None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    assert claimed == dict.fromkeys(ids, 1)


def test_progress_never_falls_and_reaches_one_at_the_end_only(store: JobStore) -> None:
    job = add(store)
    store.claim("w")
    shown = []
    for done in (3, 1, 10):
        assert store.beat(job.id, "w", done=done)
        shown.append(store.get(job.id).progress)
    assert shown == [0.3, 0.3, 0.9999]
    assert store.complete(job.id, "w", "m", "r")
    assert (store.get(job.id).progress, store.get(job.id).result) == (1.0, "r")


def test_only_the_worker_that_holds_a_job_may_end_it(store: JobStore) -> None:
    job = add(store)
    store.claim("w")
    assert not store.beat(job.id, "v")
    assert not store.complete(job.id, "v", "m", None)
    assert store.release(job.id, "w")
    assert not store.complete(job.id, "w", "m", None)
    assert store.claim("v").attempts == 2
    assert store.cancel(job.id)
    assert not store.complete(job.id, "v", "m", None)
    assert not store.started_run(job.id, "v", "run")
    assert (store.get(job.id).status, store.get(job.id).error) == ("canceled", "Canceled by the caller.")


MOVES = st.lists(st.sampled_from(["claim", "beat", "complete", "fail", "cancel", "release"]), max_size=12)


@given(moves=MOVES)
@settings(max_examples=60)
def test_a_terminal_state_never_changes(tmp_path_factory: pytest.TempPathFactory, moves: list[str]) -> None:
    store = JobStore(tmp_path_factory.mktemp("jobs"))
    job = add(store)
    ended: Job | None = None
    for move in moves:
        {
            "claim": lambda: store.claim("w"),
            "beat": lambda: store.beat(job.id, "w", done=5),
            "complete": lambda: store.complete(job.id, "w", "m", None),
            "fail": lambda: store.fail(job.id, "e", "c"),
            "cancel": lambda: store.cancel(job.id),
            "release": lambda: store.release(job.id, "w"),
        }[move]()
        found = store.get(job.id)
        assert ended is None or found == ended
        ended = found if found.status in TERMINAL else None


def test_old_jobs_expire_and_are_forgotten(store: JobStore) -> None:
    job, running = add(store, batch_id="b", parameters={"url": "secret"}), add(store, key="L")
    store.fail(job.id, "e", "c")
    store.claim("w")
    assert [found.id for found in store.expire(time.time() + 1)] == [job.id]
    assert store.expire(time.time() + 1) == []
    expired = store.get(job.id)
    assert (expired.expired_at is not None, expired.parameters) == (True, {})
    assert store.forget(time.time() - 60) == 0
    assert store.forget(time.time() + 60) == 1
    assert (store.get(job.id), store.get(running.id).status) == (None, "running")


def test_an_expired_batch_is_asked_for_anew(store: JobStore) -> None:
    job = add(store, batch_id="b")
    store.claim("w")
    store.complete(job.id, "w", "m", None)
    store.expire(time.time() + 1)
    assert store.add(a_job(batch_id="b"))[1]


def test_jobs_are_counted_by_kind_and_status(store: JobStore) -> None:
    for kind in KINDS:
        add(store, kind, key=kind)
    store.claim("w")
    assert store.counts() == {(kind, "running" if kind == KINDS[0] else "pending"): 1 for kind in KINDS}


def test_keys_are_in_hand_while_workers_live(settings_of: Callable[[], Settings]) -> None:
    own = settings_of()
    assert keys_in_hand(own, ["learn"]) == set()
    store = JobStore(own.data, own.database.address())
    add(store, "learn")
    add(store, "label", key="L")
    assert keys_in_hand(own, ["learn"]) == set()
    store.worker_beat(WorkerRow("w", "h", 1, time.time(), time.time()))
    assert keys_in_hand(own, ["learn"]) == {"K"}
    store.worker_gone("w")
    assert keys_in_hand(own, ["learn"]) == set()


def test_workers_say_again_that_they_live(store: JobStore) -> None:
    row = WorkerRow("w", "h", 7, 5.0, 5.0)
    for _ in range(2):
        store.worker_beat(row)
    (found,) = store.workers()
    assert (found.id, found.pid, found.started_at) == ("w", 7, 5.0)
    assert found.heartbeat_at == pytest.approx(time.time(), abs=60)


def test_a_change_that_is_interrupted_leaves_nothing_and_stops_nobody(store: JobStore) -> None:
    job = add(store)

    def interrupted() -> None:
        with store.database.writing() as db:
            db.execute("UPDATE service_jobs SET status = :word", {"word": "running"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(store.claim, "w").result(10).id == job.id


def test_a_damaged_database_is_a_fault_that_tells_no_more(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    with sqlite3.connect(sqlite_file(tmp_path)) as db:
        db.execute("DROP TABLE service_jobs")
    with pytest.raises(Fault) as found:
        store.get("x")
    assert found.value.code == "storage_failed"


def test_a_server_that_is_not_there_is_a_fault_without_the_password() -> None:
    pytest.importorskip("psycopg2")
    with pytest.raises(Fault) as found:
        JobStore(Path("unused"), "postgresql://u:sesame@127.0.0.1:9/d")
    assert (found.value.code, "sesame" in str(vars(found.value))) == ("storage_failed", False)


def test_connections_that_the_server_has_ended_are_replaced(postgres: Callable[[], str]) -> None:
    store = JobStore(Path("unused"), postgres())
    job = add(store)
    database = store.database
    with database.reading() as db:
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()", {})
        with pytest.raises(Fault), database.writing() as own:
            own.execute("SELECT pg_terminate_backend(pg_backend_pid())", {})
    database._free = [(0.0, connection) for _, connection in database._free]
    assert store.get(job.id) == job
    assert store.claim("w").id == job.id
