"""One row per text: outcome, gold code among several, rank, divergence."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from taxomind_assets.reports.judging import judge
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

Maker = Callable[..., pa.Table]


def test_outcomes(judged: Maker) -> None:
    errors = judged(["aaa", "aaa", "aa", "aaa", "aaa", "aaa"], ["aaa", "aa", "aaa", "ba", None, ""])
    assert errors.schema.equals(BY_NAME["reports.errors"].arrow)
    assert errors["outcome"].to_pylist() == ["right", "under", "over", "wrong_branch", "abstained", "abstained"]
    assert errors["shared_depth"].to_pylist() == [3, 2, 2, 0, 0, 0]
    assert errors["path"].to_pylist()[1] == ["a", "aa"]
    assert errors["code"].to_pylist()[5] is None
    assert errors["path"].to_pylist()[5] == []


def test_equal_labels_are_different_nodes(judged: Maker) -> None:
    assert judged(["ab"], ["ba"])["outcome"].to_pylist() == ["wrong_branch"]


def test_of_several_known_codes_the_nearest_counts(judged: Maker) -> None:
    golds = [["ba", "aab"], ["ba", "aab"], ["aab", "a"], ["aaa", "aab"], ["aab", "aa"], ["aab", "ba"]]
    errors = judged(golds, ["aaa", None, "b", "ab", "aa", None])
    # Longest shared path, then the shortest path, then the first; without an answer the first.
    assert errors["target_code"].to_pylist() == ["aab", "ba", "a", "aaa", "aa", "aab"]
    assert errors["target_codes"].to_pylist() == golds


def test_leaf_is_right_when_it_is_any_known_code(judged: Maker) -> None:
    errors = judged([["ba", "aab"], "aaa", "aaa"], ["ba", "aa", None], top_codes=[["aab", "ba"], ["aab", "aaa"], []])
    assert errors["leaf_right"].to_pylist() == [True, False, False]
    assert errors["leaf_code"].to_pylist() == ["aab", "aab", None]
    assert errors["rank"].to_pylist() == [2, 2, None]


def test_divergence_names_the_fork(judged: Maker) -> None:
    errors = judged(["aaa", "aaa", "aaa", "aaa"], ["aab", "ab", "b", "aa"])
    assert errors["divergence_level"].to_pylist() == [3, 2, 1, None]
    assert errors["divergence_parent"].to_pylist() == ["aa", "a", None, None]
    assert errors["chosen_child"].to_pylist() == ["aab", "ab", "b", None]
    assert errors["correct_child"].to_pylist() == ["aaa", "aa", "a", None]


def test_a_target_without_result_has_no_answer(tree: Taxonomy, targets: Maker, results: Maker) -> None:
    errors = judge(tree, targets(["aaa", "ab"]), results(["aaa"]))
    assert errors["outcome"].to_pylist() == ["right", "abstained"]
    assert errors["confidence"].to_pylist() == [0.0, 0.0]
    extra = judge(tree, targets(["aaa"]), results(["aaa", "ab"]))
    assert len(extra) == 1, "a result without target is left out"


def test_results_may_come_in_any_order(tree: Taxonomy, targets: Maker, results: Maker) -> None:
    forward = results(["aaa", "ab", None], confidence=[0.9, 0.5, 0.0])
    backward = forward.take(pa.array([2, 0, 1]))
    assert judge(tree, targets(["aaa", "ab", "ba"]), backward).equals(judge(tree, targets(["aaa", "ab", "ba"]), forward))


def test_verbatim_texts_are_marked(tree: Taxonomy, targets: Maker, results: Maker) -> None:
    texts = ["POODLE", "dogs", "felines", "blooded beasts", "beasts", "warm blooded", "Poodles"]
    golds = ["b", "ba", "aaa", "aa", "aa", "b", "aaa"]
    errors = judge(tree, targets(golds, text=texts), results([None] * 7))
    # Equal to any label, alias or example; or two words inside the definition of a known node.
    assert errors["verbatim"].to_pylist() == [True, True, True, True, False, False, False]


@pytest.mark.parametrize("where", ["targets", "results"])
def test_repeated_ids_are_a_fault(tree: Taxonomy, targets: Maker, results: Maker, where: str) -> None:
    twice = {"text_id": ["t00000", "t00000"]}
    given = targets(["aaa", "aaa"], **(twice if where == "targets" else {}))
    answers = results(["aaa", "aaa"], **(twice if where == "results" else {}))
    with pytest.raises(Fault, match="more than once") as caught:
        judge(tree, given, answers)
    assert caught.value.code == "invalid_input"


def test_unknown_codes_are_a_fault_that_names_one(tree: Taxonomy, targets: Maker, results: Maker) -> None:
    with pytest.raises(Fault, match="zzz"):
        judge(tree, targets(["aaa"]), results(["zzz"]))
    with pytest.raises(Fault, match="old"):
        judge(tree, targets(["old"]), results(["aaa"]))
    with pytest.raises(Fault, match="no known code"):
        judge(tree, targets([[]]), results(["aaa"]))


def test_missing_columns_are_a_fault(tree: Taxonomy, targets: Maker, results: Maker) -> None:
    with pytest.raises(Fault) as caught:
        judge(tree, targets(["aaa"]), results(["aaa"]).drop_columns(["code"]))
    assert caught.value.code == "missing_column"


def test_nothing_to_judge_gives_an_empty_table(judged: Maker) -> None:
    errors = judged([], [])
    assert len(errors) == 0
    assert errors.schema.equals(BY_NAME["reports.errors"].arrow)


def test_a_level_is_the_nodes_own_level() -> None:
    nodes = [Node(code, parent, level, (NodeText("", code),)) for code, parent, level in
             [("1", None, 1), ("12", "1", 3), ("13", "1", 3), ("2", None, 1)]]  # fmt: skip
    tree = Taxonomy.build("gaps", nodes)
    targets = pa.table({"text_id": ["t"], "text": ["x"], "codes": [["12"]]})
    errors = judge(tree, targets, pa.table({"text_id": ["t"], "code": ["13"]}))
    assert errors["divergence_level"].to_pylist() == [3]


def test_siblings_come_from_the_chosen_path_and_the_alternatives(judged: Maker) -> None:
    type_ = BY_NAME["classification.results"].arrow.field("alternatives").type
    alternatives = pa.array(
        [
            [
                {"code": "aaa", "label": "Dogs", "confidence": 0.30},  # below aa, the right child
                {"code": "ba", "label": "Other", "confidence": 0.25},  # another branch than the fork's
                {"code": "a", "label": "Animals", "confidence": 0.90},  # above the fork
                {"code": "aab", "label": "Cats", "confidence": 0.20},
            ]
        ],
        type_,
    )
    errors = judged(["aaa"], ["ab"], level_confidences=[[0.9, 0.55]], confidence=[0.55], alternatives=alternatives)
    siblings = errors["siblings"].to_pylist()[0]
    assert [(item["code"], round(item["confidence"], 3)) for item in siblings] == [("ab", 0.55), ("aa", 0.3)]
    assert siblings[1]["label"] == "Mammals"
