from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from taxomind_assets.classification.calibration import noise_texts
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.embedding import Embedder
from taxomind_resources.faults import Fault
from taxomind_resources.settings import Settings
from taxomind_resources.tables import BY_NAME

Classifiers = Callable[..., Classifier]
Indexes = Callable[[Taxonomy], NodeIndex]
TEXTS = [
    "Shop manager",
    "React Native mobile developer",
    "Education",
    "asdf qwer zxcv",
    "chef de cuisine",
    "looks after the pupils of a primary school",
    "judge",
    "",
]


@pytest.fixture(scope="session")
def classifier(occupations: NodeIndex, classifier_of: Classifiers) -> Classifier:
    return classifier_of(occupations)


def answer(classifier: Classifier, text: str) -> dict[str, object]:
    row: dict[str, object] = classifier.classify([text]).to_pylist()[0]
    return row


class TestFailureModes:
    """TX-04 on an excerpt of ISCO-08 with default settings: branch and depth of the stop."""

    def test_a_broad_word_stops_at_the_node_whose_children_are_nearly_tied(self, classifier: Classifier) -> None:
        found = answer(classifier, "Teaching")
        assert found["path"] == ["2", "23"]
        assert found["stop_reason"] == "below_threshold"
        assert {a["code"][:2] for a in found["alternatives"]} == {"23"}  # type: ignore[index, union-attr]

    def test_a_specific_title_goes_below_the_branch_of_software(self, classifier: Classifier) -> None:
        found = answer(classifier, "React Native mobile developer")
        assert found["path"][:3] == ["2", "25", "251"]  # type: ignore[index]
        assert all(code.startswith("251") for code in found["top_codes"][:3])  # type: ignore[index]

    def test_a_shop_manager_leaves_hospitality_for_shops(self, classifier: Classifier) -> None:
        found = answer(classifier, "Shop manager")
        assert found["code"] == "1420"
        assert found["top_codes"][1] == "5222"  # type: ignore[index]
        assert "141" not in found["path"]  # type: ignore[operator]

    def test_a_crowded_branch_does_not_win_by_mass(self, classifier: Classifier) -> None:
        found = answer(classifier, "Legislators")
        assert found["path"] == ["1", "11", "111", "1111"]
        assert {"2611", "2612"} & set(found["top_codes"][:5])  # type: ignore[index]

    @pytest.mark.parametrize(("text", "code"), [("Building Caretakers", "5153"), ("Child Care Workers", "5311")])
    def test_near_names_do_not_mix(self, classifier: Classifier, text: str, code: str) -> None:
        assert answer(classifier, text)["code"] == code


def test_noise_gets_no_answer(classifier: Classifier) -> None:
    rows = classifier.classify(noise_texts()).to_pylist()
    assert np.mean([row["code"] is None for row in rows]) >= 0.95
    assert {row["stop_reason"] for row in rows if row["code"] is None} <= {"belongs_nowhere", "insufficient_information"}


def test_texts_in_untrusted_languages_are_classified_by_their_characters(classifier: Classifier) -> None:
    found = classifier.classify(["vendeur en magasin", "profesor de primaria", "Richterin"])["code"].to_pylist()
    assert found == ["5223", "2341", "2612"]


def test_columns_are_those_of_the_results_table(classifier: Classifier) -> None:
    schema = BY_NAME["classification.results"].arrow
    table = classifier.classify(TEXTS)
    missing = {"batch_id", "source_file", "row", "text_id", "language", "classified_at"}
    assert set(table.column_names) == set(schema.names) - missing
    for name in table.column_names:
        assert table.schema.field(name).type == schema.field(name).type, name
        assert schema.field(name).nullable or table[name].null_count == 0, name


def test_answers_hang_together(classifier: Classifier) -> None:
    tree = classifier.tree
    for row in classifier.classify(TEXTS).to_pylist():
        assert 0 <= row["confidence"] <= 1
        assert 0 <= row["leaf_confidence"] <= 1
        assert len(row["level_confidences"]) == len(row["path"])
        assert row["level_confidences"] == sorted(row["level_confidences"], reverse=True)
        if row["code"] is None:
            assert (row["path"], row["level"], row["confidence"], row["label"]) == ([], 0, 0, None)
        else:
            place = tree.position[row["code"]]
            assert row["path"] == tree.path_codes(place)
            assert row["level"] == tree.levels[place]
            assert row["confidence"] == row["level_confidences"][-1] >= classifier.calibration.threshold_for(0.8)
            assert row["label"] == tree.nodes[place].label
            assert row["ambiguous"] == (not tree.is_leaf[place])
        known = {*row["top_codes"], *(other["code"] for other in row["alternatives"])}
        assert known <= set(tree.codes)
        assert all(tree.is_leaf[tree.position[code]] for code in row["top_codes"])


def test_answers_state_what_they_depend_on(classifier: Classifier, occupations: NodeIndex) -> None:
    row = answer(classifier, "judge")
    assert row["index_version"] == occupations.version
    assert row["taxonomy_version"] == occupations.tree.version
    assert row["calibration_version"] == occupations.calibration.version
    assert row["settings_version"] == classifier.settings.deciding_version()


def test_no_texts_have_an_empty_answer(classifier: Classifier) -> None:
    assert classifier.classify([]).schema == classifier.classify(["judge"]).schema
    assert classifier.classify([]).num_rows == 0


@pytest.mark.parametrize("text", ["", "   ", "\t\r\n", "\x00\x07", "\u200b\ufeff"])
def test_a_text_without_content_is_an_error_of_its_own_row(classifier: Classifier, text: str) -> None:
    rows = classifier.classify(["judge", text]).to_pylist()
    assert rows[0]["code"] == "2612"
    assert (rows[1]["code"], rows[1]["stop_reason"], rows[1]["error_code"]) == (None, "empty_text", "empty_text")


def test_repeated_texts_keep_their_places_and_are_scored_once(
    occupations: NodeIndex, embedder: Embedder, default_settings: Settings
) -> None:
    asked: list[str] = []

    class Counting:
        spec = embedder.spec

        def embed(self, texts: list[str], kind: str) -> np.ndarray:
            asked.extend(texts)
            return embedder.embed(texts, kind)  # type: ignore[arg-type]

    classifier = Classifier(occupations, Counting(), default_settings)  # type: ignore[arg-type]
    table = classifier.classify(["judge", "cook", "judge", " judge\u00a0", "waiter", "cook"])
    assert table["code"].to_pylist() == ["2612", "5120", "2612", "2612", "5131", "5120"]
    assert asked == ["judge", "cook", "waiter"]


@pytest.mark.parametrize(
    "text",
    [
        "primary school teacher " * 2_000,
        "👩‍🏫 teacher 👨‍🏫",
        "teacher\x00\x1b[31m",
        "TEACHER!!!",
        "\ud83d teacher",
        "%s {} <b>teacher</b>",
    ],
    ids=["long", "emoji", "control", "upper", "surrogate", "markup"],
)
def test_unusual_texts_are_answered(classifier: Classifier, text: str) -> None:
    row = answer(classifier, text)
    assert row["path"][:2] == ["2", "23"]  # type: ignore[index]
    assert row["error_code"] is None


def test_long_texts_are_scored_in_small_blocks(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    original = Classifier._answer_block
    monkeypatch.setattr(
        Classifier,
        "_answer_block",
        lambda self, texts, *rest: (sizes.append(sum(map(len, texts))), original(self, texts, *rest))[1],
    )
    texts = [f"{i} " + "teacher of many subjects " * 2_000 for i in range(30)]
    vectors = np.repeat(classifier.embedder.embed(["teacher"], "query"), 30, axis=0)
    table = classifier.classify(texts, vectors=vectors)
    assert table.num_rows == 30
    assert max(sizes) <= 1 << 18
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("texts", "named"), [(["judge", 5], "int"), ([None], "NoneType"), ([b"judge"], "bytes"), (b"judge", "bytes"), (7, "int")]
)
def test_what_is_no_list_of_texts_is_refused_by_type(classifier: Classifier, texts: object, named: str) -> None:
    with pytest.raises(Fault) as fault:
        classifier.classify(texts)  # type: ignore[arg-type]
    assert fault.value.code == "invalid_input"
    assert named in fault.value.render()


def test_one_text_a_list_and_tables_are_the_same_input(classifier: Classifier) -> None:
    texts = ["judge", "primary school teacher"]
    expected = classifier.classify(texts)
    assert classifier.classify(pa.table({"query_id": ["a", "b"], "text": texts})).equals(expected)
    assert classifier.classify(pd.DataFrame({"text": texts})).equals(expected)
    assert classifier.classify("judge")["code"].to_pylist() == expected["code"].to_pylist()[:1]


def test_a_table_without_texts_names_its_columns(classifier: Classifier) -> None:
    with pytest.raises(Fault) as fault:
        classifier.classify(pa.table({"title": ["judge"]}))
    assert fault.value.code == "missing_column"
    assert "title" in fault.value.render()


def test_vectors_of_another_shape_are_refused(classifier: Classifier) -> None:
    with pytest.raises(Fault, match="invalid_input"):
        classifier.classify(["judge"], vectors=np.zeros((2, 384), np.float32))


def test_given_vectors_replace_the_model(classifier: Classifier, embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS, "query")
    assert_same(classifier.classify(TEXTS, vectors=vectors), classifier.classify(TEXTS))


@pytest.mark.parametrize("stop_rule", ["mass", "gate", "rules", "never"])
def test_blocks_in_threads_answer_as_one_block(
    occupations: NodeIndex, classifier_of: Classifiers, monkeypatch: pytest.MonkeyPatch, stop_rule: str
) -> None:
    classifier = classifier_of(occupations, routing={"stop_rule": stop_rule})
    texts = [f"{text} {i}".strip() for i in range(40) for text in TEXTS]
    whole = classifier.classify(texts)
    monkeypatch.setattr(Classifier, "block_size", 64)
    monkeypatch.setattr(type(classifier.scorer), "single_threaded", True)
    assert_same(classifier.classify(texts), whole)


def test_a_text_is_answered_alike_alone_and_among_others(classifier: Classifier) -> None:
    texts = [f"{text} {i}".strip() for i in range(25) for text in TEXTS]
    together = classifier.classify(texts).to_pylist()
    for place in (0, 1, 66, 130, 197):
        alone = answer(classifier, texts[place])
        assert alone["code"] == together[place]["code"]
        # The encoder itself rounds differently in other batches.
        assert alone["confidence"] == pytest.approx(together[place]["confidence"], abs=0.02)
    vectors = classifier.embedder.embed(texts, "query")
    known = classifier.classify(texts, vectors=vectors)
    for place in (0, 1, 66, 130, 197):
        assert_same(classifier.classify([texts[place]], vectors=vectors[[place]]), known.slice(place, 1), 1e-5)


def assert_same(first: pa.Table, second: pa.Table, tolerance: float = 1e-4) -> None:
    """Equal answers; confidences may differ by rounding, and what is as good as tied may change places."""
    for a, b in zip(first.to_pylist(), second.to_pylist(), strict=True):
        for name in ("text", "code", "label", "level", "path", "stop_reason", "ambiguous", "validation_status", "error_code"):
            assert a[name] == b[name], name
        assert a["confidence"] == pytest.approx(b["confidence"], abs=tolerance)
        assert a["level_confidences"] == pytest.approx(b["level_confidences"], abs=tolerance)
        assert [c["confidence"] for c in a["alternatives"]] == pytest.approx(
            [c["confidence"] for c in b["alternatives"]], abs=tolerance
        )


class TestSettings:
    def test_never_stopping_always_gives_a_leaf(self, occupations: NodeIndex, classifier_of: Classifiers) -> None:
        classifier = classifier_of(occupations, routing={"stop_rule": "never"})
        rows = classifier.classify([*TEXTS[:-1], *noise_texts()[:20]]).to_pylist()
        for row in rows:
            assert classifier.tree.is_leaf[classifier.tree.position[row["code"]]]
            assert row["code"] == row["top_codes"][0]
            assert row["stop_reason"] == ("leaf_node_reached" if row["confidence"] >= np.float32(0.8) else "forced_to_leaf")
            assert row["ambiguous"] == (row["stop_reason"] == "forced_to_leaf")

    def test_without_abstaining_only_doubt_withholds_an_answer(
        self, occupations: NodeIndex, classifier_of: Classifiers
    ) -> None:
        classifier = classifier_of(occupations, routing={"abstain": False})
        reasons = set(classifier.classify(noise_texts())["stop_reason"].to_pylist())
        assert "belongs_nowhere" not in reasons

    def test_a_higher_target_answers_less_deeply(self, occupations: NodeIndex, classifier_of: Classifiers) -> None:
        depths = []
        for target in (0.3, 0.8, 0.99):
            table = classifier_of(occupations, routing={"accuracy_target": target}).classify(TEXTS)
            depths.append([len(path) for path in table["path"].to_pylist()])
        assert all(a >= b >= c for a, b, c in zip(*depths, strict=True))
        assert sum(depths[0]) > sum(depths[1]) > sum(depths[2])

    def test_the_deepest_level_is_a_limit(self, occupations: NodeIndex, classifier_of: Classifiers) -> None:
        for row in classifier_of(occupations, routing={"max_depth": 2}).classify(TEXTS).to_pylist():
            assert row["level"] <= 2
            if row["level"] == 2 and row["text"] != "Education":
                assert row["stop_reason"] == "max_depth_reached"
                assert not row["ambiguous"]

    def test_lists_have_the_wanted_length(self, occupations: NodeIndex, classifier_of: Classifiers) -> None:
        for row in classifier_of(occupations, routing={"alternatives": 1, "top_codes": 2}).classify(TEXTS[:-1]).to_pylist():
            assert len(row["alternatives"]) == 1
            assert len(row["top_codes"]) == 2
        for row in classifier_of(occupations, routing={"alternatives": 0}).classify(TEXTS).to_pylist():
            assert row["alternatives"] == []

    @pytest.mark.parametrize("pooling", ["fusion", "max", "top2_mean"])
    @pytest.mark.parametrize("retrieval", [{}, {"mode": "label"}, {"expand_neighbours": 3}, {"enable_beam_selection": False}])
    def test_the_older_rules_work_with_every_pooling_and_retrieval(
        self, occupations: NodeIndex, classifier_of: Classifiers, pooling: str, retrieval: dict[str, object]
    ) -> None:
        classifier = classifier_of(
            occupations, routing={"stop_rule": "rules"}, retrieval=retrieval, scoring={"view_pooling": pooling}
        )
        rows = classifier.classify([*TEXTS, "Legislators", "Child Care Workers"]).to_pylist()
        tree = classifier.tree
        for row in rows[:-3]:
            assert row["path"] == (tree.path_codes(tree.position[row["code"]]) if row["code"] else [])
            assert row["validation_status"] is not None
        assert rows[7]["stop_reason"] == "empty_text"
        assert rows[-1]["code"] == "5311"
        assert rows[-2]["code"] in ("1111", None)  # right, or in doubt at the top; never the crowded branch of lawyers


def test_a_saved_index_answers_the_same(
    classifier: Classifier, occupations: NodeIndex, classifier_of: Classifiers, tmp_path: Path
) -> None:
    occupations.save(tmp_path)
    again = classifier_of(replace(NodeIndex.load(tmp_path), tree=replace(occupations.tree)))
    assert again.calibration == classifier.calibration
    assert_same(again.classify(TEXTS), classifier.classify(TEXTS), 1e-5)


def test_probabilities_are_those_of_the_answers(classifier: Classifier) -> None:
    mass = classifier.probabilities(TEXTS[:3])
    for text, row in enumerate(classifier.classify(TEXTS[:3]).to_pylist()):
        place = classifier.tree.position[row["code"]]
        assert mass.matrix()[text, place] == pytest.approx(row["confidence"], abs=1e-5)


def test_learning_is_the_same_as_being_given_the_evidence(occupations: NodeIndex, classifier_of: Classifiers) -> None:
    classifier = classifier_of(occupations)
    texts, codes = ["keeper of the keys", "till operator"], ["5151", "5230"]
    learned = classifier.learn(texts[:1], codes[:1]).learn(texts[1:], codes[1:])
    given = classifier.with_evidence(Evidence.of(texts, codes, classifier.embedder.embed(texts, "query")))
    queries = ["till operator in a shop", "key keeper", "keeper of the keys"]
    assert learned.classify(queries).equals(given.classify(queries))
    assert learned.versions["evidence_version"] == given.versions["evidence_version"] != ""
    assert classifier.versions["evidence_version"] == ""
    assert learned.scorer.base is classifier.scorer.base


def test_a_paraphrase_of_a_correction_changes(occupations: NodeIndex, classifier_of: Classifiers) -> None:
    classifier = classifier_of(occupations)
    text = "keeper of keys"
    before = classifier.answers([text]).leaves[0, 0]
    after = classifier.learn(["keeper of the keys"], ["5230"]).answers([text]).leaves[0, 0]
    assert classifier.tree.codes[before] != "5230"
    assert classifier.tree.codes[after] == "5230"


@pytest.mark.parametrize(
    ("texts", "codes", "said"),
    [(["a"], ["no such"], "no such code"), ([""], ["5230"], "empty text"), (["a"], [], "0 codes for 1")],
)
def test_what_cannot_be_learned_is_refused(
    occupations: NodeIndex, classifier_of: Classifiers, texts: list[str], codes: list[str], said: str
) -> None:
    with pytest.raises(Fault, match=said):
        classifier_of(occupations).learn(texts, codes)


def test_evidence_can_be_switched_off(occupations: NodeIndex, classifier_of: Classifiers) -> None:
    """TX-39."""
    without = classifier_of(occupations, scoring={"use_updated_evidence": False})
    learned = without.learn(["keeper of the keys"], ["5151"])
    assert learned.classify(["keeper of the keys"]).equals(without.classify(["keeper of the keys"]))
    assert learned.versions["evidence_version"] == ""
