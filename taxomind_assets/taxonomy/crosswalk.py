"""A crosswalk: where the codes of one edition of a taxonomy went in the next.

A file of two columns, `old_code,new_code`, as statistical offices publish them (correspondence tables), with a `note` if
wanted. One row says that something of the old node is found in the new one. A code that has several rows was split, one that
several codes lead to was merged, one without a new code has no successor. Codes that the file does not name stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from taxomind_assets.delimited import DelimitedFile
from taxomind_assets.inputs import RejectedRow, check_file, open_utf8, refuse_binary
from taxomind_assets.taxonomy.columns import plain_name
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

Relation = Literal["same", "recoded", "merged", "split", "regrouped", "gone"]
#: What became of an old code, in words.
RELATIONS: Final[Mapping[Relation, str]] = {
    "same": "the code stays",
    "recoded": "one code became one other",
    "merged": "several codes became one",
    "split": "one code became several",
    "regrouped": "several codes were divided among several others",
    "gone": "the code has no successor",
}
_ALIASES: Final = {
    "old_code": ("oldcode", "old", "fromcode", "source", "sourcecode"),
    "new_code": ("newcode", "new", "tocode", "target", "targetcode"),
    "note": ("note", "notes", "remark", "comment"),
}
_NAMES: Final = {alias: field for field, aliases in _ALIASES.items() for alias in aliases}
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Link:
    """A row: something of `old_code` is in `new_code` ('' = nowhere)."""

    old_code: str
    new_code: str
    note: str = ""


@dataclass(frozen=True)
class Crosswalk:
    """Where every code of one edition went. Build it with `Crosswalk.between`, which fills in what a file leaves out.

    Attributes:
        links: pairs of codes in the order given, those of unnamed codes that another code was merged into at the end.
        gone: codes of the old edition without a successor.
        new: codes of the new edition without a predecessor, among them those whose former node went elsewhere.
    """

    links: tuple[Link, ...] = ()
    gone: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()

    @classmethod
    def between(cls, links: Iterable[Link], old: Iterable[str], new: Iterable[str]) -> Crosswalk:
        """The crosswalk between the codes of two editions.

        Args:
            links: rows as given; a row without an old code says that a code is new, one without a new code that one is gone.
            old: codes of the old edition.
            new: codes of the new edition.

        Raises:
            Fault: `invalid_crosswalk` when a row names a code that its edition does not have, or says of a code that it went
                nowhere and somewhere. All such rows are listed.
        """
        olds, news = frozenset(old), frozenset(new)
        given = list(dict.fromkeys(links))
        _refuse_contradictions(given, olds, news)
        pairs = {(link.old_code, link.new_code): link for link in reversed(given) if link.old_code and link.new_code}
        kept = [pairs[pair] for pair in dict.fromkeys((link.old_code, link.new_code) for link in given) if pair in pairs]
        named = {link.old_code for link in given if link.old_code}
        # A code that goes on and also takes others in is one of the merged.
        targets = dict.fromkeys(link.new_code for link in kept)
        kept += [Link(code, code) for code in targets if code in olds and code not in named]
        reached = {link.new_code for link in kept}
        staying = olds & news - named
        sources = {link.old_code for link in kept}
        return cls(tuple(kept), olds - sources - staying, news - reached - staying)

    def forward(self, code: str) -> tuple[str, ...]:
        """Codes of the new edition that hold something of an old one; empty = it has no successor."""
        return self._step(code, self._targets, self.gone)

    def backward(self, code: str) -> tuple[str, ...]:
        """Codes of the old edition that a new one holds something of; empty = it has no predecessor."""
        return self._step(code, self._sources, self.new)

    def relation(self, code: str) -> Relation:
        """What became of a code of the old edition."""
        targets = self.forward(code)
        if not targets:
            return "gone"
        shared = any(len(self.backward(target)) > 1 for target in targets)
        if len(targets) > 1:
            return "regrouped" if shared else "split"
        if shared:
            return "merged"
        return "same" if targets == (code,) else "recoded"

    def _step(self, code: str, known: Mapping[str, tuple[str, ...]], none: Iterable[str]) -> tuple[str, ...]:
        if code in known:
            return known[code]
        return () if code in none else (code,)

    @cached_property
    def _targets(self) -> dict[str, tuple[str, ...]]:
        return _grouped((link.old_code, link.new_code) for link in self.links)

    @cached_property
    def _sources(self) -> dict[str, tuple[str, ...]]:
        return _grouped((link.new_code, link.old_code) for link in self.links)

    def to_json(self) -> dict[str, Any]:
        """The crosswalk as JSON types."""
        links = [[link.old_code, link.new_code, link.note] for link in self.links]
        return {"links": links, "gone": sorted(self.gone), "new": sorted(self.new)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Crosswalk:
        """The inverse of `to_json`.

        Raises:
            ValueError, KeyError or TypeError: it is something else.
        """
        links = tuple(Link(*map(str, link)) for link in value["links"])
        return cls(links, frozenset(map(str, value["gone"])), frozenset(map(str, value["new"])))


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for first, second in pairs:
        found.setdefault(first, []).append(second)
    return {first: tuple(seconds) for first, seconds in found.items()}


def _refuse_contradictions(links: Sequence[Link], olds: frozenset[str], news: frozenset[str]) -> None:
    unknown_old = _distinct(link.old_code for link in links if link.old_code and link.old_code not in olds)
    unknown_new = _distinct(link.new_code for link in links if link.new_code and link.new_code not in news)
    ended = {link.old_code for link in links if not link.new_code}
    begun = {link.new_code for link in links if not link.old_code}
    both = _distinct(link.old_code for link in links if link.new_code and link.old_code in ended)
    both += _distinct(link.new_code for link in links if link.old_code and link.new_code in begun)
    problems = [
        (unknown_old, "old_code names no node of the old edition"),
        (unknown_new, "new_code names no node of the new edition"),
        (both, "a code is said to have a counterpart and to have none"),
    ]
    details = [
        {"what": f"{what}: {_listed(codes)}", "codes": codes[:_SHOWN], "count": len(codes)} for codes, what in problems if codes
    ]
    if details:
        raise Fault("invalid_crosswalk", "The crosswalk does not fit the two editions.", details=details)


def _distinct(codes: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(codes))


def _listed(codes: Sequence[str]) -> str:
    more = f" and {len(codes) - _SHOWN:,} more" if len(codes) > _SHOWN else ""
    return ", ".join(map(repr, codes[:_SHOWN])) + more


def read_crosswalk(path: Path, limits: LimitSettings) -> tuple[Link, ...]:
    """Rows of a crosswalk file; rows without any code are passed over.

    Args:
        path: CSV or TSV with the columns `old_code`, `new_code` and, if wanted, `note`.
        limits: bytes of the file, characters of a code.

    Raises:
        Fault: `unreadable_file`, `unsupported_format`, `missing_column`, `too_large`, or `invalid_crosswalk` when a row cannot
            be read: half of a crosswalk would put texts where they do not belong.
    """
    refuse_binary(path, check_file(path, limits))
    with open_utf8(path) as handle:
        file = DelimitedFile(handle, path.name, lambda column: plain_name(column) in _NAMES)
        places = {_NAMES[plain_name(name)]: place for place, name in enumerate(file.header) if plain_name(name) in _NAMES}
        missing = [name for name in ("old_code", "new_code") if name not in places]
        if missing:
            what = f"{path.name} has no column {' and no column '.join(map(repr, missing))}."
            raise Fault("missing_column", what, value=file.header[:50], allowed="old_code, new_code and, if wanted, note")
        links, broken = _links(file, places, limits)
    if broken:
        raise Fault("invalid_crosswalk", f"{path.name} has rows that cannot be read.", details=broken[:_SHOWN])
    if not links:
        raise Fault("invalid_crosswalk", f"{path.name} has no rows.", allowed="one row per pair of codes")
    return tuple(links)


def _links(file: DelimitedFile, places: Mapping[str, int], limits: LimitSettings) -> tuple[list[Link], list[dict[str, Any]]]:
    links: list[Link] = []
    broken: list[dict[str, Any]] = []
    for record in file:
        if isinstance(record, RejectedRow):
            broken.append({"what": f"line {record.line}: {record.reason}"})
            continue
        line, cells = record
        link = Link(*(cells[places[name]].strip() if name in places else "" for name in ("old_code", "new_code", "note")))
        if max(len(link.old_code), len(link.new_code)) > limits.max_code_characters:
            broken.append({"what": f"line {line}: a code is longer than {limits.max_code_characters} characters"})
        elif link.old_code or link.new_code:
            links.append(link)
    return links, broken
