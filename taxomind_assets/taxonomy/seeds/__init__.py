"""Small taxonomies to begin with. The shipped files are never written to."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from taxomind_resources.faults import Fault

#: Name -> what it is.
SEEDS: Final = {
    "minimal": "five labels for notes: tech, creative, health, life, misc",
    "forms": "four forms of notes: procedure, decision, mechanism, reference",
    "relations": "three places of notes among others: node, pipeline, boundary",
    "johnny-decimal": "areas and categories with two-digit numbers",
    "para": "projects, areas, resources, archives",
    "zettelkasten": "fleeting, literature, permanent and structure notes",
}


def seed_file(name: str) -> Path:
    """The CSV file of a seed.

    Raises:
        Fault: `invalid_input` for an unknown name, `unreadable_file` when the installation lacks the file.
    """
    if name not in SEEDS:
        raise Fault("invalid_input", f"There is no seed {name!r}.", value=name, allowed=", ".join(SEEDS))
    file = Path(str(resources.files(__name__) / f"{name}.csv"))
    if not file.is_file():
        raise Fault("unreadable_file", "The installation lacks a seed.", value=str(file), next_step="Install taxomind again.")
    return file
