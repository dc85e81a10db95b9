"""The promoted model votes in the classifier: where it is good it helps, where it is not it is left out."""

from __future__ import annotations

import numpy as np
import pytest

from taxomind_assets.classification.calibration import Calibration
from taxomind_assets.models.hierarchy import Unit
from taxomind_assets.models.joining import FEWEST_ROWS, join
from taxomind_assets.models.pipeline import Encoding, Pipeline, TrainedUnit
from taxomind_assets.models.registry import registry
from taxomind_assets.models.specification import chosen_spec
from taxomind_assets.models.training import train_model
from taxomind_assets.models.voting import FLOOR, ModelVotes, Vote
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.model_store import ModelStore
from tests.assets.models.things import LEAVES, labelled_table, rows_of


class Fixed:
    """A classifier that knows one answer for each text."""

    info = registry().get("classifier", "transformer").info  # it takes texts

    def __init__(self, answers, classes):
        self.answers, self.classes = answers, classes

    def scores(self, texts):
        found = np.zeros((len(texts), self.classes), np.float32)
        for row, text in enumerate(texts):
            found[row, self.answers[text]] = 8
        return found


def fixed(tree, answers):
    """A pipeline over the leaves that gives these codes."""
    classes = tuple(np.flatnonzero(tree.is_leaf).tolist())
    given = {text: classes.index(tree.position[code]) for text, code in answers.items()}
    spec = chosen_spec(registry(), "best")
    unit = TrainedUnit(Unit("flat", classes), Fixed(given, len(classes)), 1.0)
    return Pipeline(Encoding(spec, None, (), False), (unit,), tree)


@pytest.fixture(scope="module")
def classifier(tree, index_of, classifier_of):
    return classifier_of(index_of(tree))


@pytest.fixture(scope="module")
def rows():
    """Texts whose words tell nothing to the router: their codes follow from a number."""
    return [(f"item number {i} of the list", LEAVES[i * 7 % len(LEAVES)]) for i in range(120)]


def texts_and_codes(rows):
    return [text for text, _ in rows], [code for _, code in rows]


def right(classifier, rows):
    leaves = classifier.classify([text for text, _ in rows])["top_codes"].to_pylist()
    return np.mean([own[0] == code for own, (_, code) in zip(leaves, rows, strict=True)])


def voting(classifier, pipeline, found):
    view = ModelVotes(pipeline, found.number, classifier.tree, found.strength, found.familiarity)
    return classifier.with_model(Vote(view, Calibration.from_text(found.calibration)))


def test_a_model_that_knows_more_is_listened_to(classifier, rows):
    pipeline = fixed(classifier.tree, dict(rows))
    found = join(classifier, pipeline, 3, *texts_and_codes(rows))
    assert found.choice in {"both", "model"}
    assert found.accuracy["both"] >= max(found.accuracy["router"], 0.9)
    joined = voting(classifier, pipeline, found)
    assert right(joined, rows) > 0.9 > right(classifier, rows)


def test_a_model_that_is_wrong_does_not_vote(classifier):
    rows = [(text, code) for text, code in rows_of(LEAVES) if code != "food"][:150]
    wrong = {text: LEAVES[(LEAVES.index(code) + 1) % len(LEAVES)] for text, code in rows}
    found = join(classifier, fixed(classifier.tree, wrong), 3, *texts_and_codes(rows))
    assert found.choice == "router"
    assert found.accuracy["model"] == 0
    assert found.strength == 0


def test_the_join_is_never_worse_than_the_better_of_the_two(classifier):
    rows = [(text, code) for text, code in rows_of(LEAVES) if code != "food"]
    random = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        noisy = {text: code if random.random() < share else str(random.choice(LEAVES)) for text, code in rows}
        found = join(classifier, fixed(classifier.tree, noisy), 3, *texts_and_codes(rows))
        assert found.accuracy[found.choice] == max(found.accuracy.values())


def test_few_rows_teach_nothing(classifier, rows):
    pipeline = fixed(classifier.tree, dict(rows))
    found = join(classifier, pipeline, 3, *texts_and_codes(rows[: FEWEST_ROWS - 1]))
    assert (found.choice, found.rows, found.accuracy) == ("router", FEWEST_ROWS - 1, {})


def test_the_vote_is_named_after_its_version_in_explanations(classifier, rows):
    pipeline = fixed(classifier.tree, dict(rows))
    joined = voting(classifier, pipeline, join(classifier, pipeline, 3, *texts_and_codes(rows)))
    steps = joined.explain(rows[0][0])["levels"]
    assert any("model_v3" in step["views"] for step in steps)
    assert joined.versions["calibration_version"] != classifier.versions["calibration_version"]


def test_answers_do_not_depend_on_the_batch(classifier, rows):
    pipeline = fixed(classifier.tree, dict(rows))
    joined = voting(classifier, pipeline, join(classifier, pipeline, 3, *texts_and_codes(rows)))
    texts = [text for text, _ in rows[:30]]
    together = joined.classify(texts)["confidence"].to_pylist()
    alone = [joined.classify([text])["confidence"][0].as_py() for text in texts[:5]]
    np.testing.assert_allclose(alone, together[:5], atol=1e-5)


def test_codes_that_the_model_does_not_know_are_left_to_the_router(tree):
    older = Taxonomy.build("things", [node for node in tree.nodes if node.code != "hot"])
    pipeline = fixed(older, {"a steaming broth": "cold"})
    view = ModelVotes(pipeline, 3, tree, 1.0, -2.0)
    assert tree.position["hot"] not in view.leaves
    assert {tree.codes[node] for node in view.leaves.tolist()} == {"cat", "dog", "bread", "cold"}
    votes = view.votes(["a steaming broth"])
    assert votes.shape == (4, 1)
    assert votes.max() <= -np.log(FLOOR) + 1e-5


def test_what_stays_at_an_internal_node_is_spread_below_it(tree):
    unit = Unit("flat", (tree.position["cat"], tree.position["soup"]))
    spec = chosen_spec(registry(), "best")
    pipeline = Pipeline(Encoding(spec, None, (), False), (TrainedUnit(unit, Fixed({"broth": 1}, 2), 1.0),), tree)
    view = ModelVotes(pipeline, 3, tree, 1.0, 0.0)
    assert {tree.codes[node] for node in view.leaves.tolist()} == {"cat", "hot", "cold"}
    votes = dict(zip([tree.codes[node] for node in view.leaves.tolist()], view.votes(["broth"])[:, 0], strict=True))
    assert votes["hot"] == votes["cold"] > votes["cat"]


def test_fitting_anew_forgets_the_model(classifier, rows):
    pipeline = fixed(classifier.tree, dict(rows))
    joined = voting(classifier, pipeline, join(classifier, pipeline, 3, *texts_and_codes(rows)))
    assert joined.model is not None
    assert joined.with_fitted(None).model is None
    assert joined.with_fitted(None).versions == classifier.versions


def test_a_real_model_joins(classifier, tmp_path, embedder):
    tree = classifier.tree
    table = labelled_table(tree, rows_of(LEAVES))
    store = ModelStore(tmp_path)
    spec = chosen_spec(registry(), "fast", parameters=["min_df=1"])
    trained = train_model("things", spec, tree, table, store, embedder=lambda: embedder, threads=1)
    test = table.filter([split != "train" for split in table["split"].to_pylist()])
    found = join(classifier, trained.pipeline, 1, test["text"].to_pylist(), test["code"].to_pylist())
    assert found.rows == test.num_rows
    assert found.accuracy[found.choice] == max(found.accuracy.values())
