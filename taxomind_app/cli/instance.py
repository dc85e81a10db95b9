"""The Dagster instance of a data root: where runs are recorded, so that the UI shows those of the command line as well."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dagster import DagsterInstance

HOME_VARIABLE: Final = "DAGSTER_HOME"
#: Holds the address of the database for Dagster, so that no password is written to its settings.
DATABASE_VARIABLE: Final = "DAGSTER_DATABASE_URL"
#: Also the module that a code server loads, and the name under which the UI and the sensors' states know it.
DEFINITIONS_MODULE: Final = "taxomind_app.definitions"
LOCATION_NAME: Final = "taxomind"
_MADE_HERE: Final = "# Made by taxomind, which replaces it. Remove this line to keep changes of your own.\n"
_PER_VALUE: Final = {"applyLimitPerUniqueValue": True}
#: Settings of the instance; `dagster.yaml` in the repository says the same with the storage in `data/dagster`, and why.
CONFIG: Final[dict[str, Any]] = {
    "concurrency": {
        "runs": {
            "max_concurrent_runs": 4,
            "tag_concurrency_limits": [
                {"key": "taxomind/taxonomy_key", "value": _PER_VALUE, "limit": 1},
                {"key": "dagster/partition", "value": _PER_VALUE, "limit": 1},
            ],
        }
    },
    "run_retries": {"enabled": True, "max_retries": 3, "retry_on_asset_or_op_failure": False},
    "run_monitoring": {"enabled": True, "start_timeout_seconds": 300, "poll_interval_seconds": 60},
    "retention": {
        "sensor": {"purge_after_days": {"skipped": 1, "success": 30, "failure": 30}},
        "schedule": {"purge_after_days": {"skipped": 30, "success": 365}},
    },
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
}
_NO_CAPTURE: Final = {
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager", "config": {}}
}


def prepare_home(data: Path) -> Path:
    """The Dagster home of a data root, with its settings written; a `DAGSTER_HOME` that is set already is taken as it is.

    Raises:
        Fault: `storage_failed`, or `invalid_setting` (the database).
    """
    from taxomind_resources.files import replace_bytes

    storage = _storage(data)
    if os.environ.get(HOME_VARIABLE):
        return Path(os.environ[HOME_VARIABLE]).expanduser().absolute()
    home = data / "dagster"
    logs = {"module": "dagster._core.storage.local_compute_log_manager", "class": "LocalComputeLogManager"}
    config = {**CONFIG, **storage, "compute_logs": {**logs, "config": {"base_dir": str(home / "logs")}}}
    # JSON is YAML.
    wanted = _MADE_HERE + json.dumps(config, indent=1) + "\n"
    file = home / "dagster.yaml"
    present = file.read_text(encoding="utf-8") if file.is_file() else _MADE_HERE
    if present.startswith(_MADE_HERE) and present != wanted:
        replace_bytes(file, wanted.encode())
    return home


def _storage(data: Path) -> dict[str, Any]:
    """Where Dagster keeps its records when `database.url` names a server; this process and its children know the address."""
    from taxomind_resources.settings import usable_settings

    address = usable_settings(data)[0].database.address()
    if address is None:
        return {}
    # Without its driver, SQLAlchemy would look for another one.
    os.environ[DATABASE_VARIABLE] = f"postgresql+psycopg2://{address.partition('://')[2]}"
    return {"storage": {"postgres": {"postgres_url": {"env": DATABASE_VARIABLE}}}}


def write_workspace(home: Path) -> Path:
    """A workspace file that loads taxomind, whatever the working directory.

    Raises:
        Fault: `storage_failed`.
    """
    from taxomind_resources.files import replace_bytes

    module = {"python_module": {"module_name": DEFINITIONS_MODULE, "location_name": LOCATION_NAME}}
    return replace_bytes(home / "workspace.yaml", (json.dumps({"load_from": [module]}, indent=1) + "\n").encode())


def start_cursors(instance: DagsterInstance) -> None:
    """Where the daemon that repeats crashed runs begins to read events: at those to come. It warns when nobody has told it."""
    from dagster._core.events import DagsterEventType

    names = [f"EVENT_LOG_CONSUMER_CURSOR-{kind.value}" for kind in (DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_SUCCESS)]
    known = instance.daemon_cursor_storage.get_cursor_values(set(names))
    last = str(instance.event_log_storage.get_maximum_record_id() or 0)
    missing = {name: last for name in names if name not in known}
    if missing:
        instance.daemon_cursor_storage.set_cursor_values(missing)


@contextmanager
def open_instance(data: Path) -> Iterator[DagsterInstance]:
    """The instance of a data root, made when it is not there yet. What steps print is not captured.

    Raises:
        Fault: as `prepare_home`.
    """
    from dagster import DagsterInstance
    from dagster._core.instance.ref import InstanceRef

    from taxomind_resources.files import locked

    home = prepare_home(data)
    # Two processes that make the databases at the same moment disturb each other.
    with locked(home / ".lock"):
        instance = DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=_NO_CAPTURE))
    with instance:
        yield instance
