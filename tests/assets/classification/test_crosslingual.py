"""Texts in languages that the encoder does not read, against the shipped ISCO-08, with the shipped student."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.crosslingual import OWN_TEXT, PATH, TEXT, VIEWS, WHOLE, check_student
from taxomind_assets.classification.scoring import Scorer
from taxomind_assets.pending import embedding_digest
from taxomind_assets.taxonomy.tree import NodeText, Taxonomy
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.crosslingual.lazy import LazyStudent, open_student
from taxomind_resources.embedding import Embedder
from taxomind_resources.faults import Fault
from taxomind_resources.settings import ScoringSettings, Settings

#: Titles that stand in no label of the taxonomy, and a code that is right.
TITLES = {
    "Grundschullehrer": "2341",
    "Kinderbetreuerin": "5311",
    "développeur web": "2513",
    "avocat": "2611",
    "kucharz": "5120",
    "programista aplikacji": "2514",
    "nauczyciel szkoły podstawowej": "2341",
    "diseñador de páginas web": "2513",
    "abogada penalista": "2611",
    "εκπαιδευτικός πρωτοβάθμιας εκπαίδευσης": "2341",
    "ψυχολόγος": "2634",
    "готвач": "5120",
    "адвокат": "2611",
}
ENGLISH = ("primary school teacher", "database administrator", "waiter in a hotel", "army officer")


@pytest.fixture(scope="session")
def student(embedder: Embedder) -> LazyStudent:
    found = open_student("shipped", embedder.spec)
    assert found is not None
    return found


def in_languages(tree: Taxonomy, *languages: str) -> Taxonomy:
    """The same tree with the texts of these languages only."""

    def kept(texts: tuple[NodeText, ...]) -> tuple[NodeText, ...]:
        return tuple(text for text in texts if text.language in languages)

    nodes = [replace(node, texts=kept(node.texts)) for node in tree.nodes]
    return Taxonomy.build("own", nodes, version="1" * 12)


@pytest.fixture(scope="session")
def english_only(occupations: NodeIndex, index_of: Callable[[Taxonomy], NodeIndex]) -> NodeIndex:
    return index_of(in_languages(occupations.tree, "en"))


@pytest.fixture(scope="session")
def french_only(occupations: NodeIndex, index_of: Callable[[Taxonomy], NodeIndex]) -> NodeIndex:
    return index_of(in_languages(occupations.tree, "fr"))


def best_leaves(classifier: Classifier, texts: list[str]) -> list[str]:
    return [codes[0] for codes in classifier.classify(texts)["top_codes"].to_pylist()]


def test_titles_of_many_languages_find_english_node_texts(
    english_only: NodeIndex, classifier_of: Callable[..., Classifier]
) -> None:
    titles = list(TITLES)
    found = best_leaves(classifier_of(english_only), titles)
    without = best_leaves(classifier_of(english_only, scoring={"crosslingual": "off"}), titles)
    right = sum(code == TITLES[title] for title, code in zip(titles, found, strict=True))
    assert right >= len(titles) - 3, dict(zip(titles, found, strict=True))
    assert right > sum(code == TITLES[title] for title, code in zip(titles, without, strict=True)) + 3


def test_english_titles_find_node_texts_in_another_language(
    french_only: NodeIndex, classifier_of: Callable[..., Classifier]
) -> None:
    assert best_leaves(classifier_of(french_only), ["primary school teacher", "web developer", "waiters"]) == [
        "2341",
        "2513",
        "5131",
    ]


def test_english_texts_are_scored_as_without_a_student(
    occupations: NodeIndex, english_only: NodeIndex, embedder: Embedder, student: LazyStudent
) -> None:
    for index in (occupations, english_only):
        plain, other = Scorer(index), Scorer(index, student=student)
        vectors = embedder.embed(ENGLISH, "query")
        query = other.query(vectors, ENGLISH)
        assert query.trusted.tolist() == [1.0] * len(ENGLISH)
        trusted = np.ones(len(ENGLISH), np.float32)
        np.testing.assert_allclose(other.logits(query), plain.logits(plain.query(vectors, ENGLISH, trusted)), atol=1e-4)


def test_what_the_student_reads_alone_is_not_embedded(
    occupations: NodeIndex, classifier_of: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = classifier_of(occupations)
    texts = ["Zahnärztin in eigener Praxis", "dentist", "institutrice en maternelle", "bricklayer"]
    expected = subject.answers(texts, subject.embedder.embed(texts, "query"))
    asked: list[str] = []
    embed = type(subject.embedder).embed
    monkeypatch.setattr(
        type(subject.embedder), "embed", lambda self, given, kind: (asked.extend(given), embed(self, given, kind))[1]
    )
    answers = subject.answers(texts)
    assert sorted(asked) == ["bricklayer", "dentist"]
    assert answers.nodes.tolist() == expected.nodes.tolist()
    np.testing.assert_array_equal(answers.confidences, expected.confidences)


def test_evidence_is_compared_with_every_vector(
    occupations: NodeIndex, classifier_of: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = classifier_of(occupations).learn(["Zahnärztin"], [occupations.tree.codes[-1]])
    asked: list[str] = []
    embed = type(subject.embedder).embed
    monkeypatch.setattr(
        type(subject.embedder), "embed", lambda self, given, kind: (asked.extend(given), embed(self, given, kind))[1]
    )
    subject.answers(["Zahnärztin in eigener Praxis"])
    assert asked == ["Zahnärztin in eigener Praxis"]


def test_the_table_is_read_when_the_first_text_needs_it(
    english_only: NodeIndex, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = LazyStudent(_shipped())
    scorer = Scorer(english_only, student=student)
    monkeypatch.setattr(LazyStudent, "student", property(lambda self: pytest.fail("the table was read")))
    scorer.logits(scorer.query(embedder.embed(ENGLISH, "query"), ENGLISH))


def _shipped() -> Path:
    from taxomind_resources.crosslingual.student import SHIPPED

    return SHIPPED


@pytest.mark.parametrize("index_name", ["occupations", "english_only", "french_only"])
def test_the_parts_add_up_and_a_text_depends_on_no_other(
    index_name: str, request: pytest.FixtureRequest, embedder: Embedder, student: LazyStudent
) -> None:
    index: NodeIndex = request.getfixturevalue(index_name)
    scorer = Scorer(index, student=student)
    texts = [*TITLES, *ENGLISH, "", "123", "qqq"]
    vectors = embedder.embed(texts, "query")
    query = scorer.query(vectors, texts)
    logits = scorer.logits(query)
    parts = scorer.contributions(query)
    np.testing.assert_allclose(np.sum(list(parts.values()), axis=0), logits, atol=1e-2)
    assert {name for name in parts if name.startswith("crosslingual")} <= set(VIEWS)
    assert TEXT in parts
    assert (logits.max(axis=0) <= scorer.largest_logit(query) + 0.1).all()
    for row in (0, 3, len(texts) - 1):
        alone = scorer.logits(scorer.query(vectors[row : row + 1], texts[row : row + 1]))
        np.testing.assert_allclose(alone[:, 0], logits[:, row], atol=1e-3)


def test_what_is_compared_depends_on_the_languages_of_the_taxonomy(
    occupations: NodeIndex, english_only: NodeIndex, french_only: NodeIndex, embedder: Embedder, student: LazyStudent
) -> None:
    titles = list(TITLES)[:2]
    named = {}
    for name, index in {"both": occupations, "english": english_only, "french": french_only}.items():
        scorer = Scorer(index, student=student)
        query = scorer.query(embedder.embed(titles, "query"), titles, np.zeros(2, np.float32))
        named[name] = {view for view in scorer.features(query) if view in VIEWS}
    assert named == {"both": {TEXT, WHOLE, OWN_TEXT}, "english": {TEXT, WHOLE}, "french": {TEXT, PATH}}


def test_explanations_name_the_view(occupations: NodeIndex, classifier_of: Callable[..., Classifier]) -> None:
    explained = classifier_of(occupations, routing={"stop_rule": "never"}).explain("professeure des écoles")
    step = explained["levels"][-1]
    assert step["chosen"]["code"] == "2341"
    assert step["views"][TEXT] > 0
    assert sum(step["views"].values()) == pytest.approx(step["logit_difference"], abs=0.01)


def test_an_index_knows_its_student(english_only: NodeIndex, student: LazyStudent, embedder: Embedder) -> None:
    from taxomind_assets.views.build import build_index

    assert english_only.calibration.student == student.spec.version
    off = build_index(english_only.tree, english_only.texts, english_only.vectors, embedder, "off")
    assert off.calibration.student == ""
    assert off.version != english_only.version


def test_an_index_that_was_made_beside_another_student_is_stale(
    english_only: NodeIndex, classifier_of: Callable[..., Classifier]
) -> None:
    check_student(classifier_of(english_only))
    with pytest.raises(Fault, match="another cross-lingual student") as caught:
        check_student(classifier_of(english_only, scoring={"crosslingual": "off"}))
    assert caught.value.code == "index_stale"


def test_a_new_student_asks_for_a_new_index(default_settings: Settings) -> None:
    off = default_settings.model_copy(update={"scoring": ScoringSettings(crosslingual="off")})  # type: ignore[call-arg]
    assert embedding_digest(off, "jobs") != embedding_digest(default_settings, "jobs")


def test_a_text_in_a_script_that_nobody_knows_gets_no_answer(
    english_only: NodeIndex, classifier_of: Callable[..., Classifier]
) -> None:
    strangers = ["ሀኪም ነርስ", "სკოლის მასწავლებელი", "ᏧᏂᏴᏫᏍᏗ"]
    assert classifier_of(english_only).classify(strangers)["code"].to_pylist() == [None] * len(strangers)


def test_a_setting_names_the_student(embedder: Embedder, tmp_path: Path) -> None:
    assert open_student("off", embedder.spec) is None
    assert open_student("shipped", replace(embedder.spec, weights_digest="0" * 64)) is None
    with pytest.raises(Fault, match="no such student") as caught:
        open_student(str(tmp_path / "nothing.npz"), embedder.spec)
    assert caught.value.code == "invalid_setting"
    own = tmp_path / "own.npz"
    own.write_bytes(_shipped().read_bytes())
    found = open_student(str(own), embedder.spec)
    assert found is not None
    assert found.spec == LazyStudent(_shipped()).spec
    assert found.student.vectors(["maison"]).shape == (1, 256)
    with pytest.raises(Fault, match="another encoder"):
        open_student(str(own), replace(embedder.spec, weights_digest="0" * 64))
    own.write_bytes(b"no student")
    with pytest.raises(Fault) as caught:
        open_student(str(own), embedder.spec)
    assert caught.value.code == "unreadable_file"
