from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.classification.rules import beam, route_by_rules
from taxomind_assets.classification.strategies import (
    STRATEGIES,
    BottomupOptions,
    FlatOptions,
    HybridOptions,
    TopdownOptions,
    VetoOptions,
    passed_up,
    run_strategy,
)
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy, nearest_common
from taxomind_resources.faults import Fault
from taxomind_resources.settings import RetrievalSettings
from tests.assets.classification.routed_trees import answer, make_tree, row, rules
from tests.assets.classification.strategy_cases import FOUR_LEVELS, cases, ran

# ---------------------------------------------------------------------------------------------- vetoes


def test_each_veto_stops_where_its_definition_says() -> None:
    tree = make_tree(FOUR_LEVELS)
    # name: (scores of A, A1, A2, does the path stop at A?)
    expected = {
        "veto_none": [(0.6, 0.61, 0.3, False)],
        "veto_fixed": [(0.6, 0.61, 0.3, True), (0.6, 0.64, 0.3, False)],
        "veto_with_ambiguity": [(0.6, 0.61, 0.3, False), (0.6, 0.61, 0.6, True), (0.6, 0.65, 0.64, False)],
        "veto_relative": [(0.6, 0.62, 0.3, True), (0.2, 0.22, 0.1, False)],
        "veto_low_spread": [(0.6, 0.61, 0.3, False)],
    }
    for name, rows in expected.items():
        for parent, best, second, stops in rows:
            scores = row(tree, A=parent, A1=best, A2=second, A11=0.9, A111=0.99)
            code, reason, *_ = ran(name, tree, scores)
            assert (code, reason) == (("A", "parent_competitive") if stops else ("A111", "leaf_node_reached")), (name, parent)


def test_the_low_spread_veto_stops_among_similar_children_only() -> None:
    tree = make_tree(FOUR_LEVELS)
    options = VetoOptions(routing=rules(min_descent_gap=0.01))
    assert ran("veto_low_spread", tree, row(tree, A=0.6, A1=0.61, A2=0.58, A11=0.9), options)[:2] == ("A", "parent_competitive")
    assert ran("veto_low_spread", tree, row(tree, A=0.6, A1=0.61, A2=0.5, A11=0.9, A111=0.99), options)[0] == "A111"


def test_the_margin_of_the_decaying_veto_shrinks_with_depth() -> None:
    tree = make_tree(FOUR_LEVELS)
    # Each best child leads its parent by 0.02: less than 0.03 (level 1) and 0.021 (level 2), more than 0.0147 (level 3).
    level1 = row(tree, A=0.6, A1=0.62, A11=0.9, A111=0.99)
    level2 = row(tree, A=0.5, A1=0.6, A11=0.62, A111=0.99)
    level3 = row(tree, A=0.4, A1=0.5, A11=0.6, A111=0.62)
    assert [ran("veto_decaying", tree, scores)[0] for scores in (level1, level2, level3)] == ["A", "A1", "A111"]
    assert ran("veto_fixed", tree, level3)[0] == "A11"


def test_close_top_nodes_stop_every_veto_variant_at_the_root() -> None:
    tree = make_tree(FOUR_LEVELS)
    for name in STRATEGIES:
        if name.startswith("veto"):
            assert ran(name, tree, row(tree, A=0.6, B=0.59))[:2] == (None, "sibling_ambiguity")


@given(cases(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_veto_none_and_fixed_are_the_rules_of_the_settings(case: tuple, enabled: bool) -> None:
    tree, scores, candidates, hits = case
    options = rules(enable_parent_veto=enabled)
    beams = beam(tree, hits, RetrievalSettings.model_validate({}))
    by_rules = route_by_rules(tree, scores, candidates, beams, options)
    by_name = run_strategy("veto_fixed" if enabled else "veto_none", tree, scores, candidates, hits)
    assert [answer(tree, by_name, i) for i in range(len(scores))] == [answer(tree, by_rules, i) for i in range(len(scores))]


def test_variants_can_be_validated() -> None:
    tree = make_tree(FOUR_LEVELS)
    scores = row(tree, A=0.6, A1=0.59, A11=0.58, A12=0.3, A111=0.57, A112=0.3, B1=0.9)
    assert ran("veto_none", tree, scores)[0] == "A111"
    code, reason, *_ = ran("veto_none", tree, scores, VetoOptions(validated=True))
    assert (code, reason) == ("B1", "leaf_node_reached|validation_override")


# ---------------------------------------------------------------------------------------------- other ways


def test_flat_takes_the_best_node_of_any_depth() -> None:
    tree = make_tree(FOUR_LEVELS)
    scores = row(tree, A=0.6, A1=0.9, A11=0.7)
    assert ran("flat", tree, scores) == ("A1", "flat_best", False, [])
    assert ran("flat", tree, scores, FlatOptions(flat_k=3)) == ("A1", "flat_best", False, ["A11", "A"])


def test_flat_without_candidates_has_no_answer() -> None:
    tree = make_tree(FOUR_LEVELS)
    nobody = np.zeros((1, len(tree)), np.bool_)
    hits = np.full((1, 0), ROOT, np.int32), np.zeros((1, 0), np.float32)
    for name in ("flat", "bottomup", "topdown", "hybrid", "consensus", "veto_fixed"):
        decisions = run_strategy(name, tree, row(tree, A=0.9), nobody, hits)
        assert answer(tree, decisions, 0) == (None, "no_candidate_children", True, []), name


def naive_topdown(tree: Taxonomy, scores: list[float], candidates: set[int], options: TopdownOptions) -> list[int]:
    """End nodes, best first."""

    def ranked(parent: int) -> list[int]:
        return sorted((i for i in tree.children_of(parent).tolist() if i in candidates), key=lambda i: (-scores[i], i))

    ends = []
    for start in [i for i in ranked(ROOT)[: options.topdown_k] if scores[i] >= options.min_confidence_level1]:
        node = start
        while ranked(node):
            best = ranked(node)[0]
            if scores[best] < options.min_confidence or (options.stop_on_decrease and scores[best] < scores[node]):
                break
            node = best
        ends.append(node)
    return sorted(ends, key=lambda i: -scores[i])


@given(
    cases(),
    st.builds(
        TopdownOptions,
        topdown_k=st.integers(1, 3),
        min_confidence=st.sampled_from([0.0, 0.4]),
        stop_on_decrease=st.booleans(),
    ),
)
@settings(max_examples=150, deadline=None)
def test_topdown_equals_a_descent_written_out(case: tuple, options: TopdownOptions) -> None:
    tree, scores, candidates, hits = case
    decisions = run_strategy("topdown", tree, scores, candidates, hits, options=options)
    for text in range(len(scores)):
        ends = naive_topdown(tree, scores[text].tolist(), set(np.flatnonzero(candidates[text]).tolist()), options)
        found = [decisions.nodes[text], *decisions.alternatives[text]]
        assert [i for i in found if i != ROOT] == ends


def test_topdown_stops_at_low_and_at_falling_scores() -> None:
    tree = make_tree(FOUR_LEVELS)
    assert ran("topdown", tree, row(tree, A=0.1, A1=0.3)) == ("A", "low_confidence", True, [])
    assert ran("topdown", tree, row(tree, A=0.6, A1=0.5)) == ("A", "score_decrease", True, [])
    assert ran("topdown", tree, row(tree, A=0.6, A1=0.5), TopdownOptions(stop_on_decrease=False))[0] == "A1"
    assert ran("topdown", tree, row(tree, A=0.04)) == (None, "low_confidence", True, [])
    assert ran("topdown", tree, row(tree, A=0.1, B=0.2, B2=0.5))[:3] == ("B2", "leaf_node_reached", False)


def naive_passed_up(tree: Taxonomy, scores: list[float], candidates: set[int], node: int, options: BottomupOptions) -> float:
    below = [
        naive_passed_up(tree, scores, candidates, child, options)
        for child in tree.children_of(node).tolist()
        if child in candidates
    ]
    if not below:
        return scores[node]
    best = sorted(below, reverse=True)[
        : {"mean_top_k": options.top_k_children, "mean": len(below), "max": 1}[options.aggregation]
    ]
    return options.parent_weight * scores[node] + (1 - options.parent_weight) * sum(best) / len(best)


@given(
    cases(),
    st.builds(
        BottomupOptions,
        parent_weight=st.sampled_from([0.0, 0.3, 1.0]),
        aggregation=st.sampled_from(["mean_top_k", "mean", "max"]),
        top_k_children=st.integers(1, 4),
    ),
)
@settings(max_examples=150, deadline=None)
def test_bottomup_equals_a_recursion_written_out(case: tuple, options: BottomupOptions) -> None:
    tree, scores, candidates, hits = case
    totals = passed_up(tree, scores, candidates, options)
    decisions = run_strategy("bottomup", tree, scores, candidates, hits, options=options)
    for text in range(len(scores)):
        within = set(np.flatnonzero(candidates[text]).tolist())
        expected = [
            naive_passed_up(tree, scores[text].tolist(), within, i, options) if i in within else -np.inf
            for i in range(len(tree))
        ]
        np.testing.assert_allclose(totals[text], expected, rtol=0, atol=1e-12)
        assert expected[decisions.nodes[text]] == pytest.approx(max(expected), abs=1e-12)


def test_bottomup_lets_three_good_children_carry_their_parent() -> None:
    tree = make_tree({"A": None, "B": None, **{f"A{i}": "A" for i in range(1, 5)}, "B1": "B"})
    scores = row(tree, A=0.6, A1=0.6, A2=0.6, A3=0.6, B=0.2, B1=0.59)
    totals = passed_up(tree, scores, np.ones(scores.shape, np.bool_), BottomupOptions())
    assert totals[0, tree.position["A"]] == pytest.approx(0.3 * 0.6 + 0.7 * 0.6)
    assert totals[0, tree.position["B"]] == pytest.approx(0.3 * 0.2 + 0.7 * 0.59)
    assert ran("bottomup", tree, scores, BottomupOptions(bottomup_k=2))[3] != []


def test_hybrid_takes_the_better_of_the_two() -> None:
    tree = make_tree(FOUR_LEVELS)
    scores = row(tree, A=0.5, A1=0.45, B=0.4, B1=0.9)
    assert ran("topdown", tree, scores)[0] == "A"
    assert ran("bottomup", tree, scores)[0] == "B1"
    assert ran("hybrid", tree, scores, HybridOptions(hybrid_k=2)) == ("B1", "bottomup_best", False, ["A"])
    assert ran("hybrid", tree, scores)[3] == []


def test_hybrid_answers_the_common_ancestor_when_levels_lie_far_apart() -> None:
    tree = make_tree(FOUR_LEVELS)
    scores = row(tree, A=0.5, A1=0.45, A111=0.9)
    assert ran("topdown", tree, scores)[0] == "A"
    assert ran("bottomup", tree, scores)[0] == "A111"
    assert ran("hybrid", tree, scores) == ("A", "hybrid_disagreement", True, ["A", "A111"])
    assert ran("hybrid", tree, scores, HybridOptions(disagreement_threshold=4))[0] == "A111"


@given(cases(), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_hybrid_equals_its_definition(case: tuple, threshold: int) -> None:
    tree, scores, candidates, hits = case
    options = HybridOptions(disagreement_threshold=threshold)
    down = run_strategy("topdown", tree, scores, candidates, hits).nodes.tolist()
    up = run_strategy("bottomup", tree, scores, candidates, hits).nodes.tolist()
    both = run_strategy("hybrid", tree, scores, candidates, hits, options=options)
    for text, (a, b) in enumerate(zip(down, up, strict=True)):
        levels = [0 if i == ROOT else tree.nodes[i].level for i in (a, b)]
        if abs(levels[0] - levels[1]) >= threshold:
            expected = ROOT if ROOT in (a, b) else nearest_common(tree, [a, b])
            assert both.ambiguous[text]
        else:
            expected = max((a, b), key=lambda i: -np.inf if i == ROOT else scores[text, i])
        assert both.nodes[text] == expected


# ---------------------------------------------------------------------------------------------- registry


def test_the_registry_names_every_strategy_of_the_comparison() -> None:
    assert list(STRATEGIES) == [
        "veto_none", "veto_fixed", "veto_decaying", "veto_with_ambiguity", "veto_relative", "veto_low_spread",
        "flat", "topdown", "bottomup", "hybrid", "consensus",
    ]  # fmt: skip
    assert all(strategy.summary for strategy in STRATEGIES.values())


def test_an_unknown_strategy_is_refused_with_the_nearest_name() -> None:
    tree = make_tree(FOUR_LEVELS)
    with pytest.raises(Fault, match="did you mean 'topdown'") as caught:
        ran("top_down", tree, row(tree))
    assert caught.value.code == "invalid_input"


def test_options_of_another_strategy_are_refused() -> None:
    tree = make_tree(FOUR_LEVELS)
    with pytest.raises(Fault, match="TopdownOptions") as caught:
        ran("topdown", tree, row(tree), FlatOptions())
    assert caught.value.code == "invalid_input"


def test_arrays_that_do_not_fit_the_tree_are_refused() -> None:
    tree = make_tree(FOUR_LEVELS)
    with pytest.raises(Fault, match="do not fit together"):
        ran("flat", tree, np.zeros((1, 3), np.float32))


def test_options_are_values_that_cannot_change() -> None:
    for strategy in STRATEGIES.values():
        options = strategy.options()
        assert replace(options) == options
        with pytest.raises(AttributeError):
            setattr(options, next(iter(strategy.options.__dataclass_fields__)), 0)


@given(cases(), st.sampled_from(sorted(STRATEGIES)))
@settings(max_examples=100, deadline=None)
def test_every_strategy_answers_with_a_node_or_none_whatever_the_input(case: tuple, name: str) -> None:
    tree, scores, candidates, hits = case
    decisions = run_strategy(name, tree, scores, candidates, hits)
    assert decisions.nodes.dtype == decisions.alternatives.dtype == np.int32
    assert decisions.ambiguous.dtype == np.bool_
    assert decisions.reasons.dtype == object
    assert np.all((decisions.nodes >= ROOT) & (decisions.nodes < len(tree)))
    assert all(isinstance(reason, str) and reason for reason in decisions.reasons)
    for text in range(len(scores)):
        alone = run_strategy(name, tree, scores[[text]], candidates[[text]], (hits[0][[text]], hits[1][[text]]))
        assert answer(tree, alone, 0) == answer(tree, decisions, text)
