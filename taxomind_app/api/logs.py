"""Logs as JSON lines: one object per event, with what belongs to it as fields."""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

_FIELDS: Final = ("request_id", "method", "path", "status", "ms", "token", "client", "job_id")


class JsonLines(logging.Formatter):
    """One log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter.format`."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        own: dict[str, Any] = {"time": moment, "level": record.levelname.lower(), "logger": record.name}
        own["message"] = record.getMessage()
        own |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            own["exception"] = self.formatException(record.exc_info)
        return json.dumps(own, ensure_ascii=True, default=str)


def configure_logs(level: int = logging.INFO) -> None:
    """Write what the service logs to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    log = logging.getLogger("taxomind")
    log.handlers, log.propagate = [handler], False
    log.setLevel(level)


class AuditLog:
    """Who asked for what, and with what outcome: appended to `<data>/service/audit.jsonl`. Never a token, never a text.

    Args:
        data: data root.
    """

    def __init__(self, data: Path) -> None:
        self.path = data / "service" / "audit.jsonl"
        self._lock = threading.Lock()

    def note(self, **values: Any) -> None:
        """Append one line; what cannot be written is logged instead."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}, ensure_ascii=True)
        try:
            # One write of a line is whole, also between processes (POSIX, O_APPEND).
            with self._lock, self.path.open("a", encoding="utf-8") as log:
                log.write(line + "\n")
        except OSError as error:
            logging.getLogger("taxomind.audit").error("the audit log cannot be written (%s): %s", error, line)
