from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.views.index import NodeIndex

Make = Callable[..., Classifier]
TEXT = "keeper of the keys"


@pytest.fixture(scope="module")
def classifier(occupations: NodeIndex, classifier_of: Make) -> Classifier:
    return classifier_of(occupations)


def told(classifier: Classifier, codes: Sequence[str], text: str = TEXT) -> dict[str, object]:
    found: dict[str, object] = classifier.learn([TEXT] * len(codes), codes).classify([text]).to_pylist()[0]
    return found


@pytest.mark.parametrize("text", [TEXT, "Keeper  of the KEYS ", "keeper of the keys".upper()])
def test_a_corrected_text_gets_the_corrected_node_at_once(classifier: Classifier, text: str) -> None:
    answer = told(classifier, ["5151"], text)
    assert answer["code"] == "5151"
    assert answer["stop_reason"] == "exact_evidence"
    assert answer["ambiguous"] is False
    assert answer["path"] == ["5", "51", "515", "5151"]
    assert answer["level_confidences"] == [1.0] * 4
    assert answer["top_codes"][0] == "5151"  # type: ignore[index]
    assert len(set(answer["top_codes"])) == len(answer["top_codes"])  # type: ignore[arg-type,call-overload]
    assert answer["leaf_confidence"] == 1.0


def test_the_majority_decides_and_is_marked(classifier: Classifier) -> None:
    answer = told(classifier, ["5151", "5153", "5153"])
    assert (answer["code"], answer["ambiguous"]) == ("5153", True)
    assert answer["confidence"] == pytest.approx(2 / 3)
    assert answer["level_confidences"][0] == 1.0  # type: ignore[index]
    assert answer["alternatives"][0]["code"] == "5151"  # type: ignore[index]
    assert answer["alternatives"][0]["confidence"] == pytest.approx(1 / 3)  # type: ignore[index]


def test_a_tie_ends_at_the_lowest_common_ancestor(classifier: Classifier) -> None:
    answer = told(classifier, ["5151", "5153"])
    assert (answer["code"], answer["ambiguous"], answer["confidence"]) == ("515", True, 1.0)
    assert {other["code"] for other in answer["alternatives"]} == {"5151", "5153"}  # type: ignore[attr-defined]
    assert told(classifier, ["5151", "515"])["code"] == "515"


def test_a_tie_without_a_common_ancestor_leaves_the_answer_and_marks_it(classifier: Classifier) -> None:
    answer = told(classifier, ["5151", "2611"])
    assert answer["stop_reason"] != "exact_evidence"
    assert answer["ambiguous"] is True


def test_an_internal_node_may_be_the_corrected_one(classifier: Classifier) -> None:
    answer = told(classifier, ["515"])
    assert (answer["code"], answer["path"]) == ("515", ["5", "51", "515"])


def test_other_texts_are_not_answered_by_it(classifier: Classifier) -> None:
    assert told(classifier, ["5151"], "keeper of the keys and hats")["stop_reason"] != "exact_evidence"
