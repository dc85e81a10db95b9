"""Stored answers as growth reads them: as they stand now, each text once, whatever retag runs have made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.growth.observing import CORRECTIONS
from taxomind_assets.growth.review import SOURCE
from taxomind_assets.growth.trial import Probe
from taxomind_resources.catalogue import Catalogue

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.outputs import Outputs

ZERO_USAGE: Final = "growth.zero_usage"
#: Texts that fit, and texts that people have placed, which a trial looks at.
_PROBED: Final = 500
_NEWEST: Final = """
SELECT text FROM classification.current_results
WHERE taxonomy_key = $key AND code IS NOT NULL ORDER BY classified_at DESC, batch_id, row LIMIT $most
"""
_USED: Final = """
SELECT code, count(*) AS answers FROM classification.current_results
WHERE taxonomy_key = $key AND code IS NOT NULL AND ($since::TIMESTAMPTZ IS NULL OR classified_at >= $since::TIMESTAMPTZ)
GROUP BY code
"""
_AT: Final = """
SELECT code, text FROM classification.current_results WHERE taxonomy_key = $key AND code IN (SELECT unnest($codes::VARCHAR[]))
"""


def probe_of(outputs: Outputs, key: str) -> Probe:
    """The newest texts with answers, and texts that people have placed.

    Raises:
        Fault: `storage_failed`.
    """
    texts = Catalogue(outputs.root.parent).query(_NEWEST, {"key": key, "most": _PROBED})["text"].to_pylist()
    columns = ["text", "code", "status", "source"]
    placed = outputs.read(CORRECTIONS, key, columns=columns).to_pylist()
    kept = [(row["text"], row["code"]) for row in placed if row["status"] == "applied" and row["source"] != SOURCE]
    return Probe(tuple(texts), tuple(kept[-_PROBED:]))


def write_zero_usage(key: str, outputs: Outputs, tree: Taxonomy) -> tuple[int, int]:
    """Flag nodes that no stored answer uses; returns (nodes, answers that were counted).

    An answer uses its node and all above it. Without any answer no node is flagged: nothing is known.
    """
    import pyarrow as pa

    from taxomind_resources.tables import BY_NAME

    used, answers = used_nodes(outputs, key, tree)
    unused = np.flatnonzero(~used).tolist() if answers else []
    rows = [
        {"code": tree.codes[i], "label": tree.nodes[i].label, "is_leaf": bool(tree.is_leaf[i]), "answers": answers}
        for i in sorted(unused, key=lambda place: tree.codes[place])
    ]
    outputs.write(ZERO_USAGE, key, pa.Table.from_pylist(rows, schema=BY_NAME[ZERO_USAGE].arrow), digest=tree.version)
    return len(rows), answers


def used_nodes(outputs: Outputs, key: str, tree: Taxonomy, since: datetime | None = None) -> tuple[NDArray[np.bool_], int]:
    """(bool[n]: nodes with an answer at or below them, number of answers), counted from the answers as they stand now.

    Raises:
        Fault: `storage_failed`.
    """
    rows = Catalogue(outputs.root.parent).query(_USED, {"key": key, "since": since}).to_pylist()
    used = np.zeros(len(tree), np.bool_)
    above = tree.paths[[tree.position[row["code"]] for row in rows if row["code"] in tree.position]]
    used[above[above >= 0]] = True
    return used, sum(row["answers"] for row in rows)


def texts_at(outputs: Outputs, key: str, codes: list[str]) -> dict[str, set[str]]:
    """The texts whose answer now is each of these codes.

    Raises:
        Fault: `storage_failed`.
    """
    found: dict[str, set[str]] = {code: set() for code in codes}
    for row in Catalogue(outputs.root.parent).query(_AT, {"key": key, "codes": codes}).to_pylist():
        found[row["code"]].add(row["text"])
    return found
