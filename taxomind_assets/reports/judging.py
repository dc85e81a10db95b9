"""Judge answers against known codes: one row per text with its outcome and, when it went wrong, where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taxomind_assets.reports.definitions import OUTCOMES
from taxomind_assets.reports.judged import (
    depths_of,
    list_column,
    numbers,
    outcome_of,
    positions_of,
    positions_or_root,
    require,
    shared_depth,
)
from taxomind_assets.reports.siblings import siblings_of_results
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_assets.views.texts import normalise
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy


_RESULT_DEFAULTS: dict[str, Any] = {
    "confidence": 0.0,
    "leaf_confidence": 0.0,
    "stop_reason": "",
    "ambiguous": False,
    "index_version": "",
}
_TARGET_DEFAULTS: dict[str, Any] = {"dataset": "", "language": ""}
_RESULT_LISTS: dict[str, pa.DataType] = {
    name: BY_NAME["classification.results"].arrow.field(name).type
    for name in ("top_codes", "level_confidences", "alternatives")
}
_COPIED = ("dataset", "text_id", "text", "language", "stop_reason", "ambiguous", "index_version")


def judge(tree: Taxonomy, targets: pa.Table, results: pa.Table, *, verbatim: Sequence[bool] | None = None) -> pa.Table:
    """Judge `results` against `targets`, joined by `text_id`.

    A text with several known codes is judged against the one that shares the longest path with the answer, then the
    one with the shortest path, then the first. A target without a result counts as no answer; a result without a
    target is left out. `leaf_right` asks whether the best leaf is any of the known codes.

    Args:
        tree: the taxonomy.
        targets: `targets.TARGETS`, one row per unique text.
        results: `classification.results`; only `text_id` and `code` are needed.
        verbatim: whether each target stands in the taxonomy, when that is known already.

    Returns:
        `reports.errors`, in the order of `targets`.

    Raises:
        Fault: `missing_column`; `invalid_input` when a text id is not unique or a code is not in `tree`.
    """
    require(targets, ["text_id", "text", "codes"], "targets")
    require(results, ["text_id", "code"], "results")
    rows = _joined(targets, results)
    answer = positions_of(tree, rows["code"], "answer")
    owners, known = _flat(tree, rows["codes"])
    target, leaf_right = _chosen(tree, owners, known, answer, rows)
    shared = shared_depth(tree, target, answer)
    outcome = outcome_of(tree, target, answer, shared)
    columns: dict[str, Any] = {name: rows[name] for name in _COPIED}
    columns |= {
        "target_code": _codes(tree, target),
        "target_path": _paths(tree, target),
        "target_codes": rows["codes"],
        "code": _codes(tree, answer),
        "path": _paths(tree, answer),
        "outcome": pa.array(np.array(OUTCOMES, object)[outcome], pa.string()),
        "confidence": numbers(rows["confidence"]),
        "leaf_code": _first(rows["top_codes"]),
        "leaf_confidence": numbers(rows["leaf_confidence"]),
        "leaf_right": leaf_right,
        "rank": _places(rows["top_codes"], _codes(tree, target)),
        "shared_depth": shared,
        "verbatim": _verbatim(tree, rows["text"].to_pylist(), rows["codes"].to_pylist()) if verbatim is None else verbatim,
    }
    wrong = np.flatnonzero(outcome == OUTCOMES.index("wrong_branch"))
    columns |= _divergence(tree, target, answer, shared, wrong)
    columns["siblings"] = siblings_of_results(tree, rows, answer, shared, wrong)
    schema = BY_NAME["reports.errors"].arrow
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _joined(targets: pa.Table, results: pa.Table) -> dict[str, pa.Array]:
    """The columns of both, one row per target; what is missing gets its default."""
    ids, result_ids = _unique_ids(targets, "targets"), _unique_ids(results, "results")
    places = pc.index_in(ids, value_set=result_ids)
    rows = {
        "text_id": ids,
        "text": _array(targets, "text", pa.string()),
        "codes": _array(targets, "codes", pa.list_(pa.string())),
    }
    for name, default in _TARGET_DEFAULTS.items():
        rows[name] = pc.fill_null(_array(targets, name, pa.string()), default)
    rows["code"] = _array(results, "code", pa.string()).take(places)
    for name, default in _RESULT_DEFAULTS.items():
        column = _array(results, name, pa.scalar(default).type).take(places)
        rows[name] = pc.fill_null(column, pa.scalar(default, column.type))
    for name, type_ in _RESULT_LISTS.items():
        rows[name] = _array(results, name, type_).take(places)
    return rows


def _array(table: pa.Table, name: str, type_: pa.DataType) -> pa.Array:
    """A column as one array of `type_`; nulls when the table lacks it."""
    if name not in table.column_names:
        return pa.nulls(len(table), type_)
    column = table[name].cast(type_)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type_)


def _unique_ids(table: pa.Table, what: str) -> pa.Array:
    ids = _array(table, "text_id", pa.string())
    counts = pc.value_counts(ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise Fault(
            "invalid_input",
            f"The {what} hold {len(repeated)} text ids more than once.",
            value=repeated[0]["values"].as_py(),
            allowed="each text_id once",
            next_step="Give the results of one batch.",
        )
    return ids


def _flat(tree: Taxonomy, codes: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """All known codes: owner int64[m] (row of the text) and position int32[m], in order."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(codes), 0), np.int64)
    if len(lengths) and not lengths.all():
        raise Fault(
            "invalid_input",
            f"{int((lengths == 0).sum())} targets have no known code.",
            allowed="at least one code of the taxonomy per target",
        )
    return np.repeat(np.arange(len(codes)), lengths), positions_of(tree, pc.list_flatten(codes), "known code")


def _chosen(
    tree: Taxonomy, owners: NDArray[np.int64], known: NDArray[np.int32], answer: NDArray[np.int32], rows: dict[str, pa.Array]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The known node that each answer is judged against, int32[n], and whether the best leaf is a known one, bool[n]."""
    if not len(owners):
        return np.zeros(0, np.int32), np.zeros(0, np.bool_)
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    depth = depths_of(tree, known)
    # Longest shared path first, then the shortest path; without an answer all are equal and the first one is taken.
    agreement = shared_depth(tree, known, answer[owners]) * (tree.depth + 1) - depth
    agreement[answer[owners] == ROOT] = 0
    best = np.flatnonzero(agreement == np.maximum.reduceat(agreement, starts)[owners])
    first = best[np.unique(owners[best], return_index=True)[1]]
    leaf = positions_or_root(tree, _first(rows["top_codes"]))[owners]
    return known[first], np.logical_or.reduceat((known == leaf) & (leaf != ROOT), starts)


def _starts(lists: pa.Array) -> NDArray[np.int64]:
    """Where each list begins in the flattened values: int64[n + 1]."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0), np.int64)
    return np.concatenate(([0], np.cumsum(lengths)))


def _first(lists: pa.Array) -> pa.Array:
    """The first value of each list; null for an empty one."""
    starts = _starts(lists)
    return pc.list_flatten(lists).take(pa.array(starts[:-1], mask=starts[1:] == starts[:-1]))


def _places(lists: pa.Array, wanted: pa.Array) -> pa.Array:
    """Place of `wanted` in each list, from 1; null when it is not in it."""
    starts = _starts(lists)
    owners = np.repeat(np.arange(len(lists)), np.diff(starts))
    same = pc.fill_null(pc.equal(pc.list_flatten(lists), wanted.take(pa.array(owners))), False)
    hits = np.flatnonzero(np.asarray(same, np.bool_))
    found, first = np.unique(owners[hits], return_index=True)
    places = np.zeros(len(lists), np.int32)
    places[found] = hits[first] - starts[found] + 1
    return pa.array(places, mask=places == 0)


def _codes(tree: Taxonomy, nodes: NDArray[np.int32]) -> pa.Array:
    """Codes of nodes; null for `ROOT`."""
    return pa.array(tree.codes, pa.string()).take(pa.array(nodes, mask=nodes == ROOT))


def _paths(tree: Taxonomy, nodes: NDArray[np.int32]) -> pa.Array:
    """Codes from the top node to each node; empty for `ROOT`."""
    paths = np.vstack([tree.paths, np.full((1, tree.depth), ROOT, np.int32)])[nodes]
    offsets = np.concatenate(([0], np.cumsum(depths_of(tree, nodes))))
    return list_column(offsets, _codes(tree, paths[paths != ROOT]))


def _verbatim(tree: Taxonomy, texts: Sequence[str], codes: Sequence[Sequence[str]]) -> list[bool]:
    """Whether each text stands in the taxonomy: as a label, alias or example of any node, in any language, or, from two
    words on, inside a definition of one of its known nodes."""
    strings: set[str] = set()
    for node in tree.nodes:
        for text in node.texts:
            strings.update(map(normalise, (text.label, *text.aliases, *text.examples)))
    definitions: dict[str, list[str]] = {}
    found = []
    for key, own in zip(map(normalise, texts), codes, strict=True):
        for code in own:
            if code not in definitions:
                node = tree.nodes[tree.position[code]]
                definitions[code] = [normalise(item.definition) for item in node.texts if item.definition]
        inside = " " in key and any(key in definition for code in own for definition in definitions[code])
        found.append(key in strings or inside)
    return found


def _divergence(
    tree: Taxonomy,
    target: NDArray[np.int32],
    answer: NDArray[np.int32],
    shared: NDArray[np.int32],
    wrong: NDArray[np.int64],
) -> dict[str, pa.Array]:
    """Where the paths of the texts `wrong` part; null for the others."""
    parent, chosen, correct = (np.full(len(target), ROOT, np.int32) for _ in range(3))
    depth = shared[wrong]
    chosen[wrong] = tree.paths[answer[wrong], depth]
    correct[wrong] = tree.paths[target[wrong], depth]
    parent[wrong] = tree.parents[correct[wrong]]
    levels = np.append(tree.levels, np.int32(0))[correct]
    return {
        "divergence_level": pa.array(levels, mask=correct == ROOT),
        "divergence_parent": _codes(tree, parent),
        "chosen_child": _codes(tree, chosen),
        "correct_child": _codes(tree, correct),
    }
