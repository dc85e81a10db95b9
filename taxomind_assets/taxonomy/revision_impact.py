"""What a revision touches: corrections and answers, by what becomes of their codes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from taxomind_assets.taxonomy.crosswalk import RELATIONS

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_assets.taxonomy.crosswalk import Crosswalk
    from taxomind_resources.outputs import Outputs


def touched(outputs: Outputs, key: str, crosswalk: Crosswalk) -> dict[str, dict[str, int]]:
    """How many codes, corrections and answers each relation of a crosswalk concerns.

    Args:
        outputs: the outputs of the edition in force.
        key: taxonomy key.
        crosswalk: from the edition in force to the next.

    Returns:
        relation -> {corrections, answers}; relations that concern nothing are left out.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    corrections = _counts(_applied(outputs.read("learning.corrections", key, columns=["code", "status"])))
    answers: Counter[str] = Counter()
    for part in outputs.parts("classification.results", key):
        answers += _counts(outputs.read("classification.results", key, columns=["code"], parts=[part])["code"])
    found: dict[str, dict[str, int]] = {}
    for relation in RELATIONS:
        counts = {
            name: sum(count for code, count in own.items() if crosswalk.relation(code) == relation)
            for name, own in (("corrections", corrections), ("answers", answers))
        }
        if any(counts.values()):
            found[relation] = counts
    return found


def _applied(rows: pa.Table) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return rows.filter(pc.equal(rows["status"], "applied"))["code"]


def _counts(codes: pa.ChunkedArray) -> Counter[str]:
    import pyarrow.compute as pc

    values = pc.value_counts(codes.drop_null())
    return Counter({row["values"]: row["counts"] for row in values.to_pylist()})
