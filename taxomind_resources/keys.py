"""Rules for taxonomy keys: the one place where a key is checked before it meets a path, a partition or SQL."""

from __future__ import annotations

import unicodedata
from typing import Final
from urllib.parse import quote, unquote

from taxomind_resources.faults import Fault

MAX_KEY_LENGTH: Final = 100
#: Bytes of a folder name, encoded; file systems allow 255, and temporary names need some of them.
MAX_FOLDER_BYTES: Final = 200
#: Key of the zero-row files that give each table its schema; never a taxonomy.
EMPTY_KEY: Final = "__none__"
_ALLOWED = (
    f"1 to {MAX_KEY_LENGTH} characters ({MAX_FOLDER_BYTES} bytes percent-encoded), no control characters, "
    "no '/', '\\', '...' or outer spaces; "
    "not '.' or '..', not beginning with '__'"
)


def validate_key(key: str) -> str:
    """Return `key` unchanged when it may name a taxonomy.

    Raises:
        Fault: `invalid_key`.
    """
    bad = (
        not isinstance(key, str)
        or not 1 <= len(key) <= MAX_KEY_LENGTH
        or key != key.strip()
        or key in {".", ".."}
        or key.startswith("__")
        or "..." in key
        or any(c in "/\\" or unicodedata.category(c) in {"Cc", "Cs"} for c in key)
        or len(quote(key, safe="-_.")) > MAX_FOLDER_BYTES
    )
    if bad:
        raise Fault("invalid_key", "A taxonomy key names folders, partitions and tables.", value=key, allowed=_ALLOWED)
    return key


def key_folder(key: str) -> str:
    """Folder name of a key: percent-encoded, so that no key can leave its folder (`..` cannot occur).

    Raises:
        Fault: `invalid_key`.
    """
    encoded = quote(validate_key(key), safe="-_.")
    return "%2E" + encoded[1:] if encoded.startswith(".") else encoded


def key_of_folder(name: str) -> str:
    """The key that a folder name stands for (inverse of `key_folder`; a plain name is its own key).

    Raises:
        Fault: `invalid_key`.
    """
    return validate_key(unquote(name))
