"""Labelling in a real browser with the keyboard alone."""

from __future__ import annotations

import socket
import threading
import time

import pyarrow as pa
import pytest
import uvicorn

from taxomind_assets.classification.classifier import Classifier
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import load_settings
from taxomind_resources.tables import BY_NAME
from tests.acceptance.browser import BROWSERS, find_browser
from tests.acceptance.driver import driven
from tests.app.api.v1_service import PATH, answering
from tests.copies import copied

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason=f"there is no browser: none of {', '.join(BROWSERS)} is on the PATH"),
]
THINGS = ("budgie", "trout", "ash", "daisy", "koi", "crow", "elm", "poppy")
#: With the two texts of the data root, as many as the page shows at once.
TEXTS = tuple(f"{word} {thing}" for word in ("green", "wet", "tall", "bright", "old", "early") for thing in THINGS)


def store_answers(data):
    """Answers to some texts, as a batch leaves them."""
    outputs, table = Outputs(data), "classification.results"
    like = outputs.read(table, "living").to_pylist()[0]
    answers = Classifier.load("living", load_settings(data)).classify(list(TEXTS)).to_pylist()
    own = [{**like, **row, "batch_id": "more", "row": at, "text_id": f"more-{at}"} for at, row in enumerate(answers, 1)]
    outputs.write(table, "living", pa.Table.from_pylist(own, schema=BY_NAME[table].arrow), part="more-00000")


@pytest.fixture(scope="module")
def service(built, tmp_path_factory):
    """A service without tokens that listens, with some texts to label."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("browser")
        data = copied(built, folder / "data")
        store_answers(data)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        found = answering(data, patch, auth_enabled=False)
        server = uvicorn.Server(uvicorn.Config(found.app, port=port, log_config=None))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield found, f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(20)


def test_fifty_texts_are_labelled_by_keyboard_alone(service):
    found, address = service
    current = "document.querySelector('.item.current')"
    with driven() as tab:
        tab.open(f"{address}/review/living/queue")
        size = tab.value("document.querySelectorAll('.item').length")
        assert size == len(TEXTS) + 2 == 50

        def counted(number):
            tab.wait(f"document.querySelector('#counter').textContent === '{before + number} of {size}'")

        before = 0
        # Texts that got no answer have alternatives alone.
        while not tab.value(f"{current}.dataset.code"):
            tab.press("1")
            before += 1
            counted(0)
        # Confirm the first one that has with Enter.
        first = tab.value(f"{current}.dataset.text")
        tab.press("Enter")
        counted(1)
        # Choose the first alternative of the second one.
        second, other = tab.value(f"[{current}.dataset.text, {current}.querySelector('[data-choose]').dataset.choose]")
        tab.press("1")
        counted(2)
        # Search in the tree for the third one, and move to the second hit and back.
        third = tab.value(f"{current}.dataset.text")
        tab.press("/")
        tab.type("flow")
        tab.wait(f"{current}.querySelector('[role=option][aria-selected=true]')?.textContent.includes('Flowers')")
        tab.press("ArrowDown", "ArrowUp", "Enter")
        counted(3)
        # Escape leaves the search; j and k move; s skips; u takes back, first the skip and then the label.
        place = tab.value(f"{current}.dataset.text")
        tab.press("/")
        tab.type("x")
        tab.press("Escape", "j")
        assert tab.value(f"{current}.dataset.text") != place
        tab.press("k")
        assert tab.value(f"{current}.dataset.text") == place
        tab.press("s")
        counted(4)
        tab.press("u")
        counted(3)
        tab.press("u")
        counted(2)
        assert tab.value(f"{current}.dataset.text") == third
        tab.press("e")
        tab.wait(f"!{current}.querySelector('[data-why]').hidden")
        # All the others, whatever they are answered with.
        for number in range(3, size - before + 1):
            tab.press("Enter" if tab.value(f"{current}.dataset.code") else "1")
            counted(number)
        tab.wait("!document.querySelector('#finished').hidden")
        tab.value("new Promise((done) => setTimeout(done, 300))")
        tab.wait(f"fetch('{PATH}/corrections?status=applied').then((a) => a.json()).then((a) => a.total === {size})")
        assert tab.value("document.activeElement.id") == "finished"
        assert tab.complaints == []
    applied = {row["text"]: row for row in found.get(f"{PATH}/corrections?status=applied")["corrections"]}
    assert applied[first]["action"] == "confirm"
    assert (applied[second]["code"], applied[second]["action"]) == (other, "correct")
    assert set(applied) == {*TEXTS, "a parrot that talks", "red tulips"}
    assert found.get(f"{PATH}/queue")["items"] == []
    statuses = [row["status"] for row in found.get(f"{PATH}/corrections?limit=1000")["corrections"] if row["text"] == third]
    assert sorted(set(statuses)) in (["applied"], ["applied", "withdrawn"])


def test_pages_fit_on_a_phone(service):
    _, address = service
    with driven() as tab:
        tab.dress(360, 700, phone=True)
        for path in ("", "?text=barn+owl", "/queue", "/growth", "/contradictions", "/report"):
            tab.open(f"{address}/review/living{path}")
            assert tab.value("document.documentElement.scrollWidth") <= 360, path
        assert tab.complaints == []
