"""Routing by rules against the rules written out."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.classification.rules import beam, candidate_subgraph, route_by_rules, trace_rules
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_resources.settings import RetrievalSettings, RoutingSettings
from tests.assets.classification.routed_trees import Hits, answer, make_tree, retrieval, rules

# ---------------------------------------------------------------------------------------------- naive reference


def naive_candidates(tree: Taxonomy, retrieved: list[int]) -> set[int]:
    ancestors = {i for node in retrieved for i in tree.paths[node].tolist() if i not in (ROOT, node)}
    siblings = {child for parent in [*ancestors, ROOT] for child in tree.children_of(parent).tolist()}
    below = {child for node in retrieved for child in tree.children_of(node).tolist()}
    return set(retrieved) | ancestors | siblings | below


def naive_beam(tree: Taxonomy, retrieved: list[tuple[int, float]], options: RetrievalSettings) -> list[int]:
    if not options.enable_beam_selection:
        return tree.children_of(ROOT).tolist()
    groups: dict[int, list[float]] = {}
    for node, score in retrieved:
        groups.setdefault(int(tree.paths[node, 0]), []).append(score)
    lowest = min((score for _, score in retrieved), default=0.0)

    def rank(scores: list[float]) -> float:
        ordered = sorted(scores, reverse=True)
        if options.beam_rank == "max":
            return ordered[0]
        if options.beam_rank == "sum":
            return sum(ordered)
        if options.beam_rank == "mean":
            return sum(ordered) / len(ordered)
        return sum([*ordered, lowest, lowest][:3]) / 3

    return sorted(groups, key=lambda top: (-rank(groups[top]), top))[: options.beam_count]


def naive_step(tree: Taxonomy, scores: list[float], candidates: set[int], parent: int, options: RoutingSettings) -> tuple:
    """(stopping reason or None, ambiguous, alternatives, best child)."""
    children = tree.children_of(parent).tolist()
    ranked = sorted((child for child in children if child in candidates), key=lambda child: (-scores[child], child))
    if not children and parent != ROOT:
        return "leaf_node_reached", False, [], None
    if not ranked:
        return "no_candidate_children", True, [], None
    best = ranked[0]
    if options.max_depth is not None and tree.nodes[best].level > options.max_depth:
        return f"max_depth_reached (depth={options.max_depth})", False, [], None
    reason = naive_sibling_doubt([scores[child] for child in ranked], options)
    if reason:
        return reason, True, ranked[: options.alternatives], None
    reason = "" if parent == ROOT else naive_parent_doubt(scores[parent], scores[best], len(ranked) == 1, options)
    if reason:
        return reason, True, [parent, best][: options.alternatives], None
    return None, False, [], best


def naive_sibling_doubt(ranked: list[float], options: RoutingSettings) -> str:
    if len(ranked) > 1 and ranked[0] - ranked[1] < options.min_descent_gap:
        return "sibling_ambiguity"
    low = options.stop_on_low_spread
    return "low_spread" if len(ranked) > 1 and low is not None and ranked[0] - ranked[-1] < low else ""


def naive_parent_doubt(own: float, best: float, only: bool, options: RoutingSettings) -> str:
    if only and best < own - options.only_child_margin:
        return "only_child_weaker"
    if options.enable_parent_veto and own + options.parent_veto_margin >= best:
        return "parent_competitive"
    return "score_decrease" if options.stop_on_decrease and best < own else ""


def naive_route(
    tree: Taxonomy,
    scores: list[float],
    candidates: set[int],
    beams: list[int],
    options: RoutingSettings,
    probabilities: list[float] | None,
) -> tuple[int, str, bool, list[int]]:
    reason, ambiguous, alternatives, best = naive_step(tree, scores, candidates, ROOT, options)
    if reason is not None:
        return ROOT, reason, ambiguous, alternatives
    ends = []
    for start in dict.fromkeys([best, *beams]):
        if start not in candidates or (options.max_depth is not None and tree.nodes[start].level > options.max_depth):
            continue
        node, reason = start, None
        while reason is None:
            reason, ambiguous, alternatives, child = naive_step(tree, scores, candidates, node, options)
            node = node if child is None else child
        key = (scores[node], not ambiguous, tree.nodes[node].level)
        ends.append(((key if probabilities is None else (probabilities[node], *key)), (node, reason, ambiguous, alternatives)))
    return max(ends, key=lambda end: end[0])[1]


# ---------------------------------------------------------------------------------------------- random cases


@st.composite
def trees(draw: st.DrawFn) -> Taxonomy:
    size = draw(st.integers(1, 14))
    codes = [f"n{i}" for i in range(size)]
    parents: dict[str, str | None] = {}
    levels: dict[str, int] = {}
    for i, code in enumerate(codes):
        parent = draw(st.integers(-1, i - 1))
        parents[code] = None if parent < 0 else codes[parent]
        levels[code] = (0 if parent < 0 else levels[codes[parent]]) + draw(st.sampled_from([1, 1, 1, 2]))
    return make_tree(parents, levels)


def grid(draw: st.DrawFn, rows: int, columns: int) -> np.ndarray:
    """Scores with many ties and many gaps that equal a threshold; sums of such binary fractions are exact."""
    values = draw(st.lists(st.integers(-2, 16), min_size=rows * columns, max_size=rows * columns))
    return (np.array(values, np.float32) / np.float32(16)).reshape(rows, columns)


@st.composite
def retrieved(draw: st.DrawFn, tree: Taxonomy, texts: int) -> Hits:
    width = draw(st.integers(0, 5))
    nodes = np.full((texts, width), ROOT, np.int32)
    for text in range(texts):
        found = draw(st.lists(st.integers(0, len(tree) - 1), max_size=width, unique=True))
        nodes[text, : len(found)] = found
    return nodes, np.where(nodes == ROOT, -np.inf, grid(draw, texts, width)).astype(np.float32)


routing_settings = st.builds(
    rules,
    min_descent_gap=st.sampled_from([0.0, 0.0625, 0.25]),
    enable_parent_veto=st.booleans(),
    parent_veto_margin=st.sampled_from([0.0, 0.0625, 0.125]),
    only_child_margin=st.sampled_from([0.0, 0.0625, 0.25]),
    stop_on_low_spread=st.sampled_from([None, 0.125, 0.5]),
    stop_on_decrease=st.booleans(),
    max_depth=st.sampled_from([None, None, 1, 2, 3]),
    alternatives=st.integers(0, 5),
)
beam_settings = st.builds(
    retrieval,
    beam_count=st.integers(1, 4),
    enable_beam_selection=st.booleans(),
    beam_rank=st.sampled_from(["top3", "mean", "sum", "max"]),
)


def listed(hits: Hits, text: int) -> list[tuple[int, float]]:
    return [(n, s) for n, s in zip(hits[0][text].tolist(), hits[1][text].tolist(), strict=True) if n != ROOT]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_candidates_equal_their_definition(data: st.DataObject) -> None:
    tree = data.draw(trees())
    hits = data.draw(retrieved(tree, 3))
    candidates = candidate_subgraph(tree, hits)
    for text in range(3):
        assert set(np.flatnonzero(candidates[text]).tolist()) == naive_candidates(tree, [n for n, _ in listed(hits, text)])


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_beam_equals_a_ranking_written_out(data: st.DataObject) -> None:
    tree = data.draw(trees())
    # Halves, quarters and eighths add up without rounding, so that ties are the same in any order of summing.
    nodes, scores = data.draw(retrieved(tree, 3))
    hits = nodes, np.where(nodes == ROOT, scores, np.round(np.nan_to_num(scores, neginf=0) * 8) / 8).astype(np.float32)
    options = data.draw(beam_settings)
    beams = beam(tree, hits, options)
    for text in range(3):
        assert [n for n in beams[text].tolist() if n != ROOT] == naive_beam(tree, listed(hits, text), options)


@given(st.data(), routing_settings, beam_settings, st.booleans(), st.booleans())
@settings(max_examples=400, deadline=None)
def test_routing_equals_the_rules_written_out(
    data: st.DataObject, options: RoutingSettings, beams_by: RetrievalSettings, calibrated: bool, everything: bool
) -> None:
    tree = data.draw(trees())
    texts = data.draw(st.integers(1, 4))
    hits = data.draw(retrieved(tree, texts))
    scores = data.draw(st.composite(grid)(texts, len(tree)))
    probabilities = data.draw(st.composite(grid)(texts, len(tree))) if calibrated else None
    candidates = np.ones_like(scores, dtype=np.bool_) if everything else candidate_subgraph(tree, hits)
    beams = beam(tree, hits, beams_by)
    decisions = route_by_rules(tree, scores, candidates, beams, options, probabilities=probabilities)
    assert decisions.alternatives.shape == (texts, options.alternatives)
    for text in range(texts):
        expected = naive_route(
            tree,
            scores[text].tolist(),
            set(np.flatnonzero(candidates[text]).tolist()),
            [n for n in beams[text].tolist() if n != ROOT],
            options,
            None if probabilities is None else probabilities[text].tolist(),
        )
        near = [n for n in decisions.alternatives[text].tolist() if n != ROOT]
        assert (decisions.nodes[text], decisions.reasons[text], decisions.ambiguous[text], near) == expected


@given(st.data(), routing_settings)
@settings(max_examples=60, deadline=None)
def test_a_text_is_routed_alone_as_in_a_batch(data: st.DataObject, options: RoutingSettings) -> None:
    tree = data.draw(trees())
    hits = data.draw(retrieved(tree, 4))
    scores = data.draw(st.composite(grid)(4, len(tree)))
    together = route_by_rules(tree, scores, candidate_subgraph(tree, hits), beam(tree, hits, retrieval()), options)
    for text in range(4):
        one = slice(text, text + 1)
        own = hits[0][one], hits[1][one]
        alone = route_by_rules(tree, scores[one], candidate_subgraph(tree, own), beam(tree, own, retrieval()), options)
        assert answer(tree, alone) == answer(tree, together, text)


@given(st.data(), routing_settings, st.booleans())
@settings(max_examples=80, deadline=None)
def test_every_trace_is_valid_json_and_agrees_with_the_decision(
    data: st.DataObject, options: RoutingSettings, calibrated: bool
) -> None:
    tree = data.draw(trees())
    hits = data.draw(retrieved(tree, 1))
    scores = data.draw(st.composite(grid)(1, len(tree)))
    masses = data.draw(st.composite(grid)(1, len(tree))) if calibrated else None
    candidates, beams = candidate_subgraph(tree, hits), beam(tree, hits, retrieval())
    decisions = route_by_rules(tree, scores, candidates, beams, options, probabilities=masses)
    trace = trace_rules(tree, scores[0], candidates[0], beams[0], options, probabilities=None if masses is None else masses[0])
    assert json.loads(json.dumps(trace, allow_nan=False)) == trace
    code, reason, ambiguous, _ = answer(tree, decisions)
    assert (trace["answer"], trace["stopping_reason"], trace["ambiguous"]) == (code, reason, ambiguous)
    chosen = [start for start in trace["starts"] if start["chosen"]]
    assert [start["final_code"] for start in chosen] == ([code] if code else [])
    last = chosen[0]["steps"][-1] if chosen else trace["root"]
    assert last["decision"] == reason
