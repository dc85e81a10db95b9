"""The best nodes at the place where an answer left the right path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taxomind_assets.reports.judged import list_column, positions_of, positions_or_root, require
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy

SIBLINGS = 3


def siblings_of_results(
    tree: Taxonomy,
    rows: dict[str, pa.Array],
    answer: NDArray[np.int32],
    shared: NDArray[np.int32],
    wrong: NDArray[np.int64],
) -> pa.Array:
    """The best 3 siblings as far as a result row tells: the chosen child, and those above one of the alternatives.

    The confidence of a sibling above an alternative is the alternative's own, so at least that.

    Args:
        tree: the taxonomy.
        rows: `confidence`, `level_confidences` and `alternatives` of n results.
        answer: int32[n], positions of the answers.
        shared: int32[n], leading path nodes in common with the known path.
        wrong: int64[w], the rows that left the right path.

    Returns:
        The column `siblings` of `reports.errors`, n rows, best first.
    """
    chosen = tree.paths[answer[wrong], shared[wrong]]
    confidence = _confidence_at(rows, shared, wrong)
    lists = rows["alternatives"].take(pa.array(wrong))
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0), np.int64)
    owner = np.repeat(np.arange(len(wrong)), lengths)
    flat = pc.list_flatten(lists)
    node = positions_or_root(tree, flat.field("code"))
    depth = shared[wrong][owner]
    lifted = np.where(node == ROOT, ROOT, tree.paths[node, depth])
    # A sibling has the same parent; a node above the fork has nothing at its depth.
    kept = (lifted != ROOT) & (tree.parents[lifted] == tree.parents[chosen[owner]])
    scores = np.asarray(pc.fill_null(flat.field("confidence"), 0.0), np.float64)
    owners = np.concatenate([np.arange(len(wrong)), owner[kept]])
    nodes = np.concatenate([chosen, lifted[kept]])
    return _best(tree, len(answer), wrong[owners], nodes, np.concatenate([confidence, scores[kept]]))


def fill_siblings(tree: Taxonomy, errors: pa.Table, text_ids: pa.Array, probabilities: NDArray[np.floating]) -> pa.Table:
    """Write the 3 most probable siblings at the fork, with their probabilities, into `errors`.

    Args:
        tree: the taxonomy, n nodes.
        errors: `reports.errors`.
        text_ids: string[b], unique; texts without a fork are passed over.
        probabilities: float[b, n], probability of each node (the sum over its leaves), preorder.

    Returns:
        `errors` with the column `siblings` replaced for the texts named.

    Raises:
        Fault: `missing_column`.
    """
    require(errors, ["text_id", "correct_child", "siblings"], "judged texts")
    place = np.asarray(pc.fill_null(pc.index_in(errors["text_id"], value_set=text_ids), -1), np.int64)
    correct = positions_of(tree, errors["correct_child"], "correct child")
    rows = np.flatnonzero((place >= 0) & (correct != ROOT))
    parents = tree.parents[correct[rows]]
    owners, nodes, scores = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)], [np.zeros(0)]
    for parent in np.unique(parents).tolist():
        own, children = rows[parents == parent], tree.children_of(parent)
        scores.append(probabilities[place[own]][:, children].astype(np.float64).ravel())
        owners.append(np.repeat(own, len(children)))
        nodes.append(np.tile(children, len(own)))
    filled = _best(tree, len(errors), np.concatenate(owners), np.concatenate(nodes), np.concatenate(scores))
    mask = np.zeros(len(errors), np.bool_)
    mask[rows] = True
    old = errors["siblings"].combine_chunks().cast(filled.type)
    merged = pa.concat_arrays([old, filled]).take(pa.array(np.arange(len(errors)) + mask * len(errors)))
    index = errors.schema.get_field_index("siblings")
    return errors.set_column(index, errors.schema.field(index), merged)


def _confidence_at(rows: dict[str, pa.Array], shared: NDArray[np.int32], wrong: NDArray[np.int64]) -> NDArray[np.float64]:
    """Confidence of the answer's node at the fork: float64[w]; the answer's own where levels have none."""
    lists = rows["level_confidences"].take(pa.array(wrong))
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0), np.int64)
    starts = np.cumsum(lengths) - lengths
    own = np.asarray(rows["confidence"].take(pa.array(wrong)).cast(pa.float64()), np.float64)
    known = lengths > shared[wrong]
    flat = np.asarray(pc.fill_null(pc.list_flatten(lists), 0.0), np.float64)
    confidence = own.copy()
    confidence[known] = flat[(starts + shared[wrong])[known]]
    return confidence


def _best(tree: Taxonomy, n: int, owners: NDArray[np.int64], nodes: NDArray[np.int32], scores: NDArray[np.float64]) -> pa.Array:
    """The best distinct nodes of each owner, best first, ties by preorder: the column `siblings` with n rows."""
    order = np.lexsort((-scores, nodes, owners))
    owners, nodes, scores = owners[order], nodes[order], scores[order]
    distinct = np.ones(len(owners), np.bool_)
    distinct[1:] = (np.diff(owners) != 0) | (np.diff(nodes) != 0)
    owners, nodes, scores = owners[distinct], nodes[distinct], scores[distinct]
    order = np.lexsort((nodes, -scores, owners))
    owners, nodes, scores = owners[order], nodes[order], scores[order]
    starts = np.searchsorted(owners, owners)
    kept = np.arange(len(owners)) - starts < SIBLINGS
    owners, nodes, scores = owners[kept], nodes[kept], scores[kept]
    labels = pa.array([node.label for node in tree.nodes], pa.string())
    type_ = BY_NAME["reports.errors"].arrow.field("siblings").type
    values = pa.StructArray.from_arrays(
        [
            pa.array(tree.codes, pa.string()).take(pa.array(nodes)),
            labels.take(pa.array(nodes)),
            pa.array(scores, pa.float32()),
        ],
        fields=list(type_.value_type.fields),
    )
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=n)[:n])))
    return list_column(offsets, values).cast(type_)
