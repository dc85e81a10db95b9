"""Copies of data roots that take hardly any room: an embedding model is larger than all the rest of a test together."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

#: Converted models are written once and never again, so that copies may share their bytes.
_SHARED_FROM_BYTES = 1_000_000


def copied(source: Path, target: Path) -> Path:
    """Copy a folder into `target`, which may exist; large files of its models are linked where the disk can do that."""
    return Path(shutil.copytree(source, target, copy_function=_copy, dirs_exist_ok=True))


def _copy(source: str, target: str) -> str:
    if "models" in Path(source).parts and os.stat(source).st_size >= _SHARED_FROM_BYTES:
        try:
            os.link(source, target)
            return target
        except OSError:  # Another disk, or one without links.
            pass
    return str(shutil.copy2(source, target))
