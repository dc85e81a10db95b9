"""Names that input files use for the parts of a node: ours and older ones, compared without case, '_', '-' and spaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "code": ("nodecode", "notation"),
    "parent_code": ("parent", "parentnodecode", "broader"),
    "level": (),
    "label": ("title", "name", "preflabel"),
    "definition": ("description",),
    "examples": ("example",),
    "positive_examples": (),
    "negative_examples": (),
    "aliases": ("alias", "synonyms", "synonym", "altlabel", "altlabels"),
    "language": ("lang",),
    "is_leaf": ("leaf",),
    "id": (),
    "taxonomy_key": (),
}

#: Accepted and not read: the id is derived and the key comes from the file's place.
UNREAD: Final = frozenset({"id", "taxonomy_key"})


def plain_name(name: str) -> str:
    """`name` without case, '_', '-' and spaces."""
    return "".join(c for c in name.casefold() if c not in "_- ")


_FIELDS: Final[Mapping[str, str]] = {
    **{alias: field for field, aliases in _ALIASES.items() for alias in aliases},
    **{plain_name(field): field for field in _ALIASES},
}


def field_of(name: str) -> str | None:
    """The part of a node that a column of this name holds; None for an unknown name."""
    return _FIELDS.get(plain_name(name))


def assign_columns(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Give each part of a node at most one column: our own name wins over an older one, then the first.

    Returns:
        (part -> column name, columns that are not read).
    """
    chosen: dict[str, str] = {}
    listed = [name for name in names if name]
    for name in sorted(listed, key=lambda n: plain_name(n) != plain_name(field_of(n) or "")):
        field = field_of(name)
        if field is not None:
            chosen.setdefault(field, name)
    used = set(chosen.values())
    return {field: name for field, name in chosen.items() if field not in UNREAD}, [name for name in listed if name not in used]
