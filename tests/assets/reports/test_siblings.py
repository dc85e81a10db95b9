from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from taxomind_assets.reports.siblings import fill_siblings
from taxomind_assets.taxonomy.tree import Taxonomy, subtree_sums

Maker = Callable[..., pa.Table]


def test_fill_siblings_writes_the_most_probable_children_of_the_fork(tree: Taxonomy, judged: Maker) -> None:
    errors = judged(["aaa", "aaa", "aaa", "ba"], ["ab", "aaa", "b", "a"], confidence=[0.5, 0.9, 0.4, 0.3])
    own = np.zeros((2, len(tree)))
    own[:, [tree.position[code] for code in ("aaa", "aab", "ab", "ba")]] = [[0.2, 0.1, 0.3, 0.4], [0.1, 0.1, 0.1, 0.7]]
    filled = fill_siblings(tree, errors, pa.array(["t00002", "t00000"]), subtree_sums(tree, own[::-1]))
    found = [[(item["code"], round(item["confidence"], 3)) for item in row] for row in filled["siblings"].to_pylist()]
    assert found[0] == [("aa", 0.3), ("ab", 0.3)], "ties by preorder"
    assert found[1] == [], "a right answer has no fork"
    assert found[2] == [("b", 0.7), ("a", 0.3)]
    assert filled["siblings"][3] == errors["siblings"][3], "texts not named keep theirs"
    assert filled.schema.equals(errors.schema)


def test_at_most_three_siblings_are_kept() -> None:
    from taxomind_assets.reports.judging import judge
    from taxomind_assets.taxonomy.tree import Node, NodeText

    tree = Taxonomy.build("flat", [Node(str(i), None, 1, (NodeText("", str(i)),)) for i in range(6)])
    targets = pa.table({"text_id": ["t"], "text": ["x"], "codes": [["0"]]})
    errors = judge(tree, targets, pa.table({"text_id": ["t"], "code": ["5"]}))
    filled = fill_siblings(tree, errors, pa.array(["t"]), np.array([[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]]))
    assert [item["code"] for item in filled["siblings"].to_pylist()[0]] == ["5", "4", "3"]
