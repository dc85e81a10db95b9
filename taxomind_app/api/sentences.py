"""Limits of the sentences of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_app.api.jobs import Service


def check_sentences(fields: Sequence[Any], service: Service) -> None:
    """Refuse a request that is over a limit, naming limit and value.

    Args:
        fields: the fields of each sentence; what is no mapping is left to others.
        service: limits.

    Raises:
        Fault: `too_large`.
    """
    own, longest = service.service, service.settings.limits.max_cell_characters
    if len(fields) > own.max_sentences:
        raise Fault(
            "too_large",
            f"The request has {len(fields):,} sentences.",
            allowed=f"at most {own.max_sentences:,} (service.max_sentences)",
        )
    for number, item in enumerate(fields, 1):
        if not isinstance(item, Mapping):
            continue
        if len(item) > own.max_fields:
            allowed = f"at most {own.max_fields:,} (service.max_fields)"
            raise Fault("too_large", f"Sentence {number:,} has {len(item):,} fields.", allowed=allowed)
        for name, value in item.items():
            if max(len(name), len(value) if isinstance(value, str) else 0) > longest:
                allowed = f"at most {longest:,} characters (limits.max_cell_characters)"
                raise Fault("too_large", f"A field of sentence {number:,} has {len(value):,} characters.", allowed=allowed)
