"""The loop: texts that do not fit, a candidate, a decision, a node; with a language model and without."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from taxomind_assets.classification import shards
from taxomind_assets.growth.normalise import comparison_key
from taxomind_assets.growth.observations import proposal_line
from taxomind_assets.growth.proposals import Proposal
from taxomind_assets.growth.review import Review
from taxomind_assets.pending import growth_state, pending_growth
from taxomind_resources.settings import load_settings
from tests.resources.llm.chat_server import serving

KEY = "animals"
NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.date().isoformat()
LAPTOPS = [f"laptop keyboard battery screen number{i}" for i in range(8)]
NINTH = "laptop keyboard battery screen cracked"


@pytest.fixture
def built(animals, monkeypatch):
    # Vectors of random words are spread wide by six nodes: what does not fit is answered with up to 0.97, what does with 0.999.
    monkeypatch.setenv("TAXOMIND_GROWTH__LOW_CONFIDENCE", "0.995")
    assert animals.run("build_taxonomy", KEY).success
    return animals


@pytest.fixture
def answer_at(built, monkeypatch):
    """`answer_at(days, texts)`: answer texts as if so many days ago."""

    def answer(days, texts):
        class Then(datetime):
            @classmethod
            def now(cls, tz=None):
                return NOW - timedelta(days=days)

        with monkeypatch.context() as patched:
            patched.setattr(shards, "datetime", Then)
            built.put(KEY, "texts", "text\n" + "\n".join(texts) + "\n", f"day{days}.csv")
            assert built.run("inference", KEY).success

    return answer


@pytest.fixture
def laptops(built, answer_at):
    """Eight texts over ten days that no node fits, and two that fit."""
    for number, days in enumerate((10, 7, 3, 0)):
        answer_at(days, [*LAPTOPS[2 * number : 2 * number + 2], *(["a barking puppy", "acorn tree"] if not number else [])])
    return built


def grow(project):
    result = project.run("growth_pipe", KEY)
    assert result.success
    return result


def candidates(project):
    return project.outputs.read("growth.candidates", KEY).to_pylist()


def reviewer(project):
    return Review(KEY, load_settings(), project.inbox, project.outputs, by="anna")


def test_there_is_one_observation_for_each_answer_with_the_texts_that_do_not_fit(laptops, metadata):
    shown = metadata(grow(laptops), "growth_observations")
    rows = laptops.sql("SELECT * FROM growth.observations ORDER BY title")
    assert shown["from results"] == len(rows) == 10
    fit = {row["title"]: row["misfit"] for row in rows}
    assert (fit["a barking puppy"], fit["acorn tree"]) == ("", "")
    assert all(fit[text] for text in LAPTOPS)


def test_the_loop_closes_without_a_language_model(laptops, metadata):
    shown = metadata(grow(laptops), "growth_candidates")
    assert shown["pending"] == 1
    assert "laptop keyboard battery" in shown["sample texts"]
    (row,) = candidates(laptops)
    assert (row["kind"], row["count"], row["day_span"], row["sources"], row["status"]) == (
        "cluster",
        8,
        10,
        ["cluster"],
        "pending",
    )
    assert sorted(row["texts"]) == LAPTOPS
    assert json.loads(row["trial"])["moved"] >= 6
    assert len(row["nearest"]) == 3
    before = laptops.inbox.taxonomy_file(KEY).path.read_bytes()

    made = reviewer(laptops).add(Proposal.of_row(row), parent_code=row["parent_code"])
    assert laptops.run("build_taxonomy", KEY).success
    assert laptops.run("learning_pipe", KEY).success
    laptops.put(KEY, "texts", f"text\n{NINTH}\n", "ninth.csv")
    assert laptops.run("inference", KEY).success
    (answer,) = laptops.sql(f"SELECT code FROM classification.results WHERE text = '{NINTH}'")
    assert answer["code"] == made.decision.code
    grow(laptops)
    assert candidates(laptops) == []

    reviewer(laptops).undo(made.decision.decision_id)
    assert laptops.inbox.taxonomy_file(KEY).path.read_bytes() == before
    assert laptops.run("build_taxonomy", KEY).success
    assert laptops.run("learning_pipe", KEY).success
    assert laptops.sql("SELECT count(*) AS n FROM learning.evidence")[0]["n"] == 0
    grow(laptops)
    assert [own["count"] for own in candidates(laptops)] == [8]
    states = laptops.sql("SELECT action, state FROM growth.decisions ORDER BY decided_at")
    assert [(own["action"], own["state"]) for own in states] == [("add", "undone"), ("undo", "in_effect")]


def test_the_loop_closes_with_a_language_model(laptops, monkeypatch):
    asked = []

    def model(document):
        asked.append(document)
        code = "oak" if "again" in document or "number1" not in document["text"] else "no such code"
        return json.dumps({"primary_code": code, "ideal_label": "Broken computers"})

    monkeypatch.setenv("TAXOMIND_GROWTH__LABEL_BY_LLM", "true")
    with serving(model) as server:
        for name, value in {
            "MODEL": "m",
            "BASE_URL": server.url,
            "API_KEY": "k",
            "INPUT_PRICE": "1",
            "OUTPUT_PRICE": "1",
        }.items():
            monkeypatch.setenv(f"TAXOMIND_LLM__{name}", value)
        grow(laptops)
        (row,) = candidates(laptops)
        assert (row["label"], row["kind"], row["count"]) == ("Broken computers", "label", 8)
        assert row["sources"] == ["llm"]
        questions = len(server.requests)
        assert questions == 9  # the text whose answer named no node is asked about once more
        assert {node["code"] for node in asked[0]["nodes"]} == {"a", "dog", "cat", "p", "oak", "rose"}
        laptops.put(
            KEY,
            "observations",
            proposal_line("x", "Y", text_id="", primary_code=None, primary_label="", source="user"),
            "o.jsonl",
        )
        grow(laptops)
        assert len(server.requests) == questions
    stored = laptops.sql("SELECT * FROM growth.observations WHERE source = 'llm'")
    assert {(own["primary_code"], own["proposed_label"]) for own in stored} == {("oak", "Broken computers")}


def test_a_model_that_never_names_a_node_is_not_believed(laptops, monkeypatch):
    monkeypatch.setenv("TAXOMIND_GROWTH__LABEL_BY_LLM", "true")
    monkeypatch.setenv("TAXOMIND_GROWTH__CLUSTERS", "false")
    with serving(lambda document: json.dumps({"primary_code": "nowhere", "ideal_label": "Broken computers"})) as server:
        for name, value in {"MODEL": "m", "BASE_URL": server.url, "API_KEY": "k"}.items():
            monkeypatch.setenv(f"TAXOMIND_LLM__{name}", value)
        grow(laptops)
        assert len(server.requests) == 16
    assert candidates(laptops) == []
    assert laptops.sql("SELECT * FROM growth.observations WHERE source = 'llm'") == []


def test_a_rejected_group_is_never_proposed_again_with_new_texts_or_under_another_name(laptops, answer_at):
    grow(laptops)
    (row,) = candidates(laptops)
    reviewer(laptops).reject(Proposal.of_row(row))
    grow(laptops)
    assert candidates(laptops) == []
    answer_at(1, [f"laptop keyboard battery screen more{i}" for i in range(6)])
    grow(laptops)
    assert candidates(laptops) == []


def test_a_skipped_candidate_is_hidden(laptops):
    grow(laptops)
    (row,) = candidates(laptops)
    reviewer(laptops).skip(Proposal.of_row(row))
    grow(laptops)
    (row,) = candidates(laptops)
    assert row["status"] == "skipped"
    assert row["hidden_until"] > NOW + timedelta(days=6)


def test_wishes_of_people_are_observations_and_name_the_group_of_their_texts(laptops):
    lines = [
        proposal_line(text, "Devices", text_id="", primary_code=None, primary_label="", source="user") for text in LAPTOPS[:3]
    ]
    laptops.put(KEY, "observations", "".join(lines), "wishes.jsonl")
    grow(laptops)
    (row,) = candidates(laptops)
    assert (row["label"], row["count"], row["sources"]) == ("Devices", 8, ["cluster", "user"])


def test_corrections_to_codes_that_nobody_knows_ask_for_a_label(built):
    rows = [f"odd thing {i},Machines,anna,{(NOW - timedelta(days=i)).isoformat()}" for i in range(6)]
    built.put(KEY, "corrections", "text,code,annotator,corrected_at\n" + "\n".join(rows) + "\n", "given.csv")
    assert built.run("learning_pipe", KEY).success
    grow(built)
    (row,) = candidates(built)
    assert (row["label"], row["kind"], row["count"], row["day_span"]) == ("Machines", "label", 6, 5)
    assert row["texts"][-1] == "odd thing 0"


def test_observing_twice_writes_nothing_new_and_an_answer_made_anew_keeps_its_first_time(laptops, metadata):
    grow(laptops)
    again = metadata(grow(laptops), "growth_observations")
    assert again["parts made anew"] == 0
    times = "SELECT text_id, observed_at FROM growth.observations ORDER BY text_id, observed_at"
    first = laptops.sql(times)
    part = laptops.outputs.parts("classification.results", KEY)[0]
    rows = laptops.outputs.read("classification.results", KEY, parts=[part])
    import pyarrow as pa

    place = rows.column_names.index("classified_at")
    now = pa.array([NOW] * rows.num_rows, rows.schema.field(place).type)
    laptops.outputs.write("classification.results", KEY, rows.set_column(place, rows.schema.field(place), now), part=part)
    assert metadata(grow(laptops), "growth_observations")["parts made anew"] == 1
    assert laptops.sql(times) == first


def test_nodes_that_no_answer_uses_are_flagged_from_real_answers(laptops):
    grow(laptops)
    before = laptops.inbox.taxonomy_file(KEY).path.read_bytes()
    unused = {row["code"]: row["answers"] for row in laptops.sql("SELECT code, answers FROM growth.zero_usage")}
    assert "cat" in unused
    assert not unused.keys() & {"a", "dog", "p", "oak"}
    answered = laptops.sql("SELECT count(code) AS n FROM classification.results")[0]["n"]
    assert set(unused.values()) == {answered}
    assert laptops.inbox.taxonomy_file(KEY).path.read_bytes() == before


def test_without_answers_nothing_is_flagged_and_nothing_is_proposed(built):
    grow(built)
    assert (built.sql("SELECT * FROM growth.zero_usage"), candidates(built)) == ([], [])


def test_titles_and_texts_can_be_left_out(laptops, monkeypatch):
    monkeypatch.setenv("TAXOMIND_GROWTH__STORE_TITLES", "false")
    grow(laptops)
    assert laptops.sql("SELECT DISTINCT title, text FROM growth.observations") == [{"title": "", "text": ""}]


def test_growth_is_asked_for_when_something_came_and_once_a_day(laptops):
    def pending(today=TODAY):
        return pending_growth(KEY, load_settings(), laptops.inbox, laptops.outputs, laptops.indexes, today=today)

    assert pending()
    grow(laptops)
    assert pending() == ""
    assert pending("2099-01-01")
    reviewer(laptops).reject(Proposal("Nothing", comparison_key("Nothing")))
    assert pending()
    grow(laptops)
    laptops.put(KEY, "observations", "{}\n", "o.jsonl")
    assert pending()
    state = growth_state(KEY, load_settings(), laptops.inbox, laptops.outputs, laptops.indexes, today=TODAY)
    assert state.endswith(TODAY)


def test_a_log_that_cannot_be_read_stops_growth(laptops):
    laptops.put(KEY, "decisions", "no decision\n", "bad.jsonl")
    assert not laptops.run("growth_pipe", KEY).success
