"""Carrying decisions out: the taxonomy file, the log, evidence, and the way back."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest

from taxomind_assets.growth import review as module
from taxomind_assets.growth.decisions import read_decisions
from taxomind_assets.growth.proposals import Proposal
from taxomind_assets.growth.review import Review
from taxomind_resources.faults import Fault
from taxomind_resources.inbox import Inbox
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import Settings

KEY = "notes"
CSV = "code,parent_code,label,aliases\ntech,,Tech,\nai,tech,AI,\nmisc,,Misc,\n"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
TAX = Proposal("Tax forms", "tax/form", count=8, span=11, texts=("send the form", "form is late"), text_ids=("t1", "t2"))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


class Place:
    """A taxonomy in an inbox, and a person who decides once a minute."""

    def __init__(self, data):
        self.inbox, self.outputs = Inbox(data, 0.0), Outputs(data)
        self.inbox.put(KEY, "taxonomy", CSV.encode(), "taxonomy.csv")
        minutes = itertools.count()
        settings = Settings.model_validate({"data": data, "limits": {"settle_s": 0}})
        clock = lambda: NOW + timedelta(minutes=next(minutes))  # noqa: E731
        self.review = Review(KEY, settings, self.inbox, self.outputs, by="anna", clock=clock)

    @property
    def content(self):
        return self.inbox.taxonomy_file(KEY).path.read_bytes()

    @property
    def codes(self):
        return self.review.tree().codes

    def log(self):
        return read_decisions(self.inbox, KEY)

    def corrections(self):
        """(action, code, text) of all evidence that growth wrote."""
        lines = [line for file in self.inbox.files(KEY, "corrections") for line in file.path.read_text().splitlines()]
        return sorted((row["action"], row.get("code", ""), row.get("text", "")) for row in map(json.loads, lines))


def test_adding_writes_one_node_its_evidence_and_a_line_of_the_log(place):
    before = place.review.tree()
    outcome = place.review.add(TAX, parent_code=None)
    after = place.review.tree()
    assert after.codes == [*before.codes, "g-tax-form"]
    node = after.nodes[after.position["g-tax-form"]]
    assert (node.label, node.level, node.texts[0].label) == ("Tax forms", 1, "Tax forms")
    assert place.content.startswith(CSV.encode())
    assert place.corrections() == [("correct", "g-tax-form", text) for text in sorted(TAX.texts)]
    (logged,) = place.log()
    assert logged == outcome.decision
    assert (logged.action, logged.by, logged.at, logged.before_version) == ("add", "anna", NOW, before.version)
    assert logged.after_version == after.version
    assert (logged.details["count"], logged.details["span"], logged.details["text_ids"]) == (8, 11, ["t1", "t2"])


def test_a_child_gets_its_parents_level_and_evidence_can_be_declined(place):
    place.review.add(TAX, parent_code="ai", code="form", evidence=False)
    tree = place.review.tree()
    node = tree.nodes[tree.position["form"]]
    assert (node.parent_code, node.level) == ("ai", 3)
    assert place.corrections() == []


def test_what_is_there_already_stays_and_is_logged(place):
    place.review.add(TAX, parent_code=None)
    content = place.content
    outcome = place.review.add(TAX, parent_code=None)
    assert (place.content, outcome.is_revised, outcome.decision.code) == (content, False, "g-tax-form")
    assert [own.action for own in place.log()] == ["add", "add"]


@pytest.mark.parametrize(
    "changes",
    [
        {"parent_code": "nowhere"},
        {"parent_code": None, "code": "tech"},
        {"parent_code": None, "code": "\n"},
        {"parent_code": None, "seen_version": "old"},
    ],
)
def test_what_cannot_be_added_leaves_all_as_it_was(place, changes):
    with pytest.raises(Fault) as raised:
        place.review.add(TAX, **changes)
    assert raised.value.code in {"invalid_input", "revision_conflict"}
    assert (place.content, place.log(), place.corrections()) == (CSV.encode(), [], [])


@pytest.mark.parametrize("label", ["", "  ", "///", "a\x00b", "x" * 201])
def test_no_text_is_a_label(place, label):
    with pytest.raises(Fault, match="no label"):
        place.review.name(TAX, label, parent_code=None)


def test_undo_of_the_last_addition_restores_the_file_byte_for_byte_and_its_evidence_goes(place):
    """TL-WRT-5, and why it differs: the node goes whether it has answers or not. Answers keep the version they were made with,
    where the node is, so old results stay readable without a node that is there and inactive.
    """
    outcome = place.review.add(TAX, parent_code=None)
    place.review.undo(outcome.decision.decision_id)
    assert place.content == CSV.encode()
    actions = [action for action, _, _ in place.corrections()]
    assert actions == ["correct", "correct", "withdraw", "withdraw"]
    assert [own.action for own in place.log()] == ["add", "undo"]
    with pytest.raises(Fault, match="taken back already"):
        place.review.undo(outcome.decision.decision_id)


def test_undo_of_an_earlier_addition_takes_its_rows_alone(place):
    first = place.review.add(TAX, parent_code=None)
    second = place.review.add(Proposal("Robots", "robot"), parent_code="tech")
    place.review.undo(first.decision.decision_id)
    assert place.codes == ["tech", "ai", "g-robot", "misc"]
    place.review.undo(second.decision.decision_id)
    assert place.review.tree().codes == ["tech", "ai", "misc"]


def test_a_node_with_nodes_below_it_cannot_be_undone_before_them(place):
    first = place.review.add(TAX, parent_code=None)
    place.review.add(Proposal("Robots", "robot"), parent_code="g-tax-form")
    with pytest.raises(Fault, match="below"):
        place.review.undo(first.decision.decision_id)


def test_codes_are_never_used_again(place):
    outcome = place.review.add(TAX, parent_code=None)
    place.outputs.write("taxonomy.node_history", KEY, nodes_of(place.review.tree()), part=outcome.decision.after_version)
    place.review.undo(outcome.decision.decision_id)
    again = place.review.add(TAX, parent_code=None)
    assert again.decision.code == "g-tax-form-2"


def nodes_of(tree):
    from taxomind_assets.taxonomy.records import taxonomy_to_table

    return taxonomy_to_table(tree)


def test_rejecting_writes_no_taxonomy_and_once_is_enough(place):
    place.review.reject(TAX, reason="too narrow")
    place.review.reject(TAX, unattended=True)
    assert place.content == CSV.encode()
    assert list(place.review.standing().rejected) == ["tax/form"]
    assert [(own.action, own.details["unchanged"]) for own in place.log()] == [("reject", False), ("reject_unattended", True)]
    place.review.unreject("Tax-Form")
    assert place.review.standing().rejected == {}
    with pytest.raises(Fault, match="not rejected"):
        place.review.unreject("Tax-Form")


def test_a_label_without_a_word_cannot_be_rejected(place):
    with pytest.raises(Fault):
        place.review.reject(Proposal("//", ""))


def test_another_name_adds_it_and_rejects_the_original(place):
    outcome = place.review.name(TAX, "Money", parent_code=None)
    tree = place.review.tree()
    assert tree.nodes[tree.position["g-money"]].label == "Money"
    assert (outcome.decision.action, outcome.decision.label) == ("name_as_different", "Tax forms")
    assert list(place.review.standing().rejected) == ["tax/form"]
    place.review.undo(outcome.decision.decision_id)
    assert (place.content, place.review.standing().rejected) == (CSV.encode(), {})


def test_another_spelling_of_the_same_name_is_a_plain_addition(place):
    outcome = place.review.name(TAX, "Tax-Form", parent_code=None)
    assert (outcome.decision.action, place.review.standing().rejected) == ("add", {})
    tree = place.review.tree()
    assert tree.nodes[tree.position["g-tax-form"]].label == "Tax-Form"


def test_the_name_of_an_existing_node_makes_an_alias_of_it(place):
    outcome = place.review.name(TAX, "ai:", parent_code=None)
    tree = place.review.tree()
    assert (outcome.decision.action, outcome.decision.code) == ("alias", "ai")
    assert tree.nodes[tree.position["ai"]].texts[0].aliases == ("Tax forms",)
    place.review.undo(outcome.decision.decision_id)
    assert place.content == CSV.encode()


def test_a_rejected_name_is_refused(place):
    place.review.reject(Proposal("Money", "money"))
    with pytest.raises(Fault, match="was rejected"):
        place.review.name(TAX, "Moneys", parent_code=None)
    assert place.content == CSV.encode()


def test_a_skip_is_logged_and_can_be_taken_back(place):
    outcome = place.review.skip(TAX)
    assert place.review.standing().skipped["tax/form"].details["count"] == 8
    place.review.undo(outcome.decision.decision_id)
    assert place.review.standing().skipped == {}


def test_an_unknown_decision_names_the_last_ones(place):
    made = place.review.skip(TAX).decision.decision_id
    with pytest.raises(Fault) as raised:
        place.review.undo("nothing")
    assert made in raised.value.allowed


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["write_decisions", "carry_out"])
def test_a_kill_while_adding_leaves_the_old_taxonomy_and_deciding_again_is_safe(place, monkeypatch, step):
    def killed(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(module, step, killed)
        with pytest.raises(Killed):
            place.review.add(TAX, parent_code=None)
    assert place.content == CSV.encode()
    assert place.review.standing().decided_texts == frozenset()
    place.review.add(TAX, parent_code=None)
    assert place.codes[-1] == "g-tax-form"
    assert place.review.standing().decided_texts == {"t1", "t2"}


def test_two_reviewers_lose_nothing(place, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    def decide(number):
        return place.review.add(Proposal(f"Topic number {number}", f"topic/number/{number}"), parent_code=None)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(decide, range(8)))
    assert {own.decision.code for own in done} <= set(place.codes)
    assert len(place.log()) == 8
