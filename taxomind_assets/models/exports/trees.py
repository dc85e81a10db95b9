"""Boosted trees as an ONNX graph (`TreeEnsembleRegressor`), one target per class.

It takes `present`, float32 [b, f], NaN where a text lacks a column: the library sends such rows down a side of their own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from taxomind_resources.faults import Fault

OPSET: Final = 17
_ML_OPSET: Final = 3
_IR: Final = 8
#: Nodes above which the file would hold more than its readers take.
_MOST_NODES: Final = 20_000_000


def write_trees(booster: Any, path: Path, *, rounds: int, classes: int) -> None:
    """The first rounds of a booster of xgboost as a graph that gives its margins.

    Raises:
        Fault: `export_impossible` when there are too many nodes, or trees with categories, which texts never make.
    """
    from onnx import TensorProto, helper, save

    learner = json.loads(booster.save_raw("json"))["learner"]
    model = learner["gradient_booster"]["model"]
    trees = model["trees"][: rounds * classes]
    size = sum(len(tree["left_children"]) for tree in trees)
    if size > _MOST_NODES or any(tree["categories"] for tree in trees):
        raise Fault("export_impossible", "The trees cannot be written as ONNX.", value=f"{size:,} nodes")
    attributes = _attributes(trees, model["tree_info"])
    base = np.broadcast_to(np.asarray(json.loads(learner["learner_model_param"]["base_score"]), np.float64), (classes,))
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["present"],
        ["logits"],
        "trees",
        domain="ai.onnx.ml",
        n_targets=classes,
        base_values=[float(value) for value in base],
        **attributes,
    )
    columns = int(learner["learner_model_param"]["num_feature"])
    given = helper.make_tensor_value_info("present", TensorProto.FLOAT, ["batch", columns])
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])
    graph = helper.make_graph([node], "trees", [given], [output])
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    save(helper.make_model(graph, opset_imports=imports, ir_version=_IR), path)


def _attributes(trees: list[dict[str, Any]], classes: list[int]) -> dict[str, Any]:
    """Nodes and leaves of all trees, as the operator wants them."""
    found: dict[str, list[Any]] = {
        "nodes_treeids": [],
        "nodes_nodeids": [],
        "nodes_featureids": [],
        "nodes_values": [],
        "nodes_modes": [],
        "nodes_truenodeids": [],
        "nodes_falsenodeids": [],
        "nodes_missing_value_tracks_true": [],
        "target_treeids": [],
        "target_nodeids": [],
        "target_ids": [],
        "target_weights": [],
    }
    for number, tree in enumerate(trees):
        left, right = np.asarray(tree["left_children"]), np.asarray(tree["right_children"])
        is_leaf = left < 0
        values = np.asarray(tree["split_conditions"], np.float32)
        found["nodes_treeids"] += [number] * left.size
        found["nodes_nodeids"] += range(left.size)
        found["nodes_featureids"] += np.where(is_leaf, 0, tree["split_indices"]).tolist()
        found["nodes_values"] += np.where(is_leaf, 0, values).tolist()
        found["nodes_modes"] += np.where(is_leaf, "LEAF", "BRANCH_LT").tolist()
        found["nodes_truenodeids"] += np.where(is_leaf, 0, left).tolist()
        found["nodes_falsenodeids"] += np.where(is_leaf, 0, right).tolist()
        found["nodes_missing_value_tracks_true"] += [int(own) for own in tree["default_left"]]
        leaves = np.flatnonzero(is_leaf)
        found["target_treeids"] += [number] * leaves.size
        found["target_nodeids"] += leaves.tolist()
        found["target_ids"] += [int(classes[number])] * leaves.size
        found["target_weights"] += values[leaves].tolist()
    return found
