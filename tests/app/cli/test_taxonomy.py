"""`taxomind taxonomy`: what is added is built by the asset graph, what is refused changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxomind_app.cli.graph import fault_of
from taxomind_app.cli.instance import open_instance
from taxomind_assets.by_key import failure_of
from taxomind_resources.faults import Fault

Call = Callable[..., Any]
TREE = "code,parent_code,label\n1,,Fruit\n11,1,Apples\n12,1,Pears\n2,,Tools\n21,2,Hammers\n22,2,Saws\n"
BROKEN = "code,parent_code,label\n1,,Fruit\n11,9,Apples\n1,,Fruit again\n"


@pytest.fixture
def tree_file(tmp_path: Path) -> Path:
    """A taxonomy without texts of its own."""
    path = tmp_path / "goods [new].csv"
    path.write_text(TREE, encoding="utf-8")
    return path


def _listed(call: Call, data: Path) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in json.loads(call("--data", data, "taxonomy", "list", "--json").out)}


def test_built_taxonomy_is_listed_as_up_to_date(call: Call, built: Path) -> None:
    row = _listed(call, built)["living"]
    assert (row["nodes"], row["leaves"], row["depth"], row["waits_for"]) == (6, 4, 2, [])
    assert row["index_version"]
    assert "living" in call("--data", built, "taxonomy", "list").out


def test_no_taxonomy_says_how_to_begin(call: Call, tmp_path: Path) -> None:
    assert "taxomind demo" in call("--data", tmp_path, "taxonomy", "list").out
    assert json.loads(call("--data", tmp_path, "taxonomy", "list", "--json").out) == []


def test_added_taxonomy_is_a_partition_with_recorded_runs(built: Path) -> None:
    from dagster import AssetKey

    with open_instance(built) as instance:
        assert instance.get_dynamic_partitions("taxonomy_key") == ["living"]
        for asset in ("raw_taxonomy", "node_index", "classification_results", "error_report"):
            assert instance.get_materialized_partitions(AssetKey(asset)) == {"living"}
        (run,) = instance.get_runs()
        assert (run.job_name, run.status.value) == ("whole_job", "SUCCESS")
        assert run.tags["taxomind/taxonomy_key"] == run.tags["dagster/partition"] == "living"


def test_added_texts_are_answered_and_reported_on(call: Call, built: Path) -> None:
    sql = "SELECT text_id, code FROM classification.results ORDER BY row"
    assert json.loads(call("--data", built, "query", sql, "--json").out) == [
        {"text_id": "t1", "code": "AB"},
        {"text_id": "t2", "code": "PF"},
    ]


def test_taxonomy_can_be_added_changed_and_removed(call: Call, own: Path, tree_file: Path) -> None:
    added = call("--data", own, "taxonomy", "add", "goods", tree_file, "--json")
    assert added.code == 0, added.err
    assert [step["asset"] for step in json.loads(added.out)["assets"]][-1] == "node_index"
    first = _listed(call, own)["goods"]
    tree_file.write_text(TREE.replace("Saws", "Hand saws"), encoding="utf-8")
    changed = call("--data", own, "taxonomy", "add", "goods", tree_file)
    assert "goods is ready: 6 nodes" in changed.out
    assert "node_index" in changed.err
    second = _listed(call, own)["goods"]
    assert first["index_version"] != second["index_version"]
    assert second["waits_for"] == []

    removed = call("--data", own, "taxonomy", "remove", "goods", "--yes")
    assert (removed.code, removed.out) == (0, "goods is removed.\n")
    assert list(_listed(call, own)) == ["living"]
    assert not [path for path in own.rglob("*goods*") if ".lock" not in path.name]
    with open_instance(own) as instance:
        assert instance.get_dynamic_partitions("taxonomy_key") == ["living"]
    assert call("--data", own, "classify", "an owl").code == 0


def test_broken_tree_is_refused_with_every_problem_and_changes_nothing(call: Call, own: Path, tree_file: Path) -> None:
    before = _listed(call, own)
    tree_file.write_text(BROKEN, encoding="utf-8")
    called = call("--data", own, "taxonomy", "add", "living", tree_file)
    assert called.code == 1
    assert "11 (parent 9, line 3)" in called.err
    assert "first in line 2" in called.err
    assert _listed(call, own) == before


def test_texts_that_are_none_are_refused_before_anything_is_added(call: Call, fresh: Path, tree_file: Path) -> None:
    picture = tree_file.with_name("texts.png")
    picture.write_bytes(b"\x89PNG")
    called = call("--data", fresh, "taxonomy", "add", "goods", tree_file, "--texts", picture)
    assert (called.code, "[unsupported_format]" in called.err) == (2, True)
    assert not (fresh / "inbox").exists()


def test_other_suffixes_get_the_name_that_the_inbox_reads(call: Call, own: Path, tree_file: Path) -> None:
    file = tree_file.rename(tree_file.with_name("goods.tsv"))
    file.write_text(TREE.replace(",", "\t"), encoding="utf-8")
    texts = file.with_name("some texts.ndjson")
    texts.write_text('{"text": "a pear"}\n', encoding="utf-8")
    assert call("--data", own, "taxonomy", "add", "goods", file, "--texts", texts).code == 0
    folder = own / "inbox" / "goods"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "taxonomy.csv",
        "texts/some texts.jsonl",
    ]


def test_fault_of_an_asset_is_rendered_like_any_other(
    call: Call, own: Path, tree_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXOMIND_EMBEDDING__MODEL", "all-MiniLM-L6-v3")
    called = call("--data", own, "taxonomy", "add", "goods", tree_file)
    assert called.code == 1
    assert called.err.splitlines()[-4].startswith(
        "The embedding model cannot be loaded [model_unavailable]: There is no folder"
    )
    assert "Traceback" not in called.err
    problem = call("--data", own, "taxonomy", "add", "goods", tree_file, "--json").err
    assert json.loads(problem[problem.index("{") :])["code"] == "model_unavailable"


def test_fault_can_be_read_back_from_a_failure() -> None:
    fault = Fault(
        "invalid_taxonomy", "a.csv: bad.", value=[1], allowed="a: tree", next_step="Mend it.", details=[{"what": "line 3: no"}]
    )
    assert fault_of(failure_of({"key": fault})).render() == fault.render()


def test_validate_describes_a_taxonomy_and_writes_nothing(call: Call, tmp_path: Path, tree_file: Path) -> None:
    data = tmp_path / "data"
    tree_file.write_text(TREE + ",1,No code\n", encoding="utf-8")
    called = call("--data", data, "taxonomy", "validate", tree_file)
    assert called.code == 0
    assert "goods [new].csv is a taxonomy: 6 nodes, 4 leaves, 2 levels" in called.out
    assert "Refused: line 8: " in called.err
    described = json.loads(call("--data", data, "taxonomy", "validate", tree_file, "--json").out)
    assert (described["nodes"], described["rejected"][0]["reason_code"]) == (6, "empty_code")
    assert not data.exists()


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("broken.csv", BROKEN.encode(), "invalid_taxonomy"),
        ("empty.csv", b"", "unreadable_file"),
        ("binary.csv", b"code,label\n\x00\x00", "unreadable_file"),
        ("latin.csv", b"code,label\n1,caf\xe9\n", "unreadable_file"),
        ("table.xlsx", b"PK\x03\x04", "unsupported_format"),
        ("columns.csv", b"number,name\n1,One\n", "missing_column"),
    ],
)
def test_unusable_taxonomy_files_are_faults(call: Call, tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    (tmp_path / name).write_bytes(content)
    called = call("--data", tmp_path / "data", "taxonomy", "validate", tmp_path / name)
    assert called.code in {1, 2}
    assert f"[{fault}]" in called.err


@pytest.mark.parametrize("key", ["", "../up", "a/b", " outer", "__none__", "x" * 101])
def test_unusable_keys_are_wrong_use(call: Call, tmp_path: Path, tree_file: Path, key: str) -> None:
    called = call("--data", tmp_path / "data", "taxonomy", "add", key, tree_file)
    assert (called.code, "[invalid_key]" in called.err) == (2, True)
    assert not (tmp_path / "data").exists()


def test_show_draws_the_tree_to_a_depth(call: Call, built: Path) -> None:
    shallow = call("--data", built, "taxonomy", "show", "living", "--depth", "1").out
    assert "A  Animals  (2 below)" in shallow
    assert "Birds" not in shallow
    assert "Birds" in call("--data", built, "taxonomy", "show", "living").out


def test_show_describes_a_node(call: Call, built: Path) -> None:
    shown = call("--data", built, "taxonomy", "show", "living", "AB").out
    assert "Animals › Birds" in shown
    assert "examples: sparrow; owl; parrot in a cage" in shown
    node = json.loads(call("--data", built, "taxonomy", "show", "living", "A", "--json").out)
    assert (node["path"], [child["code"] for child in node["children"]]) == (["A"], ["AB", "AF"])
    assert node["children"][0]["texts"][0]["examples"] == ["sparrow", "owl", "parrot in a cage"]


def test_show_names_the_nearest_code(call: Call, built: Path) -> None:
    called = call("--data", built, "taxonomy", "show", "living", "ABX")
    assert called.code == 2
    assert "AB" in called.err.split("allowed:")[1]


def test_remove_asks_first(call: Call, built: Path) -> None:
    called = call("--data", built, "taxonomy", "remove", "living")
    assert (called.code, "Add --yes." in called.err) == (2, True)
    assert "living" in _listed(call, built)


def test_remove_of_an_unknown_key_names_the_nearest(call: Call, built: Path) -> None:
    called = call("--data", built, "taxonomy", "remove", "livin", "--yes")
    assert (called.code, "Did you mean 'living'?" in called.err) == (2, True)


def test_taxonomy_that_only_lies_in_the_inbox_waits_for_its_build(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "inbox" / "goods"
    folder.mkdir(parents=True)
    (folder / "taxonomy.csv").write_text(TREE, encoding="utf-8")
    os.utime(folder / "taxonomy.csv", (0, 0))
    row = _listed(call, tmp_path)["goods"]
    assert (row["nodes"], row["index_version"], row["waits_for"]) == (None, None, ["build"])


@pytest.mark.slow
def test_interrupted_build_ends_with_130_and_can_be_taken_up(
    call: Call, fresh: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    file = Path(__file__).parents[3] / "data" / "examples" / "isco08" / "taxonomy.csv"
    process = start("--data", fresh, "taxonomy", "add", "jobs", file)
    assert process.stderr is not None
    said = b""
    while b"enriched_definitions" not in said:
        said += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert b"Traceback" not in process.stderr.read()
    assert _listed(call, fresh)["jobs"]["waits_for"] == ["build"]
    with open_instance(fresh) as instance:
        assert [run.status.value for run in instance.get_runs()] == ["FAILURE"]
