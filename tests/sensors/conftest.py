"""Inputs and outputs in a temporary folder, and a Dagster instance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    RunRequest,
    SensorDefinition,
    SensorResult,
    SkipReason,
    build_sensor_context,
)

from taxomind_assets.pending import SEEN, IndexState, embedding_digest, report_digest
from taxomind_resources.dagster_resources import resources
from taxomind_resources.inbox import Inbox
from taxomind_resources.index_store import IndexStore
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import load_settings
from taxomind_resources.tables import BY_NAME

RESTED = 1_000_000_000


class House:
    """The states that sensors compare: files in the inbox, digests in the outputs, runs in the instance."""

    def __init__(self, data: Path, instance: DagsterInstance) -> None:
        self.data = data
        self.instance = instance
        self.inbox = Inbox(data, 2.0)
        self.outputs = Outputs(data)
        self.indexes = IndexStore(data)

    def put(self, key: str, kind: str = "taxonomy", content: str = "x", name: str = "file.csv") -> Path:
        folder = self.data / "inbox" / key
        path = folder / "taxonomy.csv" if kind == "taxonomy" else folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (RESTED, RESTED + len(content)))
        return path

    def build(self, key: str) -> None:
        """Leave what a finished build leaves."""
        digest = self.inbox.digest(key, "taxonomy")
        state = IndexState("v" * 12, "c" * 32, digest, embedding_digest(load_settings(), key))
        self._write("taxonomy.nodes", key, digest)
        self._write("views.node_vectors", key, state.digest())
        self.indexes.publish(key, "i" * 12, lambda folder: (folder / "manifest.json").touch())

    def answer(self, key: str) -> None:
        """Leave what a finished classification leaves."""
        self._write("classification.batches", key, self.inbox.digest(key, "texts"), SEEN)

    def report(self, key: str, index: str = "i" * 12) -> None:
        """Leave what a finished report leaves."""
        digest = report_digest(self.inbox.digest(key, "labelled"), index, load_settings(), key)
        self._write("reports.metrics", key, digest)

    def refuse(self, key: str) -> None:
        """Leave what a refused taxonomy leaves."""
        self._write("taxonomy.rejected_rows", key, self.inbox.digest(key, "taxonomy"), "refused")

    def requested(self, sensor: SensorDefinition) -> list[RunRequest]:
        """The run requests of one tick; new partitions are added as the daemon would."""
        found = self.tick(sensor)
        if isinstance(found, SkipReason):
            return []
        if isinstance(found, list):
            return found
        for request in found.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        return list(found.run_requests or ())

    def tick(self, sensor: SensorDefinition) -> SensorResult | SkipReason | list[RunRequest]:
        """What a sensor answers when the daemon asks it."""
        given = {name: value for name, value in resources().items() if name in sensor.required_resource_keys}
        with build_sensor_context(instance=self.instance, resources=given) as context:
            return sensor(context)

    def skipped(self, sensor: SensorDefinition) -> str:
        """Why a tick requested nothing."""
        found = self.tick(sensor)
        assert isinstance(found, SkipReason)
        return found.skip_message or ""

    def submit(self, request: RunRequest, status: DagsterRunStatus = DagsterRunStatus.STARTED, job: str = "whole_job") -> str:
        """Record a run as the daemon would for a request."""
        from taxomind_app.definitions import defs

        tags = dict(request.tags)
        if request.run_key:
            tags["dagster/run_key"] = request.run_key
        if request.partition_key:
            tags["dagster/partition"] = request.partition_key
        definition = defs.resolve_job_def(job)
        run = self.instance.create_run_for_job(definition, run_config=request.run_config, tags=tags, status=status)
        return run.run_id

    def _write(self, table: str, key: str, digest: str, part: str = "part") -> None:
        self.outputs.write(table, key, BY_NAME[table].arrow.empty_table(), digest=digest, part=part)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    data = tmp_path / "data"
    monkeypatch.setenv("TAXOMIND_DATA", str(data))
    with DagsterInstance.ephemeral() as instance:
        yield House(data, instance)
