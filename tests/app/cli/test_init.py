"""`taxomind init` and `taxomind taxonomy enrich`: shown first, written after a yes, paid once."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taxomind_app.cli.init import _default_starter
from taxomind_app.cli.main import main
from taxomind_resources import llm
from taxomind_resources.inbox import Inbox
from taxomind_resources.settings import Settings
from tests.resources.llm.chat_server import ChatServer, serving

Call = Callable[..., Any]
TEXTS = {
    "cooking": [
        "boil the pasta",
        "cook the rice",
        "fry two eggs",
        "bake a loaf of bread",
        "roast the potatoes",
        "simmer the soup",
    ],
    "cars": [
        "change the car tyres",
        "the car engine stalls",
        "car brakes squeak",
        "oil change for the car",
        "car battery is flat",
    ],
    "pets": ["feed the cat", "walk the dog", "the kitten sleeps", "puppy training class", "brush the cat and the dog"],
}


@pytest.fixture
def texts_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    path.write_text("text\n" + "".join(f"{text}\n" for texts in TEXTS.values() for text in texts), encoding="utf-8")
    return path


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A language model on this machine, named by the settings."""

    def answer(data: dict[str, Any]) -> str:
        if "groups" in data:
            labels = [
                {"label": f"Name {group['number']}", "definition": "d", "parent": "", "groups": [group["number"]]}
                for group in data["groups"]
            ]
            return json.dumps({"labels": labels, "rationale": "r", "notes": []})
        text = f"what one does with a {data['label'].lower()} on Sundays"
        return json.dumps({"definition": "", "examples": [text], "positive_phrases": [], "negative_phrases": []})

    made = dict(llm.client._SHARED)
    with serving(answer) as server:
        monkeypatch.setenv("TAXOMIND_LLM__BASE_URL", server.url)
        monkeypatch.setenv("TAXOMIND_LLM__REQUESTS_PER_MINUTE", "60000")
        yield server
        for key in set(llm.client._SHARED) - set(made):
            llm.client._SHARED.pop(key).close()


def test_minimal_starter_is_shown_and_written_only_after_a_yes(call: Call, fresh: Path) -> None:
    asked = call("--data", fresh, "init", "notes")
    assert asked.code == 2
    assert "--yes" in asked.err
    assert "Creative" in asked.out
    assert not (fresh / "inbox").exists()
    done = call("--data", fresh, "init", "notes", "--yes")
    assert done.code == 0, done.err
    assert "notes is ready" in done.out
    answer = call("--data", fresh, "classify", "-t", "notes", "bug: the login page loops", "--json")
    assert json.loads(answer.out)["code"] == "tech"


@pytest.mark.parametrize(
    ("texts", "starter"), [(0, "minimal"), (40, "minimal"), (99, "minimal"), (100, "texts"), (250, "texts")]
)
def test_without_a_choice_own_texts_count_from_a_hundred_on(tmp_path: Path, texts: int, starter: str) -> None:
    """TL-START-2."""
    inbox = Inbox(tmp_path, 0.0)
    if texts:
        inbox.put("k", "texts", ("text\n" + "".join(f"text number {i}\n" for i in range(texts))).encode(), "texts.csv")
    assert _default_starter("k", None, inbox, Settings.model_validate({"data": tmp_path})) == (
        "texts" if texts >= 100 else "minimal"
    )


def test_a_person_may_say_no(fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert main(["--data", str(fresh), "init", "notes"]) == 0
    assert "Nothing was written" in capsys.readouterr().out
    assert not (fresh / "inbox").exists()


def test_json_shows_the_proposal_and_writes_nothing_without_yes(call: Call, fresh: Path) -> None:
    shown = json.loads(call("--data", fresh, "init", "work", "--starter", "para", "--json").out)
    assert (shown["starter"], shown["written"]) == ("para", False)
    assert [node["label"] for node in shown["nodes"]] == ["Projects", "Areas", "Resources", "Archives"]
    assert not (fresh / "inbox").exists()


def test_a_taxonomy_that_is_there_is_never_replaced(call: Call, built: Path) -> None:
    refused = call("--data", built, "init", "living", "--yes")
    assert refused.code == 2
    assert "there is a taxonomy 'living' already" in refused.err.lower()


def test_own_texts_become_a_taxonomy_that_classifies_them(call: Call, fresh: Path, texts_file: Path) -> None:
    done = call("--data", fresh, "init", "home", texts_file, "--yes", "--language", "en", "--json")
    assert done.code == 0, done.err
    made = json.loads(done.out)
    assert made["starter"] == "texts"
    assert made["written"] is True
    assert len(made["nodes"]) == 3
    (code,) = [node["code"] for node in made["nodes"] if "change the car tyres" in node["examples"]]
    answer = json.loads(
        call("--data", fresh, "classify", "-t", "home", "new tyres for the car", "--stop", "never", "--json").out
    )
    assert answer["code"] == code
    written = json.loads((fresh / "inbox" / "home" / "taxonomy.json").read_text(encoding="utf-8"))
    assert written["derivation"]["texts"] == 16


def test_a_folder_of_notes_and_a_taxonomy_file_are_told_apart(call: Call, fresh: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    for name, texts in TEXTS.items():
        (folder / name).mkdir(parents=True)
        for number, text in enumerate(texts):
            (folder / name / f"{number}.md").write_text(f"# {text}\n{text} again", encoding="utf-8")
    shown = json.loads(call("--data", fresh, "init", "vault", folder, "--json").out)
    assert shown["starter"] == "folder"
    assert {node["label"] for node in shown["nodes"]} == set(TEXTS)
    tree = tmp_path / "tree.csv"
    tree.write_text("code;label\n1;One\n2;Two\n", encoding="utf-8")
    assert json.loads(call("--data", fresh, "init", "tree", tree, "--json").out)["starter"] == "file"


def test_a_language_model_names_groups_only_when_it_is_asked_to(
    call: Call, fresh: Path, texts_file: Path, model: ChatServer
) -> None:
    silent = json.loads(call("--data", fresh, "init", "home", texts_file, "--json").out)
    assert not model.requests
    assert "Named by keywords." in silent["about"][0]
    named = json.loads(call("--data", fresh, "init", "home", texts_file, "--llm", "--json").out)
    assert len(model.requests) == 1
    assert [node["label"] for node in named["nodes"]] == ["Name 0", "Name 1", "Name 2"]


def test_texts_that_fall_into_no_groups_leave_the_minimal_starter_and_say_why(call: Call, fresh: Path, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("text\nblue door\nquadratic equations\n", encoding="utf-8")
    shown = json.loads(call("--data", fresh, "init", "few", path, "--json").out)
    assert shown["starter"] == "minimal"
    assert "fall into no groups" in " ".join(shown["about"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("x", "--starter", "none"),
        ("x", "--starter", "folder"),
        ("x", "--starter", "texts"),
        ("x", "missing.csv"),
        ("x", "missing.csv", "--starter", "para"),
        ("x/y",),
    ],
)
def test_wrong_use_is_said_and_nothing_is_written(call: Call, fresh: Path, arguments: tuple[str, ...]) -> None:
    refused = call("--data", fresh, "init", *arguments, "--yes")
    assert refused.code in {1, 2}
    assert "next:" in refused.err
    assert not (fresh / "inbox").exists()


def test_enrichment_is_estimated_done_and_never_paid_again(call: Call, own: Path, model: ChatServer) -> None:
    planned = json.loads(call("--data", own, "taxonomy", "enrich", "living", "--dry-run", "--json").out)
    assert (planned["questions"], planned["answered_already"], planned["cost"]) == (6, 0, 0.0)
    assert planned["first_question"][0]["role"] == "system"
    assert not model.requests
    some = call("--data", own, "taxonomy", "enrich", "living", "--limit", "2", "--json")
    assert some.code == 0, some.err
    assert {name: json.loads(some.out)[name] for name in ("questions", "accepted", "left", "stopped")} == {
        "questions": 2,
        "accepted": 2,
        "left": 4,
        "stopped": "limit",
    }
    rest = call("--data", own, "taxonomy", "enrich", "living")
    assert "4 questions" in rest.out
    assert len(model.requests) == 6
    assert "answered already" in call("--data", own, "taxonomy", "enrich", "living").out
    assert len(model.requests) == 6
    shown = call("--data", own, "taxonomy", "show", "living", "AB").out
    assert "added by a language model" in shown
    assert "birds on Sundays" in shown
    text = "what one does with a birds on Sundays"
    answer = json.loads(call("--data", own, "classify", "-t", "living", text, "--explain", "--json").out)
    assert answer["code"] == "AB"
    assert answer["levels"][-1]["nearest_text"] == {"view": "example", "language": "", "text": text, "origin": "enrichment"}
    assert "added by a language model" in call("--data", own, "classify", "-t", "living", text, "--explain").out


def test_enrichment_without_a_key_says_what_to_set(call: Call, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    refused = call("--data", built, "taxonomy", "enrich", "living", "--json")
    assert refused.code == 2
    assert json.loads(refused.err)["code"] == "invalid_setting"
