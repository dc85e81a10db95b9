"""The strategy `consensus` against its definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.classification.consensus import ConsensusOptions
from taxomind_assets.classification.strategies import (
    run_strategy,
)
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from tests.assets.classification.routed_trees import hits_of, make_tree, row
from tests.assets.classification.strategy_cases import FOUR_LEVELS, cases, ran

Found = list[tuple[int, float]]


def naive_mass(tree: Taxonomy, hits: Found, node: int) -> float:
    return sum(score for hit, score in hits if node in tree.paths[hit].tolist())


def naive_top(tree: Taxonomy, hits: Found, options: ConsensusOptions) -> int:
    total = sum(score for _, score in hits)
    blends = {}
    for top in tree.children_of(ROOT).tolist():
        below = [score for hit, score in hits if tree.paths[hit, 0] == top]
        if below:
            share = naive_mass(tree, hits, top) / total if total else 0.0
            blends[top] = options.hit_weight * max(below) + (1 - options.hit_weight) * share
    return max(sorted(blends), key=lambda top: blends[top]) if blends else ROOT


def naive_next(
    tree: Taxonomy, scores: list[float], candidates: set[int], hits: Found, node: int, options: ConsensusOptions
) -> int | str:
    """The child to enter, or why the path ends."""
    children = [i for i in tree.children_of(node).tolist() if i in candidates]
    if not children:
        return "no_candidate_children" if len(tree.children_of(node)) else "leaf_node_reached"
    masses = sorted(((naive_mass(tree, hits, i), -i) for i in children), reverse=True)
    siblings = sum(value for value, _ in masses)
    shares = [value / siblings if siblings else 0.0 for value, _ in masses] + [0.0]
    if shares[0] >= options.mass_share and shares[0] - shares[1] >= options.mass_lead:
        return -masses[0][1]
    decayed = sorted(((scores[i] * options.decay ** (int(tree.depths[i]) - 1), -i) for i in children), reverse=True)
    lead = decayed[0][0] - decayed[1][0] if len(decayed) > 1 else np.inf
    return -decayed[0][1] if decayed[0][0] >= options.score and lead >= options.score_lead else "no_consensus"


def naive_check(
    tree: Taxonomy, scores: list[float], candidates: set[int], hits: Found, node: int, options: ConsensusOptions
) -> tuple[int, str]:
    """(final answer, what is added to the reason)."""
    leaves = [
        i
        for i in sorted(candidates, key=lambda i: (-scores[i], i))
        if tree.is_leaf[i] and all(sibling in candidates for sibling in tree.children_of(int(tree.parents[i])).tolist())
    ]
    below = [i for i in leaves if node in tree.paths[i].tolist()]
    if not below:
        return node, ""
    total = sum(score for _, score in hits)
    inside = naive_mass(tree, hits, node) / total if total else 0.0
    best, support = leaves[0], below[0]
    lead = scores[best] - scores[support]
    if lead == 0:
        deeper = options.deepen and support != node and scores[support] - scores[node] >= options.deepen_margin
        return (support, "|consensus_deeper") if deeper else (node, "")
    lies_elsewhere = inside < options.override_inside and 1 - inside >= options.override_ratio * inside
    stable = scores[best] - scores[leaves[1]] >= options.override_stability
    return (best, "|consensus_override") if lies_elsewhere and lead >= options.override_margin and stable else (node, "")


def naive_consensus(
    tree: Taxonomy, scores: list[float], candidates: set[int], hits: Found, options: ConsensusOptions
) -> tuple[int, str]:
    node = naive_top(tree, hits, options)
    if node == ROOT:
        return ROOT, "no_candidate_children"
    step = naive_next(tree, scores, candidates, hits, node, options)
    while isinstance(step, int):
        node = step
        step = naive_next(tree, scores, candidates, hits, node, options)
    answer, mark = naive_check(tree, scores, candidates, hits, node, options)
    return answer, step + mark


@given(cases(), st.booleans(), st.sampled_from([0.0, 0.1]), st.sampled_from([0.9, 1.0]), st.sampled_from([0.25, 1.3]))
@settings(max_examples=300, deadline=None)
def test_consensus_equals_its_definition_written_out(
    case: tuple, deepen: bool, margin: float, decay: float, ratio: float
) -> None:
    tree, scores, candidates, hits = case
    options = ConsensusOptions(
        deepen=deepen, override_margin=margin, override_stability=margin, decay=decay, override_ratio=ratio
    )
    decisions = run_strategy("consensus", tree, scores, candidates, hits, options=options)
    for text in range(len(scores)):
        found = [(n, s) for n, s in zip(hits[0][text].tolist(), hits[1][text].tolist(), strict=True) if n != ROOT]
        within = set(np.flatnonzero(candidates[text]).tolist())
        expected = naive_consensus(tree, scores[text].astype(np.float64).tolist(), within, found, options)
        assert (decisions.nodes[text], decisions.reasons[text]) == expected


def test_consensus_follows_the_mass_where_the_scores_are_low() -> None:
    tree = make_tree(FOUR_LEVELS)
    hits = hits_of(tree, A11=0.4, A12=0.1, B1=0.2)
    assert ran("consensus", tree, row(tree, A11=0.3), None, hits)[:3] == ("A11", "no_consensus", True)
    by_score = ran("consensus", tree, row(tree, A11=0.3, A111=0.9), None, hits)
    assert by_score == ("A111", "leaf_node_reached", False, [])


def test_consensus_is_overruled_only_where_the_mass_lies_elsewhere() -> None:
    tree = make_tree({"A": None, "B": None, "C": None, "A1": "A", "A2": "A", "B1": "B", "B2": "B", "C1": "C", "C2": "C"})
    scores = row(tree, A1=0.4, B1=0.8)
    spread = hits_of(tree, A1=0.5, A2=0.05, B1=0.4, C1=0.4)
    code, reason, *_ = ran("consensus", tree, scores, None, spread)
    assert (code, reason) == ("B1", "leaf_node_reached|consensus_override")
    gathered = hits_of(tree, A1=0.9, A2=0.05, B1=0.4)
    assert ran("consensus", tree, scores, None, gathered)[:2] == ("A1", "leaf_node_reached")
    half = hits_of(tree, A1=0.6, B1=0.4)
    lenient = ConsensusOptions(override_ratio=0.25)
    assert ran("consensus", tree, scores, lenient, half)[0] == "A1"
    assert ran("consensus", tree, scores, replace(lenient, override_inside=0.7), half)[0] == "B1"
