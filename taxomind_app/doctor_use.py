"""Checks of what is in use: models that are older than their taxonomy, and nodes that no answer has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from taxomind_resources.outputs import Outputs

_SHOWN: Final = 5


def promoted_models(data: Path, outputs: Outputs, keys: Iterable[str]) -> tuple[Literal["ok", "warn"], str, str]:
    """Status, what was found, and what to do. A model of an earlier version does not know all codes.

    Args:
        data: data root.
        outputs: what was built.
        keys: taxonomies that are built.

    Raises:
        Fault: `model_damaged` or `storage_failed`.
    """
    from taxomind_assets.taxonomy.versions import current_version
    from taxomind_resources.model_store import ModelStore

    store = ModelStore(data)
    used = {key: number for key in keys if (number := store.promoted(key)) is not None}
    older = [
        key for key, number in used.items() if store.manifest(key, number)["taxonomy_version"] != current_version(outputs, key)
    ]
    if older:
        named = listed([f"{key} (version {used[key]})" for key in older])
        remedy = f"Codes that a model does not know are left to the router: taxomind models train --taxonomy {older[0]}"
        return "warn", f"models older than their taxonomy: {named}", remedy
    return "ok", f"{len(used)} in use, none older than its taxonomy" if used else "no model is in use", ""


def unused_nodes(outputs: Outputs, keys: Iterable[str]) -> tuple[Literal["ok"], str, str]:
    """Status, what was found, and what to do.

    Raises:
        Fault: `storage_failed`.
    """
    found = []
    for key in keys:
        unused = outputs.read("growth.zero_usage", key, columns=["code"]).num_rows
        found += [f"{key}: {unused:,}"] if unused else []
    if found:
        # A small number of texts says little about thousands of nodes, so this is no warning.
        return "ok", f"nodes that no answer uses: {listed(found)}; taxomind growth zero-usage lists them", ""
    return "ok", "no node is known to be unused", ""


def listed(items: Sequence[str]) -> str:
    """The first five, and how many more there are."""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return "; ".join(items[:_SHOWN]) + more
