"""`taxomind taxonomy revise | diff | history | retag` on a real data root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TAXOMIND = str(Path(sys.executable).with_name("taxomind"))

REVISED = """code,parent_code,label,definition,examples
A,,Animals,Living beings that move and eat,"a creature
wildlife"
ABS,A,Songbirds and parrots,Small birds that sing or talk,"sparrow
parrot in a cage"
ABO,A,Owls,Birds of prey that hunt at night,owl
AF,A,Fish,Animals that live in water and breathe through gills,"salmon
trout
goldfish in a bowl"
P,,Plants,Living beings that grow from the ground,"a green thing in a pot
vegetation"
PX,P,Trees and flowers,Plants with a trunk or with blossoms,"oak
birch
old willow by the river
tulip
rose
daisies on a meadow"
"""
LINKS = "old_code,new_code\nAB,ABS\nAB,ABO\nPT,PX\nPF,PX\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "new.csv").write_text(REVISED)
    (tmp_path / "links.csv").write_text(LINKS)
    return ["--input", tmp_path / "new.csv", "--crosswalk", tmp_path / "links.csv"]


def data_of(called):
    assert called.code == 0, called.err
    return json.loads(called.out)


def apart(data, *arguments):
    """What a call prints that builds something: a process of its own, as people start it."""
    command = [TAXOMIND, "--data", *map(str, [data, *arguments]), "--json"]
    environment = {**os.environ, "TAXOMIND_DATA": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_dry_run_says_what_would_change_and_changes_nothing(call, own, files):
    before = (own / "inbox/living/taxonomy.csv").read_bytes()
    found = data_of(call("--data", own, "taxonomy", "revise", "living", *files, "--dry-run", "--json"))
    assert [change["kind"] for change in found["changes"]] == ["split", "merged"]
    assert found["touched"]["split"]["answers"] == 1
    assert found["touched"]["merged"]["answers"] == 1
    assert not found["carried_out"]
    assert (own / "inbox/living/taxonomy.csv").read_bytes() == before
    assert not (own / "inbox/living/revisions").exists()
    shown = call("--data", own, "taxonomy", "revise", "living", *files, "--dry-run")
    assert "AB > ABS, ABO" in shown.out
    assert "one code became several" in shown.out


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_revision_its_retag_and_the_way_back(call, own, files):
    before = (own / "inbox/living/taxonomy.csv").read_bytes()
    index = (own / "indexes/living/current").read_bytes()
    done = apart(own, "taxonomy", "revise", "living", *files, "--note", "second edition")
    assert done["carried_out"]

    history = data_of(call("--data", own, "taxonomy", "history", "living", "--json"))
    assert [(row["edition"], row["in_force"]) for row in history["versions"]] == [(0, False), (1, True)]
    assert history["versions"][1]["changes"] == {"split": 1, "merged": 1}
    assert history["revisions"][0]["note"] == "second edition"
    assert "second edition" in call("--data", own, "taxonomy", "history", "living").out

    compared = call("--data", own, "taxonomy", "diff", "living")
    assert "split (1)" in compared.out
    assert "merged (1)" in compared.out

    retag = ["--data", own, "taxonomy", "retag"]
    planned = data_of(call(*retag, "plan", "living", "--json"))
    assert (planned["texts"], planned["reasons"], planned["stored"]) == (1, {"split": 1}, True)
    ran = data_of(call(*retag, "run", "living", "1", "--json"))
    assert ran["state"] == "completed"
    needs = call(*retag, "apply", "living", "1", "--json")
    assert needs.code == 2
    assert "needs a yes" in needs.out + needs.err
    applied = data_of(call(*retag, "apply", "living", "1", "--only", "moved,unsure", "--yes", "--json"))
    assert applied["answers"] == 1
    query = "SELECT code FROM classification.current_results WHERE text_id = 't1'"
    assert data_of(call("--data", own, "query", query, "--json")) == [{"code": "ABS"}]
    edition = "SELECT edition_code FROM classification.results_by_edition WHERE text_id = 't2' AND edition = 1"
    assert data_of(call("--data", own, "query", edition, "--json")) == [{"edition_code": "PX"}]
    assert "applied" in call(*retag, "list", "living").out
    data_of(call(*retag, "rollback", "living", "1", "--json"))
    assert data_of(call("--data", own, "query", query, "--json")) == [{"code": "AB"}]

    undone = apart(own, "taxonomy", "revise", "living", "--undo")
    assert undone["kind"] == "undo"
    assert (own / "inbox/living/taxonomy.csv").read_bytes() == before
    assert (own / "indexes/living/current").read_bytes() == index


def test_a_comparison_with_a_file_proposes_a_crosswalk(call, built, files, tmp_path):
    output = tmp_path / "draft.csv"
    found = data_of(call("--data", built, "taxonomy", "diff", "living", "current", files[1], "--output", output, "--json"))
    kinds = [change["kind"] for change in found["changes"]]
    assert kinds[:2] == ["split", "merged"]
    lines = output.read_text().splitlines()
    assert lines[0] == "old_code,new_code,note"
    assert {tuple(line.split(",")[:2]) for line in lines[1:]} == {("AB", "ABS"), ("AB", "ABO"), ("PT", "PX"), ("PF", "PX")}
    given = call("--data", built, "taxonomy", "diff", "living", "current", files[1], "--crosswalk", files[3])
    assert "guessed" not in given.out


def test_the_first_version_has_nothing_before_it(call, built):
    found = call("--data", built, "taxonomy", "diff", "living")
    assert found.code == 2
    assert "came before" in found.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one thing to do"),
        (["--input", "x.csv", "--undo"], "one thing to do"),
        (["--undo", "--crosswalk", "x.csv"], "knows its crosswalk"),
        (["--input", "x.csv", "--force"], "belongs to --undo"),
        (["--undo"], "No revision"),
    ],
)
def test_wrong_use_is_explained(call, built, arguments, said):
    found = call("--data", built, "taxonomy", "revise", "living", *arguments)
    assert found.code == 2
    assert said in found.err


def test_a_crosswalk_that_does_not_fit_is_refused_with_its_codes(call, own, files):
    files[3].write_text("old_code,new_code\nZZ,ABS\nAB,YY\n")
    found = call("--data", own, "taxonomy", "revise", "living", *files)
    assert found.code == 1
    assert "'ZZ'" in found.err
    assert "'YY'" in found.err
    assert not (own / "inbox/living/revisions").exists()


def test_without_a_change_there_is_nothing_to_retag(call, built):
    found = call("--data", built, "taxonomy", "retag", "plan", "living")
    assert found.code == 0
    assert "No stored answer is touched" in found.out
    assert "no retag runs" in call("--data", built, "taxonomy", "retag", "list", "living").out


def test_a_date_that_is_none_is_named(call, built):
    found = call("--data", built, "taxonomy", "retag", "plan", "living", "--since", "yesterday")
    assert found.code == 2
    assert "--since is a date" in found.err
