"""Taxonomies of a few nodes, of one language and of several."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.index import NodeIndex

Classifiers = Callable[..., Classifier]
Indexes = Callable[[Taxonomy], NodeIndex]


def _tree(*nodes: tuple[str, str | None, NodeText], levels: dict[str, int] | None = None) -> Taxonomy:
    depth: dict[str | None, int] = {None: 0}
    made = []
    for code, parent, text in nodes:
        depth[code] = depth[parent] + 1
        made.append(Node(code, parent, (levels or {}).get(code, depth[code]), (text,)))
    return Taxonomy.build("small", made)


class TestSmallTaxonomies:
    @pytest.mark.parametrize("stop_rule", ["mass", "gate", "rules", "never"])
    @pytest.mark.parametrize(
        "tree",
        [
            _tree(("1", None, NodeText("en", "Cooks"))),
            _tree(
                ("1", None, NodeText("en", "Cooks")),
                ("11", "1", NodeText("en", "Pizza cooks")),
                ("111", "11", NodeText("", "Chefs")),
            ),
            _tree(*((c, None, NodeText("en", label)) for c, label in (("a", "Cooks"), ("b", "Lawyers"), ("c", "Farmers")))),
            _tree(
                ("1", None, NodeText("de", "Köchinnen und Köche")),
                ("11", "1", NodeText("de", "Pizzabäcker")),
                ("2", None, NodeText("de", "Rechtsanwälte")),
            ),
            _tree(
                ("1", None, NodeText("en", "🍕")),
                ("2", None, NodeText("en", "!")),
                ("3", None, NodeText("en", "Cooks", "", ("cook",))),
            ),
        ],
        ids=["one node", "chain", "flat", "untrusted", "symbols"],
    )
    def test_any_shape_is_classified(
        self, index_of: Indexes, classifier_of: Classifiers, tree: Taxonomy, stop_rule: str
    ) -> None:
        classifier = classifier_of(index_of(tree), routing={"stop_rule": stop_rule})
        for row in classifier.classify(["pizza cook", "Koch", "asdf", "🍕", ""]).to_pylist():
            assert row["code"] is None or row["code"] in tree.codes
            assert np.isfinite([row["confidence"], row["leaf_confidence"], *row["level_confidences"]]).all()
            if row["text"] and stop_rule == "never":
                assert tree.is_leaf[tree.position[row["code"]]]

    def test_the_only_node_gets_every_text_that_is_not_empty(self, index_of: Indexes, classifier_of: Classifiers) -> None:
        classifier = classifier_of(index_of(_tree(("1", None, NodeText("en", "Cooks")))))
        assert classifier.classify(["pizza cook", "tax law", ""])["code"].to_pylist() == ["1", "1", None]

    def test_a_chain_of_only_children_is_followed_to_its_end(self, index_of: Indexes, classifier_of: Classifiers) -> None:
        tree = _tree(
            ("1", None, NodeText("en", "Cooks")),
            ("11", "1", NodeText("en", "Fast food cooks")),
            ("2", None, NodeText("en", "Lawyers")),
        )
        assert classifier_of(index_of(tree)).classify(["fast food cook"])["path"].to_pylist() == [["1", "11"]]

    def test_levels_are_the_nodes_own_where_some_are_skipped(self, index_of: Indexes, classifier_of: Classifiers) -> None:
        tree = _tree(
            ("1", None, NodeText("en", "Cooks")),
            ("1a", "1", NodeText("en", "Pizza cooks")),
            ("2", None, NodeText("en", "Lawyers")),
            levels={"1": 2, "1a": 5},
        )
        classifier = classifier_of(index_of(tree), routing={"stop_rule": "never"})
        assert classifier.classify(["pizza cook", "lawyer"])["level"].to_pylist() == [5, 1]
        limited = classifier_of(index_of(tree), routing={"max_depth": 1}).classify(["pizza cook"]).to_pylist()[0]
        assert (limited["code"], limited["level"], limited["stop_reason"]) == (None, 0, "max_depth_reached")

    def test_a_flat_taxonomy_of_notes_is_classified(self, notes: NodeIndex, classifier_of: Classifiers) -> None:
        found = classifier_of(notes).classify(["update the router firmware", "asdf"])["code"].to_pylist()
        assert found[0] == "tech"

    def test_nodes_without_a_label_in_a_trusted_language_keep_their_own(
        self, index_of: Indexes, classifier_of: Classifiers
    ) -> None:
        tree = Taxonomy.build(
            "mixed",
            [
                Node(
                    "1",
                    None,
                    1,
                    (NodeText("en", "Pizza cooks", "", ("pizza baker",)), NodeText("de", "Pizzabäckerinnen und Pizzabäcker")),
                ),
                Node("2", None, 1, (NodeText("de", "Rechtsanwältinnen und Rechtsanwälte"),)),
                Node("3", None, 1, (NodeText("en", "Farm workers"), NodeText("de", "Landwirtschaftliche Hilfskräfte"))),
            ],
        )
        index = index_of(tree)
        assert index.trusted_languages == {"en"}
        assert {text.language for text in index.texts if text.code == "2"} == {"de"}
        found = classifier_of(index, routing={"stop_rule": "never"}).classify(["pizza cook", "Rechtsanwältin", "farm worker"])
        assert found["code"].to_pylist() == ["1", "2", "3"]
