from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
from dagster import DagsterInstance
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from taxomind_app.daemons import DAEMONS, GONE_S, SENSORS, complaints, silence


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def beat(instance: DagsterInstance, name: str, age_s: float, *errors: str) -> None:
    told = [SerializableErrorInfo(message, [], None) for message in errors]
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age_s, name, "id", told))


def test_daemons_that_never_spoke_are_silent_for_ever(instance: DagsterInstance) -> None:
    assert math.isinf(silence(instance))
    assert complaints(instance) == []


def test_the_last_word_of_any_daemon_counts_unless_one_is_named(instance: DagsterInstance) -> None:
    beat(instance, SENSORS, 2 * GONE_S)
    beat(instance, DAEMONS[1], 5)
    assert 5 <= silence(instance) < GONE_S
    assert silence(instance, SENSORS) > GONE_S


def test_daemons_of_others_do_not_count(instance: DagsterInstance) -> None:
    beat(instance, "BACKFILL", 1)
    assert math.isinf(silence(instance))


def test_the_last_error_of_each_daemon_is_told(instance: DagsterInstance) -> None:
    beat(instance, SENSORS, 1, " it broke \n", "before that")
    beat(instance, DAEMONS[1], 1)
    assert complaints(instance) == ["it broke"]
