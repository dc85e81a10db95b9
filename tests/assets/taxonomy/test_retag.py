"""Which answers a change touches, and what a run makes of them."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from taxomind_assets.taxonomy import retag_run
from taxomind_assets.taxonomy.crosswalk import Crosswalk, Link
from taxomind_assets.taxonomy.retag import APPLIED, TOP, Changes, Judge, Selection, homes_of_added, outcome_of
from taxomind_assets.taxonomy.retag_plan import plan_retag, store_plan
from taxomind_assets.taxonomy.retag_run import applicable, apply_run, cancel, carry_out, outcomes, roll_back
from taxomind_assets.taxonomy.retag_store import RetagStore
from taxomind_assets.taxonomy.revision import Revision, Translation, VersionFile
from taxomind_assets.taxonomy.revision_log import Author, plan_revision
from taxomind_assets.taxonomy.revision_log import carry_out as put_in_force
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings, load_settings
from tests.resources.llm.chat_server import serving

KEY = "animals"
TEXTS = (
    "text_id,text\n"
    "puppy,barking puppy\n"
    "poodle,poodle\n"
    "kitten,purring kitten\n"
    "oak,acorn tree\n"
    "rose,thorny flower\n"
    "odd,xyzzy quux\n"
    "human,barking poodle of a person\n"
)
REVISED = (
    "code,parent_code,label,definition,examples\n"
    "a,,Animals,Living beings that move,\n"
    'poodle,a,Poodle,A dog with curls,"poodle\nribbon"\n'
    'puppy,a,Puppy,A young dog that barks,"barking puppy"\n'
    'feline,a,Cat,An animal that purrs,"purring kitten"\n'
    "p,,Plants,Living beings with leaves,\n"
    'green,p,Oak and rose,A tree with acorns or a flower with thorns,"acorn tree\nthorny flower"\n'
)
LINKS = "old_code,new_code\ndog,poodle\ndog,puppy\noak,green\nrose,green\ncat,feline\n"


def tree(*nodes):
    texts = (NodeText("en", "label"),)
    levels = {None: 0}
    made = []
    for code, parent in nodes:
        levels[code] = levels[parent] + 1
        made.append(Node(code, parent, levels[code], texts))
    return Taxonomy.build("k", made, version="now")


GROWN = tree(("a", None), ("a1", "a"), ("a2", "a"), ("a21", "a2"), ("b", None), ("b1", "b"))


def judge(known, under=None, links=(), old=None):
    changes = Changes(0, homes_of_added(GROWN, known))
    if not links:
        return Judge(GROWN, Translation.of([], "now"), {"then": changes}, under)
    crosswalk = Crosswalk.between([Link(*link) for link in links], old, GROWN.codes)
    files = VersionFile("then", "f", "1"), VersionFile("now", "f", "2")
    record = Revision(1, "revise", 0, datetime.now(UTC), "me", *files, crosswalk=crosswalk)
    return Judge(GROWN, Translation.of([record], "now"), {"then": changes}, under)


def whys(found, codes):
    return [found.touched("then", code).why for code in codes]


def test_a_new_child_touches_its_parent_and_its_siblings_only():
    assert whys(judge(["a", "a1", "b", "b1"]), ["a", "a1", "b", "b1"]) == ["added", "added", "", ""]


def test_a_new_node_below_a_new_node_hangs_on_the_nearest_that_was_known():
    assert homes_of_added(GROWN, ["a", "a1", "b", "b1"]) == {"a"}
    assert homes_of_added(GROWN, ["a"]) == {"a", TOP}


def test_a_new_top_node_touches_every_answer_and_those_that_were_none():
    assert whys(judge(["a", "a1", "a2", "a21"]), ["a1", None]) == ["added", "abstained"]


def test_nothing_is_touched_when_nothing_was_added():
    assert whys(judge(GROWN.codes), ["a1", "b1", None]) == ["", "", ""]


def test_a_split_node_may_only_become_one_of_its_parts():
    found = judge(["a", "a1", "a2", "a21", "b", "b1"], links=[("x", "a1"), ("x", "b1")], old=["a", "x", "b", "a2", "a21"])
    assert found.touched("then", "x").why == "split"
    assert found.touched("then", "x").options == ("a1", "b1")


def test_a_code_with_one_counterpart_needs_no_classifier():
    found = judge(GROWN.codes, links=[("x", "a1")], old=["a", "x", "a2", "a21", "b", "b1"])
    assert whys(found, ["x", "b1"]) == ["", ""]


def test_a_code_without_successor_is_looked_at_again():
    assert whys(judge(GROWN.codes, links=[("x", "")], old=["x", *GROWN.codes]), ["x"]) == ["gone"]


def test_below_a_named_node_every_answer_is_meant_and_no_other():
    assert whys(judge(GROWN.codes, under="a"), ["a", "a21", "b1", None]) == ["under", "under", "", ""]


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        (["a"], "a", "same"),
        (["a"], "a21", "deeper"),
        (["a21"], "a2", "shallower"),
        (["a1"], "a21", "moved"),
        ([], "a1", "moved"),
        ([], None, "same"),
        (["a"], None, "abstained"),
        (["a1", "b1"], "b1", "moved"),
    ],
)
def test_outcomes_compare_places_in_the_tree(before, after, outcome):
    assert outcome_of(GROWN, before, after) == outcome


def test_a_selection_has_limits_of_time():
    now = datetime.now(UTC)
    assert Selection(since=now).covers(now)
    assert not Selection(until=now).covers(now + timedelta(seconds=1))


@pytest.fixture
def answered(animals, tmp_path):
    """A taxonomy whose texts were answered before it was revised."""
    animals.put(KEY, "texts", TEXTS)
    assert animals.run("build_taxonomy", KEY).success
    assert animals.run("inference", KEY).success
    (tmp_path / "new.csv").write_text(REVISED)
    (tmp_path / "links.csv").write_text(LINKS)
    files = {"source": tmp_path / "new.csv", "crosswalk": tmp_path / "links.csv"}
    put_in_force(animals.inbox, plan_revision(animals.inbox, animals.outputs, KEY, LimitSettings(), Author("me"), **files))
    placed = "correction_id,text,code,annotator,corrected_at\n1,Barking poodle  of a person,dog,ann,2026-01-01T00:00:00Z\n"
    animals.put(KEY, "corrections", placed, "corrections.csv")
    assert animals.run("build_taxonomy", KEY).success
    assert animals.run("learning_pipe", KEY).success
    return animals


def planned(project, **selection):
    made = plan_retag(load_settings(), project.inbox, project.outputs, KEY, Selection(**selection), by="me")
    store_plan(project.outputs, KEY, made)
    return made


def carried_out(project, made, **options):
    return carry_out(load_settings(), project.inbox, project.outputs, KEY, made.run.run, by="me", **options)


def current(project):
    rows = project.sql("SELECT text_id, code, retag_run FROM classification.current_results ORDER BY row")
    return {row["text_id"]: (row["code"], row["retag_run"]) for row in rows}


def stored(project):
    return project.sql("SELECT * FROM classification.results ORDER BY row")


@pytest.mark.slow
class TestRuns:
    """Runs over real answers."""

    def test_only_touched_texts_are_looked_at(self, answered):
        made = planned(answered)
        rows = {row["text_id"]: (row["why"], row["options"], row["human"]) for row in made.rows.to_pylist()}
        before = {row["text_id"]: row["code"] for row in stored(answered)}
        dogs = {text_id for text_id, code in before.items() if code == "dog"}
        assert dogs >= {"puppy", "poodle"}
        assert set(rows) == dogs
        assert rows["puppy"] == ("split", ["poodle", "puppy"], False)
        assert made.run.cost == 0.0

    def test_a_run_is_planned_carried_out_applied_and_rolled_back_exactly(self, answered):
        before, first = stored(answered), current(answered)
        store = RetagStore(answered.outputs, KEY)
        made = planned(answered)
        assert carried_out(answered, made).state == "completed"
        assert current(answered) == first
        run = store.run(made.run.run)
        rows = applicable(store, run, APPLIED)
        apply_run(store, run, rows, by="me")
        after = current(answered)
        assert after["puppy"] == ("puppy", "1")
        assert after["poodle"] == ("poodle", "1")
        assert after["oak"] == first["oak"]
        # What was stored is never touched.
        assert stored(answered) == before
        roll_back(store, store.run("1"), by="me")
        assert current(answered) == first
        assert [entry["what"].partition(":")[0] for entry in store.run("1").history] == [
            *("planned", "started", "completed", "applied", "rolled back")
        ]

    def test_what_a_person_has_placed_is_never_changed(self, answered):
        made = planned(answered, under="a")
        store = RetagStore(answered.outputs, KEY)
        run = carried_out(answered, made)
        found = {row["text_id"]: row for row in store.texts(run.run).to_pylist()}
        assert found["human"]["outcome"] == "human"
        assert found["human"]["code"] == found["human"]["old_code"]
        assert "human" not in applicable(store, run, [*APPLIED, "same", "unsure"])["text_id"].to_pylist()
        with pytest.raises(Fault, match="cannot be applied"):
            applicable(store, run, ["human"])

    def test_a_person_who_decides_after_the_run_is_heard(self, answered):
        made = planned(answered)
        store = RetagStore(answered.outputs, KEY)
        run = carried_out(answered, made)
        late = "correction_id,text,code,annotator,corrected_at\n2,poodle,puppy,ann,2030-01-01T00:00:00Z\n"
        answered.put(KEY, "corrections", late, "late.csv")
        assert answered.run("learning_pipe", KEY).success
        assert "poodle" not in applicable(store, run, APPLIED)["text_id"].to_pylist()

    def test_a_killed_run_goes_on_at_the_checkpoint_that_is_missing(self, answered, monkeypatch):
        monkeypatch.setattr(retag_run, "CHECKPOINT", {"router": 1})
        made = planned(answered)
        child = os.fork()
        if not child:
            try:
                carried_out(answered, made, report=lambda texts: os.kill(os.getpid(), signal.SIGKILL))
            finally:
                os._exit(1)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        store = RetagStore(answered.outputs, KEY)
        assert store.run("1").state == "running"
        assert store.texts("1").num_rows == 1
        first = store.texts("1").to_pylist()[0]
        run = carried_out(answered, made)
        assert run.state == "completed"
        assert "resumed" in [entry["what"] for entry in run.history]
        assert store.texts("1").num_rows == made.rows.num_rows
        assert store.texts("1").to_pylist()[0] == first
        assert sum(outcomes(store, "1").values()) == made.rows.num_rows

    def test_results_are_asked_in_the_codes_of_either_edition(self, answered):
        query = "SELECT text_id, edition_code, relation, targets FROM classification.results_by_edition WHERE edition = {}"
        first = {row["text_id"]: row["edition_code"] for row in answered.sql(query.format(0))}
        assert first["oak"] == "oak"
        second = answered.sql(query.format(1))
        assert {row["edition_code"] for row in second if row["text_id"] == "oak"} == {"green"}
        assert {row["edition_code"] for row in second if row["text_id"] == "puppy"} == {"puppy", "poodle"}
        store = RetagStore(answered.outputs, KEY)
        run = carried_out(answered, planned(answered))
        apply_run(store, run, applicable(store, run, APPLIED), by="me")
        again = {row["text_id"]: row["edition_code"] for row in answered.sql(query.format(1)) if row["targets"] == 1}
        assert again["puppy"] == "puppy"
        assert {row["text_id"]: row["edition_code"] for row in answered.sql(query.format(0))}["puppy"] == "dog"

    def test_a_newer_answer_outweighs_a_run(self, answered):
        store = RetagStore(answered.outputs, KEY)
        run = carried_out(answered, planned(answered))
        apply_run(store, run, applicable(store, run, APPLIED), by="me")
        answered.put(KEY, "texts", TEXTS + "more,poodle once more\n")
        assert answered.run("inference", KEY).success
        newer = [row for row in answered.sql("SELECT * FROM classification.current_results") if row["text_id"] == "more"]
        assert newer[0]["retag_run"] is None

    def test_a_plan_for_another_version_is_refused(self, answered):
        made = planned(answered)
        answered.inbox.put(KEY, "taxonomy", (REVISED + "ant,a,Ant,,\n").encode(), "taxonomy.csv")
        assert answered.run("build_taxonomy", KEY).success
        with pytest.raises(Fault) as caught:
            carried_out(answered, made)
        assert caught.value.code == "revision_conflict"

    def test_growth_touches_what_lies_beside_the_new_node(self, answered):
        answered.inbox.put(KEY, "taxonomy", (REVISED + "fir,p,Fir,A tree with needles,needles\n").encode(), "taxonomy.csv")
        assert answered.run("build_taxonomy", KEY).success
        made = planned(answered)
        whys = {row["text_id"]: row["why"] for row in made.rows.to_pylist()}
        assert whys["oak"] == whys["rose"] == "added"
        assert whys["puppy"] == "split"
        assert "kitten" not in whys

    def test_limits_and_mistakes(self, answered):
        later = datetime.now(UTC) + timedelta(days=1)
        assert planned(answered, since=later).run.texts == 0
        assert planned(answered, until=later, limit=1).run.texts == 1
        store = RetagStore(answered.outputs, KEY)
        with pytest.raises(Fault, match="no node"):
            planned(answered, under="zzz")
        with pytest.raises(Fault, match="no retag run"):
            store.run("99")
        with pytest.raises(Fault, match="is not completed"):
            applicable(store, store.run("2"), APPLIED)
        with pytest.raises(Fault, match="is not applied"):
            roll_back(store, store.run("2"), by="me")
        cancel(store, store.run("2"), by="me")
        with pytest.raises(Fault, match="was canceled"):
            carry_out(load_settings(), answered.inbox, answered.outputs, KEY, "2", by="me")

    def test_a_language_model_is_asked_only_with_a_confirmed_amount(self, answered, monkeypatch):
        grown = REVISED + "fir,p,Fir,A tree with needles,needles\n"
        answered.inbox.put(KEY, "taxonomy", grown.encode(), "taxonomy.csv")
        assert answered.run("build_taxonomy", KEY).success
        with serving(lambda document: '{"choice": 0}') as server:
            for name, value in {"BASE_URL": server.url, "API_KEY": "k", "INPUT_PRICE": "100", "OUTPUT_PRICE": "100"}.items():
                monkeypatch.setenv(f"TAXOMIND_LLM__{name}", value)
            monkeypatch.setenv("TAXOMIND_ROUTING__ACCURACY_TARGET", "0.9999")  # a model is asked about unsure texts alone
            made = plan_retag(load_settings(), answered.inbox, answered.outputs, KEY, Selection(), strategy="llm", by="me")
            store_plan(answered.outputs, KEY, made)
            assert made.run.questions > 0
            assert made.run.cost > 0
            assert server.requests == []
            for confirmed in (None, made.run.cost / 2):
                with pytest.raises(Fault, match="asks a language model"):
                    carried_out(answered, made, confirmed=confirmed)
            monkeypatch.setattr(retag_run, "CHECKPOINT", {"llm": 1})
            spent = iter(range(0, 1000, 7))
            monkeypatch.setattr(retag_run, "_spent", lambda classifier, strategy: float(next(spent)))
            paused = carried_out(answered, made, confirmed=made.run.cost)
            assert paused.state == "paused_cost"
            assert RetagStore(answered.outputs, KEY).texts("1").num_rows == 1
            assert carried_out(answered, made, confirmed=1e6).state == "completed"
        assert RetagStore(answered.outputs, KEY).texts("1").num_rows == made.rows.num_rows
