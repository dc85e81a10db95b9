"""Which taxonomy a command means."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from taxomind_resources.settings import Settings


def known_keys(settings: Settings) -> list[str]:
    """Keys of all taxonomies that the inbox or the outputs know, sorted."""
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs

    inbox = Inbox(settings.data, settings.limits.settle_s)
    return sorted({*inbox.keys(), *Outputs(settings.data).keys("taxonomy.nodes")})


def chosen_key(settings: Settings, key: str | None) -> str:
    """The taxonomy that `--taxonomy` names, else the only one that has an index.

    Raises:
        Fault: `unknown_taxonomy`, `index_missing`, `invalid_key`, or `invalid_input` when there are several to choose from.
    """
    from taxomind_resources.index_store import IndexStore

    if key is not None:
        if IndexStore(settings.data).current(key) is None:
            checked_key(settings, key)
        return key
    ready = indexed_keys(settings.data)
    if len(ready) == 1:
        return ready[0]
    if not ready:
        raise _nothing_built(settings)
    raise Fault(
        "invalid_input",
        f"There are {len(ready)} taxonomies, and none was named.",
        allowed=", ".join(ready),
        next_step=f"Name one, for example: --taxonomy {ready[0]}",
    )


def checked_key(settings: Settings, key: str) -> str:
    """`key` when the inbox or the outputs know it.

    Raises:
        Fault: `unknown_taxonomy`, naming the nearest key, or `invalid_key`.
    """
    from taxomind_resources.keys import validate_key

    known = known_keys(settings)
    if validate_key(key) not in known:
        near = difflib.get_close_matches(key, known, 1)
        allowed = ", ".join(known) or "none has been added yet"
        next_step = f"Did you mean {near[0]!r}?" if near else None
        raise Fault("unknown_taxonomy", f"There is no taxonomy {key!r}.", value=key, allowed=allowed, next_step=next_step)
    return key


def indexed_keys(data: Path) -> list[str]:
    """Keys of the taxonomies that can classify, sorted."""
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.keys import key_of_folder

    store = IndexStore(data)
    try:
        folders = [entry.name for entry in store.root.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(key for key in map(key_of_folder, folders) if store.current(key) is not None)


def _nothing_built(settings: Settings) -> Fault:
    known = known_keys(settings)
    if known:
        what = f"No taxonomy below {settings.data} has an index yet."
        return Fault("index_missing", what, allowed=", ".join(known), next_step="`taxomind doctor` says what is missing.")
    return Fault(
        "unknown_taxonomy",
        f"There is no taxonomy below {settings.data} yet.",
        next_step="`taxomind demo` builds the shipped example, `taxomind taxonomy add KEY FILE` your own.",
    )
