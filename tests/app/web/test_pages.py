"""The review page as the server renders it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from taxomind_app.web import pages
from taxomind_app.web.rendering import POLICY
from taxomind_resources.outputs import Outputs
from taxomind_resources.tables import BY_NAME
from tests.app.api.test_v1_growth import candidate
from tests.app.api.v1_service import answering
from tests.copies import copied

STATIC = Path(pages.__file__).with_name("static")
ALL = ["", "?text=barn+owl", "/queue", "/growth", "/contradictions", "/report"]


class Elements(HTMLParser):
    """All elements of a page, and those that are not closed."""

    VOID = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag, name=None):
        return [own for found, own in self.found if found == tag and (name is None or name in own)]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def service(built, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        found = answering(copied(built, tmp_path_factory.mktemp("pages") / "data"), patch, auth_enabled=False)
        rows = [candidate("Mushrooms <&>", "mushroom")]
        table = pa.Table.from_pylist(rows, schema=BY_NAME["growth.candidates"].arrow)
        Outputs(found.data).write("growth.candidates", "living", table)
        for annotator, code in (("ada", "AF"), ("bob", "AB")):
            found.teach("flying fish", code, annotator=annotator)
        yield found


@pytest.fixture
def page(service):
    def get(path="", status=200):
        answer = service.http.get(f"/review/living{path}")
        assert answer.status_code == status, answer.text
        return Elements(answer.text)

    return get


@pytest.mark.parametrize("path", ALL)
def test_every_page_is_whole_named_and_safe(service, path):
    answer = service.http.get(f"/review/living{path}")
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    found = Elements(answer.text)
    assert found.open == []
    assert found.all("html", "lang")
    assert len(found.all("h1")) == len(found.all("main")) == 1
    assert not [own for _, own in found.found if "style" in own or any(name.startswith("on") for name in own)]
    assert all(own.get("src", "").startswith("/review/static/") for own in found.all("script"))
    ids = [own["id"] for _, own in found.found if "id" in own]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", ALL)
def test_every_field_has_a_label_and_every_reference_a_target(page, path):
    found = page(path)
    ids = {own["id"] for _, own in found.found if "id" in own}
    fields = [own["id"] for tag, own in found.found if tag in {"input", "textarea"} and own.get("type") != "hidden"]
    assert set(fields) <= {own["for"] for own in found.all("label", "for")}
    for name in ("for", "aria-controls", "aria-labelledby"):
        assert {own[name] for _, own in found.found if name in own} <= ids


@pytest.mark.parametrize("path", ["", "/queue", "/growth", "/contradictions", "/report"])
def test_the_page_that_is_open_is_marked_and_leads_to_the_others(page, path):
    links = page(path).all("a")
    assert {own["href"] for own in links} >= {f"/review/living{other}" for other in ("", *ALL[2:])}
    assert [own["href"] for own in links if own.get("aria-current")] == [f"/review/living{path}"]


def test_an_answer_is_shown_with_its_reasons(page):
    found = page("?text=barn+owl")
    for words in ("AB Birds", "Runner-up", "Decided by", "Nearest text", "owl", "It is right"):
        assert words in found.text
    assert ("section", "barn owl", "AB") in [(tag, own.get("data-text"), own.get("data-code")) for tag, own in found.found]


def test_texts_cannot_write_html(page):
    found = page("?text=%3Cscript%3Ealert(1)%3C/script%3E")
    assert len(found.all("script")) == 1
    assert "Mushrooms <&>" in page("/growth").text


def test_the_queue_offers_answer_alternatives_and_search_for_every_text(page):
    found = page("/queue")
    items = found.all("article", "data-item")
    assert sorted(own["data-text"] for own in items) == ["a parrot that talks", "red tulips"]
    assert all(own["data-code"] for own in items)
    assert len(found.all("button", "data-confirm")) == len(found.all("input")) == 2
    assert found.all("button", "data-choose")
    assert {"role": "combobox"}.items() <= found.all("input")[0].items()


def test_candidates_have_their_five_actions(page):
    found = page("/growth")
    assert {own["data-decide"] for own in found.all("button", "data-decide")} == {"add", "name", "reject", "skip"}
    assert len(found.all("div", "data-picker")) == 2
    assert found.all("button", "data-try")


def test_contradictions_are_shown_by_their_text(page):
    found = page("/contradictions")
    assert "flying fish" in found.text
    assert len(found.all("button", "data-withdraw")) == 2


def test_the_report_draws_its_figures(page):
    found = page("/report")
    assert len(found.all("svg")) >= 2
    assert "right or above" in found.text
    assert "stability index" in found.text


def test_pages_of_an_unknown_taxonomy_say_what_there_is(service):
    answer = service.http.get("/review/nowhere/queue")
    assert answer.status_code == 404
    assert "Known keys: living" in Elements(answer.text).text
    assert answer.headers["content-type"].startswith("text/html")


def test_a_text_that_is_too_long_is_refused_as_a_page(service):
    answer = service.http.get("/review/living", params={"text": "x" * 10_001})
    assert answer.status_code == 422
    assert "text: String should have at most" in Elements(answer.text).text


def test_dagster_is_linked_from_this_machine_only(service):
    assert 'href="http://localhost:3000"' in service.http.get("/review/living").text
    assert ":3000" not in service.http.get("/review/living", headers={"Host": "taxomind.example"}).text


@pytest.mark.parametrize(
    ("name", "kind"), [("review.css", "text/css"), ("review.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
)
def test_static_files_are_served_and_small(service, name, kind):
    answer = service.http.get(f"/review/static/{name}")
    assert answer.headers["content-type"].startswith(kind)
    assert len(answer.content) < 20_000
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_but_static_files_is_served_from_there(service):
    assert service.http.get("/review/static/../pages.py").status_code == 404
    assert service.http.get("/review/static/%2e%2e/pages.py").status_code == 404


def test_the_style_has_both_sets_of_colours_and_the_same_names():
    css = (STATIC / "review.css").read_text(encoding="utf-8")
    light, dark = (set(re.findall(r"(--[\w-]+):", block)) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL))
    assert light - dark == {"--radius"}
    assert set(re.findall(r"var\((--[\w-]+)\)", css)) <= light


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(place):
    """WCAG 2.2: at least 4.5 to 1 for text, 3 to 1 for lines of figures and controls."""
    css = (STATIC / "review.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", re.findall(r":root \{(.*?)\}", css, re.DOTALL)[place]))

    def contrast(one, other):
        bright, dim = sorted((luminance(colours[one]), luminance(colours[other])), reverse=True)
        return (bright + 0.05) / (dim + 0.05)

    for behind in ("--paper", "--panel"):
        for text in ("--ink", "--soft", "--main", "--good", "--bad"):
            assert contrast(text, behind) >= 4.5, (text, behind)
        for line in ("--line-strong", "--series1", "--series2"):
            assert contrast(line, behind) >= 3, (line, behind)
    assert contrast("--on-main", "--main") >= 4.5
