"""Rules for taxonomy keys: the one place where a key is checked before it meets a path, a partition or SQL."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import quote, unquote

from taxomind_resources.faults import Fault

MAX_KEY_LENGTH: Final = 100
#: Bytes of a folder name, encoded; file systems allow 255, and temporary names need some of them.
MAX_FOLDER_BYTES: Final = 200
#: The tenant whose keys are those of the command line, without anything before them.
LOCAL_TENANT: Final = "local"
MAX_TENANT_LENGTH: Final = 63
_BETWEEN: Final = ":"
_SLUG: Final = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{MAX_TENANT_LENGTH - 2}}}[a-z0-9])?")
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


def tenant_slug(text: str) -> str:
    """A name as a slug: lower case, each run of other characters than a-z and 0-9 one "-"; empty when nothing is left."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def is_tenant(slug: str) -> bool:
    """Whether a text is a tenant's slug: 1 to 63 characters of a-z, 0-9 and inner '-'."""
    return _SLUG.fullmatch(slug) is not None


def stored_key(tenant: str, key: str) -> str:
    """The taxonomy key under which a tenant's taxonomy is stored: `<tenant>:<key>`, and the plain key of the tenant `local`.

    A slug has no ':', so no two pairs have the same stored key; for that a plain key must not look like one of a tenant.

    Raises:
        Fault: `invalid_key`.
    """
    if tenant != LOCAL_TENANT:
        return validate_key(f"{tenant}{_BETWEEN}{validate_key(key)}")
    before, between, _ = key.partition(_BETWEEN)
    if between and is_tenant(before):
        allowed = "a key that does not begin with a tenant's name and ':'"
        raise Fault("invalid_key", "The taxonomy key is that of another tenant.", value=key, allowed=allowed)
    return validate_key(key)


def tenant_of(stored: str) -> tuple[str, str]:
    """(tenant, key) of a stored key, the inverse of `stored_key`."""
    before, between, after = stored.partition(_BETWEEN)
    return (before, after) if between and is_tenant(before) else (LOCAL_TENANT, stored)
