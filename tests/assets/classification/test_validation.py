from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.classification.decisions import Decisions
from taxomind_assets.classification.rules import beam, candidate_subgraph, route_by_rules
from taxomind_assets.classification.validation import RETRY_FACTOR, Status, insufficient, route_validated, validate
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_resources.settings import RetrievalSettings, RoutingSettings
from tests.assets.classification.routed_trees import Hits, make_tree

TREE = {
    "1 Managers": None,
    "5 Sales": None,
    "9 Elementary": None,
    "14 Hospitality": "1 Managers",
    "12 Administrative": "1 Managers",
    "141 Hotel managers": "14 Hospitality",
    "142 Restaurant managers": "14 Hospitality",
    "121 Finance managers": "12 Administrative",
    "52 Sales workers": "5 Sales",
    "522 Shop supervisors": "52 Sales workers",
    "523 Cashiers": "52 Sales workers",
    "91 Cleaners": "9 Elementary",
    "911 Domestic cleaners": "91 Cleaners",
}


def node(tree: Taxonomy, short: str) -> int:
    return next(i for i, code in enumerate(tree.codes) if code.split()[0] == short)


def row(tree: Taxonomy, **scores: float) -> np.ndarray:
    """Scores of one text by short code (`_14`); 0.2 elsewhere."""
    values = np.full((1, len(tree)), 0.2, np.float32)
    for short, score in scores.items():
        values[0, node(tree, short[1:])] = score
    return values


def hits_of(tree: Taxonomy, *shorts: str) -> Hits:
    nodes = np.array([[node(tree, short) for short in shorts]], np.int32).reshape(1, len(shorts))
    return nodes, np.linspace(0.9, 0.5, len(shorts), dtype=np.float32).reshape(1, len(shorts))


def job(tree: Taxonomy, scores: np.ndarray, hits: Hits, retrieve_more: Any = None, **values: Any) -> Decisions:
    """The complete stop rule with default settings, except `values`."""
    retrieval, routing = RetrievalSettings.model_validate({}), RoutingSettings.model_validate(values)
    return route_validated(tree, scores, hits, retrieval, routing, retrieve_more=retrieve_more)


def told(tree: Taxonomy, decisions: Decisions) -> tuple[str | None, str, bool, str]:
    """(short code, reason, ambiguous, status) of the first text."""
    code = None if decisions.nodes[0] == ROOT else tree.codes[decisions.nodes[0]].split()[0]
    assert decisions.details is not None
    return code, decisions.reasons[0], bool(decisions.ambiguous[0]), decisions.details[0]["validation_status"]


def decided(nodes: list[int], width: int = 3) -> Decisions:
    count = len(nodes)
    alternatives = np.full((count, width), ROOT, np.int32)
    return Decisions(np.array(nodes, np.int32), np.full(count, "x", object), np.zeros(count, np.bool_), alternatives)


def checked(tree: Taxonomy, scores: np.ndarray, candidates: np.ndarray, decisions: Decisions, **changed: Any) -> Decisions:
    arguments = {"threshold": 0.05, "stability_margin": None, "deepen_margin": None, "max_level": None, **changed}
    return validate(tree=tree, scores=scores, candidates=candidates, decisions=decisions, **arguments)


# ---------------------------------------------------------------------------------------------- every status


def test_an_answer_that_holds_the_best_leaf_is_consistent() -> None:
    tree = make_tree(TREE)
    scores = row(tree, _1=0.6, _14=0.65, _141=0.8)
    decisions = job(tree, scores, hits_of(tree, "141"))
    assert told(tree, decisions) == ("141", "leaf_node_reached", False, "CONSISTENT")
    assert decisions.details == [
        {
            "validation_status": "CONSISTENT",
            "validation_override_code": None,
            "validation_margin": 0.0,
            "validation_stability_gap": float(np.float32(0.8)) - float(np.float32(0.2)),
        }
    ]


def test_the_shop_manager_leaves_hospitality_for_the_shop_supervisors() -> None:
    tree = make_tree(TREE)
    scores = row(tree, _1=0.7, _14=0.6, _142=0.55, _5=0.4, _52=0.5, _522=0.8)
    hits = hits_of(tree, "522", "142")
    # The beam is one top node, so that nothing but validation can leave it.
    routed = route_validated(
        tree,
        scores,
        hits,
        RetrievalSettings.model_validate({"beam_count": 1, "beam_rank": "mean"}),
        RoutingSettings.model_validate({}),
        probabilities=row(tree, _1=0.5, _14=0.5, _142=0.5).astype(np.float64),
    )
    assert told(tree, routed) == ("522", "leaf_node_reached|validation_override", False, "OVERRIDE")
    assert routed.details is not None
    assert routed.details[0]["validation_override_code"] == "522 Shop supervisors"
    assert abs(routed.details[0]["validation_margin"] - 0.25) < 1e-6
    assert tree.codes[routed.alternatives[0, 0]] == "142 Restaurant managers"


def test_a_small_lead_elsewhere_is_a_conflict_that_names_the_other_leaf() -> None:
    tree = make_tree(TREE)
    scores = row(tree, _1=0.7, _14=0.6, _142=0.78, _5=0.4, _52=0.5, _522=0.8)
    masses = row(tree, _1=0.9, _14=0.9, _142=0.9).astype(np.float64)
    decisions = route_validated(
        tree, scores, hits_of(tree, "522", "142"), RetrievalSettings.model_validate({}), RoutingSettings.model_validate({}),
        probabilities=masses,
    )  # fmt: skip
    assert told(tree, decisions) == ("142", "leaf_node_reached", True, "CONFLICT")
    assert decisions.details is not None
    assert decisions.details[0]["validation_override_code"] is None
    assert tree.codes[decisions.alternatives[0, 0]] == "522 Shop supervisors"


def test_an_unstable_leaf_does_not_override() -> None:
    tree = make_tree(TREE)
    scores = row(tree, _142=0.5, _522=0.8, _523=0.78)
    everything = np.ones(scores.shape, np.bool_)
    routed = decided([node(tree, "142")])
    assert told(tree, checked(tree, scores, everything, routed))[3] == "OVERRIDE"
    assert told(tree, checked(tree, scores, everything, routed, stability_margin=0.01))[3] == "OVERRIDE"
    assert told(tree, checked(tree, scores, everything, routed, stability_margin=0.1))[3] == "CONFLICT"


def test_without_examined_leaves_there_is_nothing_to_validate_with() -> None:
    tree = make_tree(TREE)
    decisions = job(tree, row(tree, _1=0.6), hits_of(tree, "1"))
    assert told(tree, decisions) == ("1", "sibling_ambiguity", True, "INSUFFICIENT_NO_LEAVES")
    assert decisions.details is not None
    assert decisions.details[0]["validation_margin"] is decisions.details[0]["validation_stability_gap"] is None
    assert insufficient(decisions).tolist() == [True]


def test_no_answer_is_consistent_with_any_leaf() -> None:
    tree = make_tree(TREE)
    decisions = job(tree, row(tree, _1=0.5, _5=0.5, _522=0.9), hits_of(tree, "522"))
    assert told(tree, decisions) == (None, "sibling_ambiguity", True, "CONSISTENT")


def test_an_unexamined_branch_is_insufficient() -> None:
    tree = make_tree(TREE)
    decisions = job(tree, row(tree, _9=0.9, _522=0.3), hits_of(tree, "522"))
    assert told(tree, decisions) == ("9", "no_candidate_children", True, "INSUFFICIENT_NO_SUB_LEAVES")


def test_an_answer_outside_the_candidates_is_insufficient() -> None:
    tree = make_tree(TREE)
    candidates = candidate_subgraph(tree, hits_of(tree, "522"))
    decisions = checked(tree, row(tree, _522=0.5), candidates, decided([node(tree, "141")]))
    assert told(tree, decisions)[2:] == (True, "INSUFFICIENT_NO_SUBTREE")


def test_a_clearly_better_leaf_below_is_taken_when_asked() -> None:
    tree = make_tree(TREE)
    scores = row(tree, _1=0.6, _14=0.5, _12=0.48, _141=0.75)
    hits = hits_of(tree, "141")
    assert told(tree, job(tree, scores, hits)) == ("1", "sibling_ambiguity", True, "CONSISTENT")
    deeper = job(tree, scores, hits, validation_deepen=True)
    assert told(tree, deeper) == ("141", "sibling_ambiguity|validation_deeper", True, "DEEPER")
    assert [tree.codes[i].split()[0] for i in deeper.alternatives[0].tolist()] == ["1", "14", "12"]
    assert told(tree, job(tree, scores, hits, validation_deepen=True, validation_deepen_margin=0.2))[0] == "1"


# ---------------------------------------------------------------------------------------------- what takes part


def test_an_unexpanded_top_node_causes_no_conflict() -> None:
    tree = make_tree(TREE)
    # "9 Elementary" is a candidate, its children are not: it is no leaf, however well it scores.
    scores = row(tree, _1=0.6, _14=0.65, _141=0.7, _9=0.9)
    candidates = candidate_subgraph(tree, hits_of(tree, "141"))
    assert told(tree, checked(tree, scores, candidates, decided([node(tree, "141")])))[2:] == (False, "CONSISTENT")


def test_a_leaf_whose_siblings_were_not_examined_takes_no_part() -> None:
    tree = make_tree(TREE)
    scores = row(tree, _141=0.5, _522=0.9)
    candidates = np.ones(scores.shape, np.bool_)
    routed = decided([node(tree, "141")])
    assert told(tree, checked(tree, scores, candidates, routed))[3] == "OVERRIDE"
    candidates[0, node(tree, "523")] = False
    assert told(tree, checked(tree, scores, candidates, routed))[3] == "CONSISTENT"


def test_an_override_never_goes_below_max_depth() -> None:
    tree = make_tree(TREE)
    scores = row(tree, _1=0.7, _14=0.5, _12=0.3, _52=0.65, _522=0.95)
    decisions = checked(tree, scores, np.ones(scores.shape, np.bool_), decided([node(tree, "14")]), max_level=2)
    assert told(tree, decisions) == ("52", "x|validation_override", False, "OVERRIDE")


def test_validation_keeps_the_routed_decisions_and_their_details() -> None:
    tree = make_tree(TREE)
    scores = row(tree, _142=0.5, _522=0.8)
    routed = decided([node(tree, "142")])
    routed = Decisions(routed.nodes, routed.reasons, routed.ambiguous, routed.alternatives, [{"seen": 1}])
    after = checked(tree, scores, np.ones(scores.shape, np.bool_), routed)
    assert routed.nodes.tolist() == [node(tree, "142")]
    assert routed.reasons.tolist() == ["x"]
    assert after.details is not None
    assert after.details[0]["seen"] == 1


# ---------------------------------------------------------------------------------------------- second try


def test_missing_support_is_retrieved_once_more() -> None:
    tree = make_tree(TREE)
    scores = np.vstack([row(tree, _9=0.9, _91=0.92, _911=0.95, _522=0.3), row(tree, _1=0.6, _14=0.65, _141=0.8)])
    first = np.vstack([hits_of(tree, "522")[0], hits_of(tree, "141")[0]]), np.full((2, 1), 0.9, np.float32)
    asked: list[list[int]] = []

    def retrieve_more(rows: np.ndarray) -> Hits:
        asked.append(rows.tolist())
        return hits_of(tree, "522", "911", "91")

    alone = job(tree, scores, first)
    both = job(tree, scores, first, retrieve_more)
    assert asked == [[0]]
    assert RETRY_FACTOR == 3
    assert told(tree, alone) == ("9", "no_candidate_children", True, "INSUFFICIENT_NO_SUB_LEAVES")
    assert told(tree, both) == ("911", "leaf_node_reached", False, "CONSISTENT")
    assert both.nodes[1] == alone.nodes[1] == node(tree, "141")


def test_a_second_try_happens_only_once() -> None:
    tree = make_tree(TREE)
    calls: list[int] = []

    def retrieve_more(rows: np.ndarray) -> Hits:
        calls.append(len(rows))
        return hits_of(tree, "1")

    decisions = job(tree, row(tree, _1=0.6), hits_of(tree, "1"), retrieve_more)
    assert calls == [1]
    assert told(tree, decisions)[3] == "INSUFFICIENT_NO_LEAVES"


# ---------------------------------------------------------------------------------------------- naive reference


def naive_status(
    tree: Taxonomy, scores: list[float], candidates: set[int], answer: int, options: dict[str, Any]
) -> tuple[Status, int, float | None, float | None]:
    """(status, answer, margin, stability gap), from the conditions in their order."""
    limit = options["max_level"] or 10**9

    def children(parent: int) -> list[int]:
        return [child for child in tree.children_of(parent).tolist() if tree.nodes[child].level <= limit]

    leaves = [
        i
        for i in sorted(candidates)
        if tree.nodes[i].level <= limit
        and not children(i)
        and all(sibling in candidates for sibling in tree.children_of(int(tree.parents[i])).tolist())
    ]
    ranked = sorted(leaves, key=lambda i: (-scores[i], i))
    stability = scores[ranked[0]] - scores[ranked[1]] if len(ranked) > 1 else None
    below = [i for i in ranked if answer == ROOT or answer in tree.paths[i].tolist()]
    if not ranked:
        return Status.INSUFFICIENT_NO_LEAVES, answer, None, None
    margin = scores[ranked[0]] - scores[below[0]] if below and answer != ROOT else None
    if answer == ROOT:
        return Status.CONSISTENT, answer, margin, stability
    if answer not in candidates:
        return Status.INSUFFICIENT_NO_SUBTREE, answer, margin, stability
    if not below:
        return Status.INSUFFICIENT_NO_SUB_LEAVES, answer, margin, stability
    if scores[below[0]] == scores[ranked[0]]:
        deepen = options["deepen_margin"]
        if deepen is not None and below[0] != answer and scores[below[0]] >= scores[answer] + deepen:
            return Status.DEEPER, below[0], margin, stability
        return Status.CONSISTENT, answer, margin, stability
    stable = options["stability_margin"] is None or (stability is not None and stability >= options["stability_margin"])
    if margin is not None and margin >= options["threshold"] and stable:
        return Status.OVERRIDE, ranked[0], margin, stability
    return Status.CONFLICT, answer, margin, stability


@st.composite
def cases(draw: st.DrawFn) -> tuple[Taxonomy, np.ndarray, np.ndarray, list[int]]:
    size, texts = draw(st.integers(1, 14)), draw(st.integers(1, 4))
    parents: dict[str, str | None] = {}
    for i in range(size):
        parent = draw(st.integers(-1, i - 1))
        parents[f"n{i}"] = None if parent < 0 else f"n{parent}"
    tree = make_tree(parents)
    numbers = draw(st.lists(st.integers(0, 16), min_size=size * texts, max_size=size * texts))
    scores = (np.array(numbers, np.float32) / np.float32(16)).reshape(texts, size)
    if draw(st.booleans()):
        hits = np.array(draw(st.lists(st.integers(-1, size - 1), min_size=texts, max_size=texts)), np.int32)[:, None]
        candidates = candidate_subgraph(tree, (hits, np.ones(hits.shape, np.float32)))
    else:
        flags = draw(st.lists(st.sampled_from([True, True, True, False]), min_size=size * texts, max_size=size * texts))
        candidates = np.array(flags, np.bool_).reshape(texts, size)
    return tree, scores, candidates, draw(st.lists(st.integers(-1, size - 1), min_size=texts, max_size=texts))


@given(
    cases(),
    st.fixed_dictionaries(
        {
            "threshold": st.sampled_from([0.0, 0.0625, 0.25]),
            "stability_margin": st.sampled_from([None, 0.0625, 0.25]),
            "deepen_margin": st.sampled_from([None, 0.0, 0.125]),
            "max_level": st.sampled_from([None, None, 1, 2]),
        }
    ),
)
@settings(max_examples=400, deadline=None)
def test_validation_equals_its_conditions_written_out(
    case: tuple[Taxonomy, np.ndarray, np.ndarray, list[int]], options: dict[str, Any]
) -> None:
    tree, scores, candidates, answers = case
    decisions = checked(tree, scores, candidates, decided(answers), **options)
    assert decisions.details is not None
    for text, answer in enumerate(answers):
        within = set(np.flatnonzero(candidates[text]).tolist())
        status, expected, margin, stability = naive_status(tree, scores[text].tolist(), within, answer, options)
        moved = expected != answer
        assert decisions.nodes[text] == expected
        assert decisions.ambiguous[text] == (status == Status.CONFLICT or status.startswith("INSUFFICIENT"))
        assert decisions.details[text] == {
            "validation_status": status.value,
            "validation_override_code": tree.codes[expected] if moved else None,
            "validation_margin": margin,
            "validation_stability_gap": stability,
        }
        assert decisions.reasons[text] == {Status.OVERRIDE: "x|validation_override", Status.DEEPER: "x|validation_deeper"}.get(
            status, "x"
        )


@given(cases())
@settings(max_examples=60, deadline=None)
def test_the_whole_rule_equals_its_parts(case: tuple[Taxonomy, np.ndarray, np.ndarray, list[int]]) -> None:
    tree, scores, _, answers = case
    hits = np.array(answers, np.int32)[:, None], np.where(np.array(answers) < 0, -np.inf, 0.5).astype(np.float32)[:, None]
    retrieval, routing = RetrievalSettings.model_validate({}), RoutingSettings.model_validate({})
    candidates = candidate_subgraph(tree, hits)
    routed = route_by_rules(tree, scores, candidates, beam(tree, hits, retrieval), routing)
    by_hand = checked(tree, scores, candidates, routed)
    whole = route_validated(tree, scores, hits, retrieval, routing)
    assert whole.nodes.tolist() == by_hand.nodes.tolist()
    assert whole.details == by_hand.details
