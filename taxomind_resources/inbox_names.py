"""Names in the inbox: which kinds of inputs there are, what their files may be called, and why something is not read."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Final

from taxomind_resources.faults import Fault
from taxomind_resources.files import MAX_NAME_BYTES, folder_name
from taxomind_resources.keys import key_of_folder

_ROWS: Final = (".csv", ".tsv", ".jsonl", ".parquet")
#: Kinds of inputs and the suffixes that each may have.
SUFFIXES: Final = {
    "taxonomy": (".csv", ".json", ".ttl", ".rdf", ".xml"),
    "texts": _ROWS,
    "corrections": _ROWS,
    "labelled": (*_ROWS, ".json"),
    "revisions": (".json",),
    "observations": (".jsonl",),
    "decisions": (".jsonl",),
    "requests": (".jsonl",),
}
#: Folder of the taxonomy files that another one replaced.
EARLIER: Final = "earlier"
_UNFINISHED: Final = (".tmp", ".part", "~")


def is_subfolder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a taxonomy's folder is a folder of inputs and no input itself."""
    return entry.name in SUFFIXES or entry.name == EARLIER


def name_reason(entry: os.DirEntry[str], kind: str, suffixes: tuple[str, ...]) -> str:
    """Why an entry is no input of a kind, by its name and type; '' = it is one."""
    name = entry.name.lower()
    if name.startswith("."):
        return "is hidden"
    if name.endswith(_UNFINISHED):
        return "has the name of an unfinished file"
    if not name.endswith(suffixes) or (kind == "taxonomy" and name.split(".", 1)[0] != "taxonomy"):
        return f"is none of {_expected(kind)}"
    if kind == "taxonomy" and name.count(".") > 1:
        return f"is none of {_expected(kind)}"
    return "" if entry.is_file() else "is not a file"


def _expected(kind: str) -> str:
    return ", ".join(("taxonomy" if kind == "taxonomy" else "*") + suffix for suffix in SUFFIXES[kind])


def suffixes_of(kind: str) -> tuple[str, ...]:
    """Suffixes of a kind of inputs.

    Raises:
        Fault: `invalid_input`.
    """
    if kind not in SUFFIXES:
        raise Fault("invalid_input", "There is no such kind of input.", value=kind, allowed=", ".join(SUFFIXES))
    return SUFFIXES[kind]


def checked_name(kind: str, name: str) -> str:
    """The name that an input of a kind gets; a taxonomy is called after its kind.

    Raises:
        Fault: `invalid_input` (kind or name) or `unsupported_format` (suffix).
    """
    suffixes = suffixes_of(kind)
    suffix = Path(name).suffix.lower()
    if suffix not in suffixes:
        raise Fault("unsupported_format", f"The suffix {suffix!r} is not one for {kind}.", value=name, allowed=_expected(kind))
    if kind == "taxonomy":
        return f"taxonomy{suffix}"
    outside = any(c in '/\\:*?"<>|' or unicodedata.category(c) in {"Cc", "Cs"} for c in name)
    if outside or name.startswith(".") or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        allowed = f"up to {MAX_NAME_BYTES} bytes, none of / \\ : * ? \" < > |, not beginning with '.'"
        raise Fault("invalid_input", "An input's name must be a plain file name.", value=name, allowed=allowed)
    return name


def key_of_entry(entry: os.DirEntry[str]) -> str | None:
    """The key of a folder; None when it is no folder, or when its name is not one of the two that a key may have."""
    if entry.name.startswith(".") or not entry.is_dir():
        return None
    try:
        key = key_of_folder(entry.name)
        return key if entry.name in {key, folder_name(key)} else None
    except Fault:
        return None


def no_key_reason(entry: os.DirEntry[str]) -> str:
    """Why an entry of the inbox itself is no folder of a taxonomy."""
    if not entry.is_dir():
        return "is no folder; inputs belong in a folder named after their taxonomy"
    try:
        return f"is a folder name that nobody writes; call it {folder_name(key_of_folder(entry.name))!r}"
    except Fault as fault:
        return f"is no taxonomy key: {fault.what} Allowed: {fault.allowed}"
