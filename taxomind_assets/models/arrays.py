"""Arrays on disk, without anything that runs code when it is read: NumPy's format with `allow_pickle` off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

_FORMAT = "Train the model anew; the folder is damaged or of another version of taxomind."


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of numbers (`.npz`, compressed)."""
    np.savez_compressed(path, allow_pickle=False, **dict(arrays))


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The inverse of `save_arrays`; an array of objects is refused unread.

    Raises:
        Fault: `model_damaged`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        what = f"{path.name} holds no arrays that can be read: {error}."
        raise Fault("model_damaged", what, value=str(path), next_step=_FORMAT) from error


def sparse_arrays(name: str, matrix: sparse.csr_array) -> dict[str, NDArray[Any]]:
    """A sparse matrix as arrays that begin with `name`."""
    return {
        f"{name}_data": matrix.data,
        f"{name}_columns": matrix.indices.astype(np.int32),
        f"{name}_ends": matrix.indptr.astype(np.int64),
        f"{name}_shape": np.array(matrix.shape, np.int64),
    }


def sparse_matrix(name: str, arrays: Mapping[str, NDArray[Any]]) -> sparse.csr_array:
    """The inverse of `sparse_arrays`."""
    from scipy import sparse

    parts = arrays[f"{name}_data"], arrays[f"{name}_columns"], arrays[f"{name}_ends"]
    rows, columns = arrays[f"{name}_shape"].tolist()
    return sparse.csr_array(parts, shape=(rows, columns))


def save_json(path: Path, value: Any) -> None:
    """Write JSON that people can read."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_json(path: Path) -> Any:
    """The inverse of `save_json`.

    Raises:
        Fault: `model_damaged`.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Fault("model_damaged", f"{path.name} cannot be read: {error}.", value=str(path), next_step=_FORMAT) from error
