"""Routing by rules, stop by stop."""

from __future__ import annotations

import numpy as np
import pytest

from taxomind_assets.classification.rules import beam, candidate_subgraph, decision_points, route_by_rules, trace_rules
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from tests.assets.classification.routed_trees import FAMILY, answer, hits_of, make_tree, retrieval, routed, row, rules

# ---------------------------------------------------------------------------------------------- stops, one by one


def test_a_clear_path_ends_at_its_leaf() -> None:
    tree = make_tree(FAMILY)
    assert routed(tree, row(tree, A=0.6, A1=0.7, A11=0.8)) == ("A11", "leaf_node_reached", False, [])


def test_nearly_tied_children_stop_at_their_parent_with_three_alternatives() -> None:
    tree = make_tree(FAMILY)
    scores = row(tree, A=0.6, A1=0.70, A2=0.69, A3=0.5, A4=0.4)
    assert routed(tree, scores) == ("A", "sibling_ambiguity", True, ["A1", "A2", "A3"])


def test_a_stop_at_the_root_is_no_answer() -> None:
    tree = make_tree(FAMILY)
    assert routed(tree, row(tree, A=0.6, B=0.58, A1=0.9)) == (None, "sibling_ambiguity", True, ["A", "B"])


def test_unexamined_children_stop_ambiguously_without_alternatives() -> None:
    tree = make_tree(FAMILY)
    candidates = np.isin(tree.codes, ["A", "B"])[None]
    decisions = route_by_rules(tree, row(tree, A=0.6), candidates, np.full((1, 1), ROOT, np.int32), rules())
    assert answer(tree, decisions) == ("A", "no_candidate_children", True, [])


def test_no_candidates_at_all_is_no_answer() -> None:
    tree = make_tree(FAMILY)
    nothing = np.zeros((2, len(tree)), np.bool_)
    decisions = route_by_rules(tree, np.zeros((2, len(tree)), np.float32), nothing, np.full((2, 0), ROOT, np.int32), rules())
    assert [answer(tree, decisions, i) for i in range(2)] == [(None, "no_candidate_children", True, [])] * 2


def test_no_texts_give_no_decisions() -> None:
    tree = make_tree(FAMILY)
    hits = np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32)
    beams = beam(tree, hits, retrieval())
    decisions = route_by_rules(tree, np.zeros((0, len(tree)), np.float32), candidate_subgraph(tree, hits), beams, rules())
    assert len(decisions.nodes) == len(decisions.reasons) == 0


def test_max_depth_is_the_level_of_the_deepest_answer() -> None:
    tree = make_tree(FAMILY)
    scores = row(tree, A=0.6, A1=0.7, A11=0.8)
    assert routed(tree, scores, max_depth=2) == ("A1", "max_depth_reached (depth=2)", False, [])
    assert routed(tree, scores, max_depth=3) == ("A11", "leaf_node_reached", False, [])


def test_max_depth_counts_levels_where_the_taxonomy_skips_some() -> None:
    tree = make_tree({"A": None, "B": None, "A1": "A"}, {"A": 1, "B": 1, "A1": 3})
    assert routed(tree, row(tree, A=0.6, A1=0.9), max_depth=2)[:2] == ("A", "max_depth_reached (depth=2)")


def test_the_parent_veto_stops_at_a_parent_as_good_as_its_best_child() -> None:
    tree = make_tree(FAMILY)
    scores = row(tree, A=0.6, A1=0.62, A11=0.8)
    assert routed(tree, scores, enable_parent_veto=True) == ("A", "parent_competitive", True, ["A", "A1"])
    assert routed(tree, scores)[0] == "A11"


def test_a_chain_of_only_children_is_followed_while_they_hold_their_parents_score() -> None:
    tree = make_tree({"A": None, "A1": "A", "A11": "A1", "A111": "A11"})
    assert routed(tree, row(tree, A=0.5, A1=0.5, A11=0.49, A111=0.48)) == ("A111", "leaf_node_reached", False, [])
    assert routed(tree, row(tree, A=0.5, A1=0.5, A11=0.4, A111=0.9)) == ("A1", "only_child_weaker", True, ["A1", "A11"])


def test_an_only_top_node_is_entered_whatever_it_scores() -> None:
    tree = make_tree({"A": None})
    assert routed(tree, row(tree, A=-0.5)) == ("A", "leaf_node_reached", False, [])


def test_low_spread_and_falling_scores_stop_when_asked() -> None:
    tree = make_tree(FAMILY)
    flat = row(tree, A=0.6, A1=0.66, A2=0.60, A3=0.60, A4=0.60, A11=0.8)
    assert routed(tree, flat, stop_on_low_spread=0.1) == ("A", "low_spread", True, ["A1", "A2", "A3"])
    falling = row(tree, A=0.6, A1=0.5, A11=0.8)
    assert routed(tree, falling, stop_on_decrease=True) == ("A", "score_decrease", True, ["A", "A1"])
    assert routed(tree, flat)[0] == routed(tree, falling)[0] == "A11"


def test_a_wrong_depth_cannot_make_the_walk_endless() -> None:
    tree = make_tree({"A": None, "A1": "A", "A11": "A1", "A111": "A11"})
    tree.__dict__["depths"] = np.ones(len(tree), np.int32)
    assert tree.depth == 1
    code, reason, ambiguous, _ = routed(tree, np.ones((1, 4), np.float32))
    assert (code, reason, ambiguous) == ("A11", "max_iterations_exceeded", True)


# ---------------------------------------------------------------------------------------------- beams


def test_without_probabilities_the_better_final_score_wins() -> None:
    tree = make_tree(FAMILY)
    scores = row(tree, A=0.7, A1=0.5, A11=0.4, B=0.3, B1=0.4, B11=0.6)
    assert routed(tree, scores, start="B")[0] == "B11"
    assert routed(tree, scores)[0] == "A11"


def test_with_probabilities_an_earlier_stop_may_win_against_a_deep_one() -> None:
    tree = make_tree(FAMILY)
    scores = row(tree, A=0.7, A1=0.5, A2=0.5, B=0.3, B1=0.4, B11=0.9)
    masses = row(tree, A=0.6, B=0.3, B1=0.3, B11=0.3).astype(np.float64)
    beams = np.array([[tree.position["B"]]], np.int32)
    everything = np.ones(scores.shape, np.bool_)
    by_mass = route_by_rules(tree, scores, everything, beams, rules(), probabilities=masses)
    by_score = route_by_rules(tree, scores, everything, beams, rules())
    assert answer(tree, by_mass)[:2] == ("A", "sibling_ambiguity")
    assert answer(tree, by_score)[0] == "B11"


def test_the_best_top_node_is_followed_even_outside_the_beam() -> None:
    tree = make_tree(FAMILY)
    scores = row(tree, A=0.7, A1=0.8, A11=0.9, B=0.3, B1=0.31, B11=0.32)
    assert routed(tree, scores, start="B")[0] == "A11"


def test_beams_rank_by_the_three_best_hits_filled_up_with_the_lowest() -> None:
    tree = make_tree(FAMILY)
    hits = hits_of(tree, B1=0.9, A1=0.6, A2=0.6, A3=0.6, A4=0.1)
    ranked = {
        how: [tree.codes[i] for i in beam(tree, hits, retrieval(beam_rank=how))[0]] for how in ("top3", "mean", "sum", "max")
    }
    # top3: A = 0.6, B = (0.9 + 0.1 + 0.1) / 3
    assert ranked == {"top3": ["A", "B"], "mean": ["B", "A"], "sum": ["A", "B"], "max": ["B", "A"]}


def test_a_fourth_hit_does_not_lift_a_top_node() -> None:
    tree = make_tree(FAMILY)
    hits = hits_of(tree, A1=0.45, A2=0.45, A3=0.45, A4=0.45, B1=0.7)
    # A = 0.45, B = (0.7 + 0.45 + 0.45) / 3
    assert [tree.codes[i] for i in beam(tree, hits, retrieval(beam_rank="top3"))[0]] == ["B", "A"]


def test_without_beam_selection_all_top_nodes_are_followed() -> None:
    tree = make_tree(FAMILY)
    beams = beam(tree, hits_of(tree, B1=0.9), retrieval(enable_beam_selection=False, beam_count=1))
    assert [tree.codes[i] for i in beams[0]] == ["A", "B"]


# ---------------------------------------------------------------------------------------------- failure modes (TX-04)

OCCUPATIONS = {
    "1 Managers": None,
    "2 Professionals": None,
    "5 Service and sales": None,
    "9 Elementary": None,
    "11 Legislators": "1 Managers",
    "14 Hospitality": "1 Managers",
    "141 Restaurant managers": "14 Hospitality",
    "142 Shop managers": "14 Hospitality",
    "23 Education": "2 Professionals",
    "231 University": "23 Education",
    "232 Vocational": "23 Education",
    "233 Secondary": "23 Education",
    "251 Software developers": "2 Professionals",
    "2513 Web and mobile": "251 Software developers",
    "2514 Systems": "251 Software developers",
    "26 Law and economics": "2 Professionals",
    "261 Lawyers": "26 Law and economics",
    "262 Judges": "26 Law and economics",
    "263 Economists": "26 Law and economics",
    "522 Shop supervisors": "5 Service and sales",
    "531 Child care workers": "5 Service and sales",
    "515 Building caretakers": "5 Service and sales",
    "911 Cleaners": "9 Elementary",
}


def occupation_scores(tree: Taxonomy, **scores: float) -> np.ndarray:
    return row(tree, **{code: scores.get(f"_{code.split()[0]}", 0.2) for code in tree.codes})


def test_education_stops_at_education() -> None:
    tree = make_tree(OCCUPATIONS)
    scores = occupation_scores(tree, _2=0.6, _23=0.85, _231=0.62, _232=0.61, _233=0.60)
    assert routed(tree, scores)[:3] == ("23 Education", "sibling_ambiguity", True)


def test_a_mobile_developer_goes_below_software_developers() -> None:
    tree = make_tree(OCCUPATIONS)
    scores = occupation_scores(tree, _2=0.5, _251=0.6, _2513=0.7, _2514=0.45)
    assert routed(tree, scores)[:3] == ("2513 Web and mobile", "leaf_node_reached", False)


def test_evidence_outside_the_examined_sibling_sets_changes_no_answer_below_managers() -> None:
    tree = make_tree(OCCUPATIONS)
    scores = occupation_scores(tree, _1=0.6, _14=0.6, _142=0.7, _5=0.3)
    before = routed(tree, scores)
    scores[0, tree.position["522 Shop supervisors"]] += 0.3
    assert routed(tree, scores) == before == ("142 Shop managers", "leaf_node_reached", False, [])


def test_a_crowded_branch_does_not_win_by_mass() -> None:
    tree = make_tree(OCCUPATIONS)
    hits = hits_of(tree, **{"11 Legislators": 0.8, "261 Lawyers": 0.45, "262 Judges": 0.44, "263 Economists": 0.43})
    hits = (
        np.hstack([hits[0], [[tree.position["26 Law and economics"]]]]).astype(np.int32),
        np.hstack([hits[1], np.array([[0.2]], np.float32)]),
    )
    first = {how: tree.codes[beam(tree, hits, retrieval(beam_rank=how, beam_count=1))[0, 0]] for how in ("max", "mean", "sum")}
    assert first == {"max": "1 Managers", "mean": "1 Managers", "sum": "2 Professionals"}
    scores = occupation_scores(tree, _1=0.55, _11=0.8, _2=0.45, _26=0.45, _261=0.45, _262=0.3, _263=0.3)
    # Even where the crowded branch is the whole beam, the legislators are reached.
    assert routed(tree, scores, start="2 Professionals")[0] == "11 Legislators"


def test_building_caretakers_are_not_child_care_workers() -> None:
    tree = make_tree(OCCUPATIONS)
    scores = occupation_scores(tree, _5=0.5, _515=0.75, _531=0.55)
    assert routed(tree, scores)[0] == "515 Building caretakers"
    close = occupation_scores(tree, _5=0.5, _515=0.57, _531=0.55)
    assert routed(tree, close) == (
        "5 Service and sales",
        "sibling_ambiguity",
        True,
        ["515 Building caretakers", "531 Child care workers", "522 Shop supervisors"],
    )


# ---------------------------------------------------------------------------------------------- trace and table


def test_the_trace_tells_each_step() -> None:
    tree = make_tree(FAMILY)
    scores = row(tree, A=0.6, A1=0.75, A2=0.5, A11=0.75, A12=0.5, B=0.25, B1=0.25, B11=0.5)
    everything = np.ones(len(tree), np.bool_)
    beams = np.array([tree.position["B"], ROOT], np.int32)
    trace = trace_rules(
        tree, scores[0], everything, beams, rules(), notes=lambda node: {"view": f"label of {tree.codes[node]}"}
    )
    assert (trace["answer"], trace["stopping_reason"], trace["ambiguous"]) == ("A11", "leaf_node_reached", False)
    assert trace["root"]["scores"] == {"A": pytest.approx(0.6), "B": 0.25}
    assert trace["root"]["parent_score"] is None
    chosen, other = trace["starts"]
    assert (chosen["code"], chosen["final_code"], chosen["chosen"]) == ("A", "A11", True)
    assert (other["code"], other["final_code"], other["chosen"], other["score"]) == ("B", "B11", False, 0.5)
    first = chosen["steps"][0]
    assert first["best"] == {"code": "A1", "label": "Label A1", "score": 0.75, "view": "label of A1"}
    assert (first["gap"], first["children"], first["candidates"], first["decision"]) == (0.25, 4, 4, "descend")
    assert chosen["steps"][-1]["decision"] == "leaf_node_reached"
    only = other["steps"][0]
    assert (only["best"]["code"], only["second"], only["gap"]) == ("B1", None, None)


def test_decision_points_hold_the_features_of_every_step() -> None:
    tree = make_tree(FAMILY)
    scores = np.vstack([row(tree, A=0.5, A1=0.75, A11=1.0), row(tree, A=0.5, B=0.5)])
    table = decision_points(tree, scores, np.ones(scores.shape, np.bool_), np.full((2, 1), ROOT, np.int32), rules())
    assert len({len(column) for column in table.values()}) == 1
    rows = sorted(zip(table["text"].tolist(), table["level"].tolist(), table["decision"].tolist(), strict=True))
    assert rows == [
        (0, 0, "descend"),
        (0, 1, "descend"),
        (0, 2, "descend"),
        (0, 3, "leaf_node_reached"),
        (1, 0, "sibling_ambiguity"),
    ]
    at = int(np.flatnonzero((table["text"] == 0) & (table["level"] == 1))[0])
    features = {name: table[name][at] for name in ("children", "parent_score", "top1", "top2", "gap", "parent_gap", "spread")}
    assert features == {
        "children": 4, "parent_score": 0.5, "top1": 0.75, "top2": 0.0, "gap": 0.75, "parent_gap": 0.25, "spread": 0.75
    }  # fmt: skip


@pytest.mark.timeout(60)  # a loop over texts and nodes would take minutes
def test_ten_thousand_texts_are_routed_at_once() -> None:
    parents: dict[str, str | None] = {f"1.{i}": None for i in range(10)}
    for level, (above, count) in enumerate([(10, 43), (43, 130), (130, 436)], 2):
        parents |= {f"{level}.{i}": f"{level - 1}.{i % above}" for i in range(count)}
    tree = make_tree(parents)
    assert len(tree) == 619
    rng = np.random.default_rng(7)
    scores = rng.random((10_000, 619), np.float32)
    hits = rng.integers(0, 619, (10_000, 20)).astype(np.int32), rng.random((10_000, 20), np.float32)
    candidates, beams = candidate_subgraph(tree, hits), beam(tree, hits, retrieval())
    decisions = route_by_rules(tree, scores, candidates, beams, rules(min_descent_gap=0.0))
    assert len(decisions.nodes) == 10_000
