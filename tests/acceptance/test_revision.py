"""The shipped ISCO-08 is revised (a split, a merger, a renaming) and put back, with everything that people have told."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from taxomind_resources.catalogue import Catalogue
from taxomind_resources.index_store import IndexStore
from taxomind_resources.outputs import Outputs
from tests.copies import copied

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEY = "isco08"
EXAMPLE = Path(__file__).parents[2] / "data" / "examples" / "isco08" / "taxonomy.csv"
TAXOMIND = str(Path(sys.executable).with_name("taxomind"))
LINKS = "old_code,new_code\n2512,2512A\n2512,2512B\n5131,5133\n5132,5133\n"
CORRECTIONS = """correction_id,text,code,annotator,corrected_at
1,puts drinks on trays and carries them,5131,ann,2026-01-01T00:00:00Z
2,mixes drinks behind the counter,5132,ann,2026-01-01T00:00:00Z
3,officer of the engineers,0110,ann,2026-01-01T00:00:00Z
4,games software developer,2512,ann,2026-01-01T00:00:00Z
5,develops payroll software for a bank,2512,ann,2026-01-01T00:00:00Z
6,looks after horses,5164,ann,2026-01-01T00:00:00Z
"""


def revised_rows():
    """The shipped file with software developers split, waiters and bartenders merged, and officers renamed."""
    with EXAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    by_place = {(row["code"], row["language"]): row for row in rows}
    for row in rows:
        examples = row["examples"].split("\n")
        if row["code"] == "2512":
            games = [text for text in examples if any(word in text.lower() for word in ("game", "jeu", "juego", "spiel"))]
            others = [text for text in examples if text not in games]
            for suffix, label, own in (("A", "Games developers", games), ("B", "Business software developers", others)):
                yield {**row, "code": f"2512{suffix}", "label": label, "examples": "\n".join(own)}
        elif row["code"] == "5131":
            other = by_place["5132", row["language"]]
            both = f"{row['label']} / {other['label']}"
            yield {**row, "code": "5133", "label": both, "examples": "\n".join([*examples, *other["examples"].split("\n")])}
        elif row["code"] == "0110":
            yield {**row, "label": f"{row['label']} (officers)"}
        elif row["code"] != "5132":
            yield row


def taxomind(data, *arguments):
    done = subprocess.run([TAXOMIND, "--data", str(data), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shipped(tmp_path_factory, model_root):
    """A data root with the shipped ISCO-08 and some corrections, and the files of a second edition beside it."""
    folder = tmp_path_factory.mktemp("revision")
    data = folder / "data"
    data.mkdir()
    if (model_root / "models").is_dir():
        copied(model_root / "models", data / "models")
    rows = list(revised_rows())
    with (folder / "new.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "links.csv").write_text(LINKS)
    inbox = data / "inbox" / KEY / "corrections"
    inbox.mkdir(parents=True)
    (inbox / "corrections.csv").write_text(CORRECTIONS)
    os.utime(inbox / "corrections.csv", (1e9, 1e9))
    taxomind(data, "taxonomy", "add", KEY, EXAMPLE)
    return folder


def revise(folder, *more):
    files = ("--input", folder / "new.csv", "--crosswalk", folder / "links.csv")
    return json.loads(taxomind(folder / "data", "taxonomy", "revise", KEY, *files, "--json", *more))


def undo(folder):
    return json.loads(taxomind(folder / "data", "taxonomy", "revise", KEY, "--undo", "--json"))


def state(folder):
    """All that a revision may change and taking it back must restore."""
    data = folder / "data"
    outputs = Outputs(data)
    corrections = Catalogue(data).query("SELECT correction_id, code FROM learning.corrections ORDER BY 1").to_pylist()
    evidence = outputs.read("learning.centroids", KEY, columns=["code", "count", "vector_sum"]).sort_by("code").to_pylist()
    index = IndexStore(data).current(KEY)
    file = (data / "inbox" / KEY / "taxonomy.csv").read_bytes()
    return file, outputs.read("taxonomy.nodes", KEY).to_pylist(), index, corrections, evidence


def places(folder):
    return {row["correction_id"]: row["code"] for row in state(folder)[3]}


def test_a_revision_of_isco08_is_applied_and_taken_back_exactly(shipped):
    before = state(shipped)
    plan = revise(shipped, "--dry-run")
    assert [change["kind"] for change in plan["changes"]] == ["split", "merged", "renamed"]
    assert {name: counts["corrections"] for name, counts in plan["touched"].items()} == {"same": 2, "merged": 2, "split": 2}
    assert state(shipped) == before
    revise(shipped)
    found = places(shipped)
    assert (found["1"], found["2"], found["3"], found["6"]) == ("5133", "5133", "0110", "5164")
    reassigned = Catalogue(shipped / "data").query("SELECT * FROM taxonomy.reassignments").to_pylist()
    assert {row["correction_id"] for row in reassigned} == {"4", "5"}
    for row in reassigned:
        assert row["code"] in {"2512A", "2512B"}
        assert found[row["correction_id"]] == (row["code"] if row["status"] == "moved" else None)
    undo(shipped)
    assert state(shipped) == before


@pytest.mark.parametrize("kills", [pytest.param(1), pytest.param(6, marks=pytest.mark.endurance)])
def test_kills_at_any_moment_leave_the_former_edition_or_the_next(shipped, kills):
    """Every kill hits a revision that has begun; what is there then must be whole, and the next call goes on from it."""
    chance = random.Random(kills)
    before = state(shipped)
    for _ in range(kills):
        command = [TAXOMIND, "--data", str(shipped / "data"), "taxonomy", "revise", KEY, "--json"]
        files = ["--input", str(shipped / "new.csv"), "--crosswalk", str(shipped / "links.csv")]
        process = subprocess.Popen(
            [*command, *files], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(chance.uniform(1, 25))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        query = "SELECT version, count(*) AS n FROM taxonomy.nodes GROUP BY version"
        (row,) = Catalogue(shipped / "data").query(query).to_pylist()
        assert row["n"] == 619
        # The file in force is one of the two, and its codes can be read: whatever happened, going back works.
        file = (shipped / "data" / "inbox" / KEY / "taxonomy.csv").read_bytes()
        assert file in {before[0], (shipped / "new.csv").read_bytes()}
        if file != before[0]:
            undo(shipped)
        else:
            taxomind(shipped / "data", "taxonomy", "add", KEY, EXAMPLE)
        assert state(shipped) == before
