"""Judged texts as arrays: what every measure is computed from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taxomind_assets.reports.definitions import OUTCOMES
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy


@dataclass(frozen=True)
class Judged:
    """n judged texts. Nodes are positions in the tree (preorder).

    Attributes:
        target: int32[n], the known node that the answer is judged against.
        answer: int32[n], the answer; `ROOT` (-1) = none.
        shared: int32[n], leading path nodes in common.
        outcome: int8[n], place in `definitions.OUTCOMES`.
        confidence: float64[n], confidence of the answer.
        leaf_confidence: float64[n], probability of the best leaf.
        has_leaf: bool[n], there are ranked candidates.
        leaf_right: bool[n], the best leaf is a known code.
        place: int32[n], place of the target among the candidates, from 1; 0 = not among them.
        ambiguous: bool[n].
    """

    target: NDArray[np.int32]
    answer: NDArray[np.int32]
    shared: NDArray[np.int32]
    outcome: NDArray[np.int8]
    confidence: NDArray[np.float64]
    leaf_confidence: NDArray[np.float64]
    has_leaf: NDArray[np.bool_]
    leaf_right: NDArray[np.bool_]
    place: NDArray[np.int32]
    ambiguous: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, chosen: NDArray[Any]) -> Judged:
        """The texts at `chosen` (a bool mask or positions)."""
        return Judged(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def confidences(self) -> dict[str, NDArray[Any]]:
        """What `estimates.confidence_kinds` needs."""
        names = ("outcome", "confidence", "leaf_confidence", "has_leaf", "leaf_right")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_table(cls, tree: Taxonomy, errors: pa.Table) -> Judged:
        """Read `reports.errors`.

        Raises:
            Fault: `invalid_input` when a code is not in `tree`.
        """
        target = positions_of(tree, errors["target_code"], "target code")
        answer = positions_of(tree, errors["code"], "answer")
        shared = shared_depth(tree, target, answer)
        return cls(
            target=target,
            answer=answer,
            shared=shared,
            outcome=outcome_of(tree, target, answer, shared),
            confidence=numbers(errors["confidence"]),
            leaf_confidence=numbers(errors["leaf_confidence"]),
            has_leaf=np.asarray(pc.is_valid(errors["leaf_code"]), np.bool_),
            leaf_right=np.asarray(errors["leaf_right"], np.bool_),
            place=np.asarray(pc.fill_null(errors["rank"], 0), np.int32),
            ambiguous=np.asarray(errors["ambiguous"], np.bool_),
        )


def confidences_of(errors: pa.Table) -> dict[str, NDArray[Any]]:
    """As `Judged.confidences`, from `reports.errors` alone."""
    outcome = pc.index_in(errors["outcome"], value_set=pa.array(OUTCOMES))
    return {
        "outcome": np.asarray(outcome, np.int8),
        "confidence": numbers(errors["confidence"]),
        "leaf_confidence": numbers(errors["leaf_confidence"]),
        "has_leaf": np.asarray(pc.is_valid(errors["leaf_code"]), np.bool_),
        "leaf_right": np.asarray(errors["leaf_right"], np.bool_),
    }


def numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """float64[n]; null and NaN become 0."""
    values = np.asarray(pc.fill_null(column.cast(pa.float64()), 0.0), np.float64)
    return np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0)


def positions_of(tree: Taxonomy, codes: pa.ChunkedArray | pa.Array, what: str) -> NDArray[np.int32]:
    """Positions of codes: int32[n]; null and '' become `ROOT`.

    Raises:
        Fault: `invalid_input` when a code is not in `tree`.
    """
    found = positions_or_root(tree, codes)
    given = np.asarray(pc.fill_null(pc.not_equal(codes, ""), False), np.bool_)
    unknown = np.flatnonzero(given & (found == ROOT))
    if unknown.size:
        raise Fault(
            "invalid_input",
            f"{unknown.size} of {len(codes)} rows name a {what} that taxonomy {tree.key!r} does not have.",
            value=codes[int(unknown[0])].as_py(),
            allowed="codes of the taxonomy that the texts are judged with",
            next_step="Classify the texts again with the current index, or judge them with the version that gave them.",
        )
    return found


def positions_or_root(tree: Taxonomy, codes: pa.ChunkedArray | pa.Array) -> NDArray[np.int32]:
    """As `positions_of`, unknown codes too become `ROOT`."""
    known = pa.array(tree.codes, pa.string())
    found = pc.fill_null(pc.index_in(codes.cast(pa.string()), value_set=known), ROOT)
    return np.asarray(found, np.int32)


def shared_depth(tree: Taxonomy, left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.int32]:
    """Leading path nodes in common: int32[n]; 0 where either is `ROOT`.

    Args:
        left: int32[n], positions.
        right: int32[n], positions.
    """
    if not len(tree):
        return np.zeros(len(left), np.int32)
    # A row of ROOTs at the end lets ROOT (-1) be looked up like any node.
    paths = np.vstack([tree.paths, np.full((1, tree.depth), ROOT, np.int32)])
    same = (paths[left] == paths[right]) & (paths[left] != ROOT)
    return np.asarray(same.sum(axis=1), np.int32)


def outcome_of(
    tree: Taxonomy, target: NDArray[np.int32], answer: NDArray[np.int32], shared: NDArray[np.int32]
) -> NDArray[np.int8]:
    """Place in `definitions.OUTCOMES` of each text's outcome: int8[n].

    Args:
        tree: the taxonomy.
        target: int32[n], positions of the known nodes.
        answer: int32[n], positions of the answers; `ROOT` = none.
        shared: int32[n], their leading path nodes in common.
    """
    whole_answer, whole_target = shared == depths_of(tree, answer), shared == depths_of(tree, target)
    cases = [answer == ROOT, whole_answer & whole_target, whole_answer, whole_target]
    return np.select(cases, [4, 0, 1, 2], 3).astype(np.int8)


def depths_of(tree: Taxonomy, nodes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Path nodes of each node: int32[n]; 0 for `ROOT`."""
    return np.append(tree.depths, np.int32(0))[nodes]


def list_column(offsets: NDArray[np.int64], values: pa.Array) -> pa.Array:
    """A list column from offsets int64[n + 1] and flat values."""
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def require(table: pa.Table, names: Sequence[str], what: str) -> None:
    """Check that columns are there.

    Raises:
        Fault: `missing_column`.
    """
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise Fault(
            "missing_column",
            f"The {what} lack {', '.join(missing)}.",
            value=table.column_names,
            allowed=f"at least the columns {', '.join(names)}",
        )
