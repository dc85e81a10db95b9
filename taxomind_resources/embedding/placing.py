"""Converted models that an image brings along, so that its containers do not convert them again."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from taxomind_resources.files import storage_faults, temporary_path

#: Names a folder of converted models that a new data root begins with.
MODELS_VARIABLE: Final = "TAXOMIND_MODELS"


def place_models(data: Path, folder: str | None = None) -> None:
    """Copy converted models into a data root that has none of their name.

    Args:
        data: data root.
        folder: where they lie (default: the variable TAXOMIND_MODELS; without it nothing is done).

    Raises:
        Fault: `storage_failed`.
    """
    given = os.environ.get(MODELS_VARIABLE) if folder is None else folder
    if not given or not Path(given).is_dir():
        return
    models = data / "models"
    with storage_faults(models):
        models.mkdir(parents=True, exist_ok=True)
        for model in Path(given).iterdir():
            if not (models / model.name).exists():
                _publish(model, models / model.name)


def _publish(model: Path, target: Path) -> None:
    temporary = temporary_path(target.parent)
    shutil.copytree(model, temporary)
    with suppress(OSError):  # Another process was first.
        temporary.rename(target)
    shutil.rmtree(temporary, ignore_errors=True)
