"""Evidence as the outputs hold it: read by every classifier, written by the asset `evidence_centroids`.

The file is named after the class of its vectors, so that evidence of one model can never be taken for that of another.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.learning.evidence import Evidence
from taxomind_resources.embedding import EmbeddingSpec
from taxomind_resources.files import storage_faults
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa
    from numpy.typing import NDArray

    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.outputs import Outputs

EVIDENCE: Final = "learning.evidence"
VERSIONS: Final = "learning.evidence_versions"


def evidence_part(vector_class: str) -> str:
    """Name of the part of `learning.evidence` with vectors of this class."""
    return vector_class[:12]


def stored_evidence(outputs: Outputs, key: str, index: NodeIndex) -> Evidence:
    """The evidence that an index is used with.

    Texts of codes that its taxonomy does not have are left out; vectors of another model count as none.

    Args:
        outputs: where it is stored.
        key: taxonomy key.
        index: the node index.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    dimensions = index.vectors.shape[1]
    # Asked first: an index without a recorded model has no evidence either.
    if not outputs.parts(EVIDENCE, key):
        return Evidence.none(dimensions)
    part = evidence_part(EmbeddingSpec.from_json(json.dumps(dict(index.spec))).vector_class)
    rows = outputs.read(EVIDENCE, key, columns=["code", "text", "vector"], parts=[part])
    return evidence_of_rows(rows, dimensions, index.tree.position)


def current_evidence_version(outputs: Outputs, key: str) -> str:
    """Version of the evidence that was gathered last; '' = none.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    log = outputs.read(VERSIONS, key, columns=["number", "evidence_version"]).to_pylist()
    return str(max(log, key=lambda row: int(row["number"]))["evidence_version"]) if log else ""


def evidence_state(outputs: Outputs, key: str) -> str:
    """Differs whenever the stored evidence was written anew; '' without any. Opens no file.

    A process that holds a classifier asks this as often as it likes and loads the evidence again when the answer changes.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    found = []
    for part in outputs.parts(EVIDENCE, key):
        path = outputs.path(EVIDENCE, key, part)
        with storage_faults(path), suppress(FileNotFoundError):
            status = path.stat()
            found.append(f"{part}:{status.st_size}:{status.st_mtime_ns}")
    return "|".join(found)


def evidence_of_rows(rows: pa.Table, dimensions: int, codes: Collection[str]) -> Evidence:
    """The rows of `learning.evidence` whose code is among `codes`."""
    if not rows.num_rows:
        return Evidence.none(dimensions)
    vectors = vectors_of_rows(rows, dimensions)
    given, texts = rows["code"].to_pylist(), rows["text"].to_pylist()
    kept = [place for place, code in enumerate(given) if code in codes]
    return Evidence.of([texts[i] for i in kept], [given[i] for i in kept], vectors[kept])


def vectors_of_rows(rows: pa.Table, dimensions: int) -> NDArray[np.float32]:
    """The column `vector` as float32[e, d]."""
    values = np.from_dlpack(rows["vector"].combine_chunks().flatten())  # `to_numpy` loads pandas
    return np.asarray(values, np.float32).reshape(-1, dimensions)


def evidence_rows(ids: list[str], codes: list[str], texts: list[str], vectors: NDArray[np.float32]) -> pa.Table:
    """Corrections that count, and their vectors float32[e, d], as rows of `learning.evidence` by (code, text, id)."""
    import pyarrow as pa

    order = sorted(range(len(ids)), key=lambda i: (codes[i], texts[i], ids[i]))
    starts = np.arange(len(ids) + 1, dtype=np.int32) * vectors.shape[1]
    columns = {
        "correction_id": pa.array([ids[i] for i in order], pa.string()),
        "code": pa.array([codes[i] for i in order], pa.string()),
        "text": pa.array([texts[i] for i in order], pa.string()),
        "vector": pa.ListArray.from_arrays(starts, pa.array(vectors[order].reshape(-1), pa.float32())),
    }
    return pa.table(columns, schema=BY_NAME[EVIDENCE].arrow)
