"""Who is told of what failed: by a webhook and by e-mail, against servers of this machine."""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dagster import SkipReason, build_run_status_sensor_context, build_sensor_context, job, op

from taxomind_resources.alerts import Alert, deliver
from taxomind_resources.dagster_resources import SettingsResource
from taxomind_resources.job_store import JobStore
from taxomind_resources.jobs import JOB_TAG, Job, new_job_id
from taxomind_resources.settings import AlertSettings
from taxomind_sensors.alerts import failure_alerts, job_alerts

ALERT = Alert("Run failed: whole_job of jobs", ("[bad_row] jobs: é",), {"kind": "run", "run_id": "r"})


@contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def hook():
    """A webhook: (its address, what it got, how it answers)."""
    got, answers = [], [204]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers[0])
            self.end_headers()

        def log_message(self, *arguments):
            """Say nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}/secret-path", got, answers


@pytest.fixture
def post_office():
    """A server that takes e-mail (RFC 5321, as much as is needed): (its port, what it got)."""
    got = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 here\r\n")
            recipients = []
            while line := self.rfile.readline().strip():
                word = line.split(b":")[0].upper()
                if word == b"RCPT TO":
                    recipients.append(line.split(b":", 1)[1].split()[0].strip(b"<>").decode())
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    content = b""
                    while (row := self.rfile.readline()) != b".\r\n":
                        content += row
                    got.append((recipients, message_from_bytes(content, policy=policy.default)))
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                if word == b"QUIT":
                    return

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, got


def alert_settings(hook=None, port=None, **more):
    own = {"webhook_url": hook, **more}
    if port:
        own |= {"email_to": ["ada@example.org", "bob@example.org"], "smtp_host": "127.0.0.1", "smtp_port": port}
        own |= {"smtp_encryption": "none", "email_from": "taxomind@example.org"}
    return AlertSettings.model_validate(own)


def test_a_message_goes_to_all_that_are_named(hook, post_office):
    (address, got, _), (port, mails) = hook, post_office
    assert deliver(ALERT, alert_settings(address, port)) == {"webhook": "", "email": ""}
    assert got == [{"title": ALERT.title, "text": f"{ALERT.title}\n[bad_row] jobs: é", "kind": "run", "run_id": "r"}]
    ((recipients, mail),) = mails
    assert recipients == ["ada@example.org", "bob@example.org"]
    assert (mail["Subject"], mail["From"]) == (f"[taxomind] {ALERT.title}", "taxomind@example.org")
    assert mail.get_content().splitlines() == ALERT.text.splitlines()


def test_nobody_named_is_nobody_told():
    assert deliver(ALERT, AlertSettings()) == {}


def test_what_cannot_be_delivered_is_said_and_stops_no_other(hook, post_office):
    (address, got, answers), (port, mails) = hook, post_office
    answers[0] = 500
    found = deliver(ALERT, alert_settings(address, port))
    assert (found["email"], len(mails), len(got)) == ("", 1, 2)
    assert "answered 500" in found["webhook"]
    assert "secret-path" not in found["webhook"]
    unreachable = deliver(
        ALERT, alert_settings("http://127.0.0.1:9/secret-path", email_to=["a@b"], smtp_host="127.0.0.1", smtp_port=9)
    )
    assert all(unreachable.values())
    assert "secret-path" not in str(unreachable)


@pytest.fixture
def told(house, hook, monkeypatch):
    """The data root of `house` with a webhook; gives what that got."""
    address, got, _ = hook
    monkeypatch.setenv("TAXOMIND_ALERTS__WEBHOOK_URL", address)
    return got


def fail_run(house, **tags):
    @op
    def step():
        raise ValueError("the disk is full")

    @job(name="whole_job", tags={"taxomind/taxonomy_key": "jobs", **tags})
    def failing():
        step()

    result = failing.execute_in_process(instance=house.instance, raise_on_error=False)
    event = next(event for event in result.all_events if event.is_job_failure)
    run = house.instance.get_run_by_id(result.run_id)
    resources = {"settings": SettingsResource(data=str(house.data))}
    context = build_run_status_sensor_context("failure_alerts", event, house.instance, run, resources=resources)
    failure_alerts(context.for_run_failure())
    return result.run_id


def test_a_failed_run_is_told(house, told):
    run_id = fail_run(house)
    (alert,) = told
    assert (alert["run_id"], alert["taxonomy"], alert["kind"]) == (run_id, "jobs", "run")
    assert alert["title"] == "Run failed: whole_job of jobs"
    assert "ValueError: the disk is full" in alert["text"]


def test_a_run_of_a_job_is_told_as_a_job_only(house, told):
    fail_run(house, **{JOB_TAG: "j"})
    assert told == []


def tick(house, cursor):
    context = build_sensor_context(
        instance=house.instance, cursor=cursor, resources={"settings": SettingsResource(data=str(house.data))}
    )
    with context:
        found = job_alerts(context)
    if isinstance(found, SkipReason):
        return cursor, found.skip_message
    return found.cursor, found.skip_reason.skip_message


def test_failed_jobs_are_told_once_and_together(house, told):
    assert tick(house, None) == (None, "There are no jobs.")
    store = JobStore(house.data)
    cursor, _ = tick(house, None)
    assert cursor is not None
    for number in range(3):
        store.add(Job(new_job_id(), "label", "local", "jobs", "jobs", "t", "m", 1, str(number)))
    ids = [found.id for found in store.open_jobs()]
    store.fail(ids[0], "Stopped by an operator.", "stopped")
    cursor, _ = tick(house, cursor)
    assert told == []
    store.fail(ids[1], "The disk is full.", "storage_failed")
    store.fail(ids[2], "It took too long.", "time_limit")
    cursor, said = tick(house, cursor)
    (alert,) = told
    assert (alert["title"], [own["id"] for own in alert["jobs"]]) == ("2 jobs failed", ids[1:])
    assert f"[storage_failed] local jobs: label {ids[1][:8]}: The disk is full." in alert["text"].splitlines()
    assert alert["text"].splitlines()[1:] == said.splitlines()
    assert tick(house, cursor) == (cursor, "No job has failed.")
    assert len(told) == 1
