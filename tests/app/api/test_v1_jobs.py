"""GET /v1/jobs: jobs of the service beside runs of sensors, schedules and the command line; tenants see their own."""

from __future__ import annotations

import pytest
from dagster import DagsterInstance, DagsterRunStatus, Failure, MetadataValue, job, op

from taxomind_app.api.auth import Caller
from taxomind_app.api.jobs import Asked, Place
from taxomind_app.api.runs import Runs
from taxomind_sensors.maintenance import maintenance
from tests.app.api.v1_service import answering

CALLER = Caller("t", ("local",), frozenset({"classify"}))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service whose instance is one in memory, with runs of all kinds."""
    with pytest.MonkeyPatch.context() as patch, DagsterInstance.ephemeral() as instance:
        found = answering(tmp_path_factory.mktemp("jobs") / "data", patch, tenants=["local", "acme"])
        found.app.state.runs = Runs(found.data, instance)
        found.instance = instance
        yield found


def run(service, status=DagsterRunStatus.SUCCESS, **tags):
    own = {name.replace("__", "/"): value for name, value in tags.items()}
    return service.instance.create_run_for_job(maintenance, tags=own, status=status).run_id


def submitted(service, tenant="local", key="K"):
    stored = key if tenant == "local" else f"{tenant}:{key}"
    return service.app.state.service.submit(
        Asked(CALLER, "h"), "label", Place(tenant, key, stored), rows=2, message="accepted", content=b"{}", in_inbox=True
    )


def listed(service, **query):
    answer = service.http.get("/v1/jobs", params=query)
    assert answer.status_code == 200, answer.text
    return {row["id"]: row for row in answer.json()["jobs"]}


def test_jobs_and_runs_are_one_list(service):
    own = submitted(service)
    by_sensor = run(service, dagster__sensor_name="texts_inbox", taxomind__taxonomy_key="K")
    nightly = run(service, DagsterRunStatus.STARTED, dagster__schedule_name="nightly_error_reports", dagster__partition="L")
    typed = run(service, DagsterRunStatus.NOT_STARTED, taxomind__started_by="command line", taxomind__taxonomy_key="K")
    of_job = run(service, taxomind__started_by="service", taxomind__job_id=own.id, taxomind__taxonomy_key="K")
    found = listed(service)
    assert set(found) >= {own.id, by_sensor, nightly, typed}
    assert of_job not in found
    assert (found[own.id]["started_by"], found[own.id]["kind"], found[own.id]["rows"]) == ("service", "label", 2)
    shown = {
        name: (found[name]["started_by"], found[name]["status"], found[name]["taxonomy"])
        for name in (by_sensor, nightly, typed)
    }
    assert shown == {
        by_sensor: ("sensor texts_inbox", "completed", "K"),
        nightly: ("schedule nightly_error_reports", "running", "L"),
        typed: ("command line", "pending", "K"),
    }
    moments = [row["created_at"] for row in service.get("/v1/jobs")["jobs"]]
    assert moments == sorted(moments, reverse=True)
    assert {typed, own.id} <= set(listed(service, status="pending"))
    assert by_sensor not in listed(service, status="pending")
    assert len(listed(service, limit=1)) == 1
    service.get("/v1/jobs", 404, taxonomy="nowhere")
    for name in (own.id, by_sensor):
        assert service.get(f"/v1/jobs/{name}") == found[name]
    for name in (of_job, "nothing", "../x"):
        service.get(f"/v1/jobs/{name}", 404)


def test_a_failed_run_says_why(service):
    @op
    def step():
        raise Failure("The tree is broken.", metadata={"fault code": MetadataValue.text("invalid_taxonomy")})

    @job(tags={"dagster/sensor_name": "taxonomy_inbox", "taxomind/taxonomy_key": "K"})
    def failing():
        step()

    result = failing.execute_in_process(instance=service.instance, raise_on_error=False)
    row = service.get(f"/v1/jobs/{result.run_id}")
    assert (row["status"], row["error_code"], row["error"]) == ("failed", "invalid_taxonomy", "The tree is broken.")
    assert row["ended_at"] >= row["started_at"]
    died = run(service, DagsterRunStatus.FAILURE, dagster__sensor_name="taxonomy_inbox")
    assert service.get(f"/v1/jobs/{died}")["error_code"] == "run_failed"


def test_tenants_see_their_own(service):
    theirs, run_id = (
        submitted(service, "acme"),
        run(service, dagster__sensor_name="texts_inbox", taxomind__taxonomy_key="acme:K"),
    )
    assert {theirs.id, run_id} <= set(listed(service, tenant="acme"))
    assert not {theirs.id, run_id} & set(listed(service))
    service.get("/v1/jobs", 403, tenant="other")
