"""Whether Dagster's daemons live: each of them says so every 30 seconds."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dagster import DagsterInstance

#: The daemon that evaluates sensors, and with them watches the inbox.
SENSORS: Final = "SENSOR"
DAEMONS: Final = (SENSORS, "SCHEDULER", "QUEUED_RUN_COORDINATOR")
#: Seconds of silence after which a daemon counts as gone; a long evaluation of a sensor is silent as well.
GONE_S: Final = 300.0


def silence(instance: DagsterInstance, *names: str) -> float:
    """Seconds since one of these daemons (default: any of them) last said that it lives; infinite when none ever did."""
    beats = instance.get_daemon_heartbeats()
    return time.time() - max((beats[name].timestamp for name in names or DAEMONS if name in beats), default=-math.inf)


def complaints(instance: DagsterInstance) -> list[str]:
    """The last error of each daemon that reports some."""
    beats = instance.get_daemon_heartbeats()
    return [error.message.strip() for name in DAEMONS if name in beats for error in (beats[name].errors or [])[:1]]
