"""Commands, files, links, settings, columns and questions that the documents name are there and work."""

from __future__ import annotations

import re
import shlex
import tomllib

import pytest
import typer

from taxomind_app.cli.main import app
from taxomind_app.cli.session import Session
from taxomind_assets.classification import descent, stopping, validation
from taxomind_assets.classification.gate import NO_GATE
from taxomind_assets.classification.judge import Judge
from taxomind_assets.classification.label_calibration import CONFIDENCE
from taxomind_assets.classification.labelled_sample import FEWEST_TEXTS
from taxomind_assets.classification.reranker import Reranker
from taxomind_assets.reports.definitions import MEASURES, OUTCOMES
from taxomind_assets.taxonomy.columns import UNREAD, field_of
from taxomind_resources.catalogue import Catalogue
from taxomind_resources.settings import Settings, known_settings
from taxomind_resources.tables import BY_NAME, VIEWS
from tests.docs.markdown import CONCEPTS, PAGES, README, ROOT, Page

ALL = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
_PIPE = re.compile(r"\s\|\s")
#: What a data root holds is made by the product; `built` has it.
_MADE = "data/"


def parse(arguments: list[str]) -> None:
    """Parse a command line as the program does, and run nothing."""
    command = typer.main.get_command(app)
    context = command.make_context("taxomind", arguments, obj=Session())
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


def taxomind_calls(lines: list[str]) -> list[list[str]]:
    """Arguments of every call of the program; outlines with `[...]` are none."""
    found = []
    for part in [part for line in lines for part in _PIPE.split(line)]:
        if re.match(r"(TAXOMIND_\w+=\S+ )*(\.venv/bin/)?taxomind( |$)", part) and not re.search(r"\[|\.\.\.", part):
            words = shlex.split(part)
            arguments = words[next(i for i, word in enumerate(words) if word.endswith("taxomind")) + 1 :]
            found += [arguments] if arguments else []
    return found


@ALL
def test_every_command_line_can_be_parsed(page):
    for arguments in taxomind_calls(page.shell_lines):
        parse(arguments)


@ALL
def test_commands_named_in_a_sentence_exist(page):
    assert not [problem for arguments in taxomind_calls(page.spans) if (problem := problem_of(arguments))]


def problem_of(arguments: list[str]) -> str:
    """What is wrong with a call in a sentence, which may leave out what the command works on."""
    try:
        parse(arguments)
    except typer.Exit:  # after --help
        return ""
    except Exception as error:
        return "" if type(error).__name__ == "MissingParameter" else f"taxomind {shlex.join(arguments)}: {error}"
    return ""


def test_a_wrong_command_line_is_noticed():
    for arguments in (["clasify", "x"], ["classify", "--nope"], ["classify", "x", "--stop", "soon"], ["taxonomy", "ad"]):
        with pytest.raises(Exception, match=r"(?i)no such|not one of"):
            parse(arguments)


def test_readme_shows_the_main_commands():
    named = {arguments[0] for arguments in taxomind_calls([*README.shell_lines, *README.spans]) if arguments}
    assert named >= {"taxonomy", "classify", "report", "doctor", "settings", "query"}


@ALL
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {line.split()[1] for line in [*page.shell_lines, *page.spans] if line.startswith("make ")}
    assert named <= targets


def test_make_help_names_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)) - {"help"}
    assert targets - set(re.findall(r'@echo "make ([a-z]+)', makefile)) <= {"format"}


def named_paths(page: Page) -> set[str]:
    """Files and folders of the repository that a page names, outside of the data root."""
    words = {word.strip("'\",;:()") for line in [*page.shell_lines, *page.spans] for word in line.split()}
    tops = {path.name for path in ROOT.iterdir() if not path.name.startswith(".git")}
    return {word for word in words if word.split("/")[0] in tops and ("/" in word or "." in word) and "<" not in word}


@ALL
def test_files_and_folders_exist(page):
    named = {path for path in named_paths(page) if not path.startswith((_MADE, ".venv/"))}
    named |= {path for path in named_paths(page) if path.startswith("data/examples")}
    missing = sorted(path for path in named if not any(ROOT.glob(path)))
    assert not missing


@pytest.mark.slow
def test_files_of_the_data_root_are_made(built):
    made = {path.removeprefix(_MADE) for page in PAGES for path in named_paths(page) if path.startswith(_MADE)}
    made = {path for path in made if not path.startswith("examples/")} - {"settings.toml", "inbox/"}
    assert made
    assert not sorted(path for path in made if not (built / path).exists())


@ALL
def test_relative_links_lead_somewhere(page):
    for link in page.links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in Page(target).anchors, link


@ALL
def test_no_page_names_a_folder_of_some_machine(page):
    assert not re.search(r"/(work|root|home|Users)/", page.text)


def test_pictures_are_small_and_used():
    pictures = sorted((ROOT / "docs" / "images").iterdir())
    used = {(page.path.parent / link).resolve() for page in PAGES for link in page.links}
    assert pictures
    assert not [path.name for path in pictures if path not in used or path.stat().st_size > 300_000]


@pytest.mark.slow
def test_questions_of_the_readme_have_the_columns_and_rows_they_promise(built):
    questions = README.blocks("sql")
    assert questions
    for sql in questions:
        rows = Catalogue(built).query(sql)
        selected = re.split(r",(?![^(]*\))", re.search(r"SELECT (.*?)\sFROM", sql, re.DOTALL).group(1))
        assert rows.column_names == [column.split(" AS ")[-1].strip() for column in selected]
        assert rows.num_rows, sql


def test_questions_of_the_readme_ask_for_measures_and_outcomes_that_exist():
    asked = "\n".join(README.blocks("sql"))
    measures = [re.findall(r"'(\w+)'", names) for names in re.findall(r"metric (?:= |IN )(\(.*?\)|'\w+')", asked)]
    assert {name for names in measures for name in names} <= set(MEASURES)
    assert set(re.findall(r"outcome = '(\w+)'", asked)) <= set(OUTCOMES)
    assert measures


@ALL
def test_settings_exist(page):
    groups = {name.partition(".")[0] for name in known_settings()}
    named = {span.split(" = ")[0] for span in page.spans if re.fullmatch(r"([a-z]+)\.[a-z_]+( = \S+)?", span)}
    assert {name for name in named if name.partition(".")[0] in groups} <= {*known_settings(), *BY_NAME}
    for block in page.blocks("toml"):
        values = tomllib.loads(block)
        settings = Settings.model_validate(values)
        for key in values.get("taxonomy", {}):
            settings.for_taxonomy(key)
    variables = {f"TAXOMIND_{name.replace('.', '__').upper()}" for name in known_settings()}
    assert set(re.findall(r"TAXOMIND_[A-Z]+__[A-Z_]+", page.text)) <= variables


def test_settings_named_with_a_value_are_allowed_values():
    assignments = [span for span in README.spans if re.fullmatch(r'[a-z_]+ = ".*"', span)]
    assert assignments
    groups = {name.partition(".")[2]: name.partition(".")[0] for name in known_settings()}
    for span in assignments:
        Settings.model_validate({groups[span.split(" = ")[0]]: tomllib.loads(span)})


def test_columns_of_a_taxonomy_are_read():
    (table,) = [table for table in README.tables() if table[0] == ["column", "meaning"]]
    named = {name for row in table[1:] for name in re.findall(r"`(\w+)`", row[0])}
    assert {field_of(name) for name in named} == named
    assert named >= {"code", "parent_code", "label", "definition", "examples"}
    assert not named & UNREAD


@ALL
def test_tables_named_exist(page):
    schemas = {name.partition(".")[0] for name in BY_NAME}
    named = {span for span in page.spans if re.fullmatch(r"[a-z]+\.[a-z_]+", span) and span.partition(".")[0] in schemas}
    # A schema may share its name with a group of settings, or with a file.
    views = {view.full_name for view in VIEWS}
    assert {name for name in named if not name.endswith((".csv", ".json", ".sql"))} <= {*BY_NAME, *views, *known_settings()}


def stated_reasons() -> list[set[str]]:
    """The stop reasons of docs/concepts.md, one set per table."""
    tables = [table for table in CONCEPTS.tables() if table[0][0].startswith("stop_reason")]
    return [{re.sub(r"[` \\]|\(depth=N\)", "", row[0]) for row in table[1:]} for table in tables]


def test_stop_reasons_are_those_that_the_code_gives():
    constants = {name: value for name, value in vars(stopping).items() if name.isupper() and isinstance(value, str)}
    by_mass, by_rules, marks = stated_reasons()
    assert by_mass == set(constants.values())
    stops = descent.reason_texts([stop for stop in descent.Stop if stop != descent.Stop.DESCEND], 3)
    assert by_rules == {str(reason).replace(" (depth=3)", "") for reason in stops}
    validated = {f"|validation_{status.name.lower()}" for status in validation._CHANGED}
    assert marks == validated | {f"|{opinion.name}" for opinion in (Judge, Reranker)} | {f"|{NO_GATE}"}


def test_calibration_with_labels_begins_where_the_concepts_say():
    assert f"With {FEWEST_TEXTS} or more texts" in CONCEPTS.text
    assert f"{CONFIDENCE:.0%}".replace("%", " %") in CONCEPTS.text


def test_changelog_begins_with_what_comes_next_or_with_the_version_of_the_package():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    released = [heading.split(" - ")[0].strip("[]") for heading in headings if heading != "Unreleased"]
    assert headings.index("Unreleased") == 0 if "Unreleased" in headings else released
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", number) for number in released)
    assert released == sorted(released, key=lambda number: [int(part) for part in number.split(".")], reverse=True)
    assert not released or released[0] == version
