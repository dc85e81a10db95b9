"""Reading a taxonomy file of any supported format: the one door through which a taxonomy comes in."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from taxomind_assets.inputs import RejectedRow, check_file, open_utf8, refuse_binary, rejected_file
from taxomind_assets.taxonomy.assemble import TaxonomyFile, assemble
from taxomind_assets.taxonomy.csv_source import read_csv
from taxomind_resources.faults import Fault
from taxomind_resources.keys import validate_key
from taxomind_resources.settings import LimitSettings

__all__ = ["RejectedRow", "TaxonomyFile", "detect_format", "read_taxonomy", "read_taxonomy_document", "rejected_file"]

Format = Literal["csv", "json", "turtle", "rdfxml"]

_SUFFIXES: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".json": "json",
    ".ttl": "turtle",
    ".turtle": "turtle",
    ".nt": "turtle",
    ".rdf": "rdfxml",
    ".owl": "rdfxml",
    ".xml": "rdfxml",
}
#: Suffixes of the taxonomy files that are looked for in an inbox.
SUFFIXES: Final = tuple(_SUFFIXES)
#: JSON and SKOS are held in memory as a whole, so they have a limit of their own.
MAX_DOCUMENT_BYTES: Final = 1024**3
_ALLOWED = "CSV, TSV, JSON, SKOS as Turtle (.ttl) or RDF/XML (.rdf)"
_TURTLE = re.compile(rb"\s*(#[^\n]*\n\s*)*(@prefix|@base|prefix\s|base\s|<[a-z][a-z0-9+.-]*:[^>\s]*>\s+(a\s|<))", re.IGNORECASE)
_XML = re.compile(rb"\s*<(\?xml|!DOCTYPE|[\w.-]+:RDF|RDF)\b", re.IGNORECASE)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Hold Python's cycle collector: it would visit each new node again and again, and none of them is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def detect_format(path: Path, head: bytes = b"") -> Format:
    """The format by the suffix, else by the first bytes.

    Args:
        path: the file.
        head: its first bytes; read from the file when empty and the suffix says nothing.

    Raises:
        Fault: `unsupported_format` or `unreadable_file`.
    """
    known = _SUFFIXES.get(path.suffix.lower())
    if known is not None:
        return known
    head = head or check_file(path, LimitSettings())  # type: ignore[call-arg]
    if head.lstrip()[:1] in {b"{", b"["}:
        return "json"
    if _XML.match(head):
        return "rdfxml"
    if _TURTLE.match(head):
        return "turtle"
    if path.suffix.lower() in {"", ".txt"} and b"\0" not in head:
        return "csv"
    raise Fault("unsupported_format", f"{path.name} has an unknown format.", value=path.suffix, allowed=_ALLOWED)


def read_taxonomy(path: Path, key: str, limits: LimitSettings) -> TaxonomyFile:
    """Read and check a taxonomy file. Rows that are bad by themselves are refused one by one, a broken tree as a whole.

    Args:
        path: CSV, TSV, JSON, Turtle or RDF/XML.
        key: taxonomy key that the tree gets.
        limits: nodes, characters of a cell and of a code, bytes of the file.

    Raises:
        Fault: `invalid_taxonomy` (details: one mapping per kind of problem with `kind`, `count`, `codes`, `lines`, `what`),
            `unreadable_file`, `unsupported_format`, `missing_column`, `too_large` or `invalid_key`.
    """
    validate_key(key)
    head = check_file(path, limits)
    kind = detect_format(path, head)
    refuse_binary(path, head)
    if kind == "csv":
        with open_utf8(path) as handle, _collector_paused():
            return assemble(path.name, key, read_csv(handle, path.name, limits), limits)
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        allowed = f"at most {MAX_DOCUMENT_BYTES:,} bytes of {kind}"
        raise Fault("too_large", f"{path.name} is too large to be held in memory.", value=path.stat().st_size, allowed=allowed)
    if kind == "json":
        from taxomind_assets.taxonomy.json_source import load_json

        return read_taxonomy_document(load_json(path), key, limits, name=path.name)
    from taxomind_assets.taxonomy.skos_source import read_skos

    return assemble(path.name, key, read_skos(path, kind, limits), limits)


def read_taxonomy_document(document: Any, key: str, limits: LimitSettings, *, name: str = "document") -> TaxonomyFile:
    """Check a taxonomy that has been read from JSON: `{"taxonomy": {...}}`, `{"nodes": [...]}` or a list of nodes.

    Args:
        document: the parsed JSON.
        key: taxonomy key that the tree gets.
        limits: nodes, characters of a cell and of a code.
        name: what messages call it.

    Raises:
        Fault: as `read_taxonomy`.
    """
    from taxomind_assets.taxonomy.json_source import read_document

    validate_key(key)
    try:
        with _collector_paused():
            return assemble(name, key, read_document(document, key, name, limits), limits)
    except RecursionError as error:
        raise Fault("invalid_taxonomy", f"{name} is nested too deeply.", allowed="a flat list of nodes") from error
