"""`taxomind doctor`: what is wrong is found, and said with what to do."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxomind_app import doctor
from taxomind_app.cli.instance import open_instance

Call = Callable[..., Any]
NAMES = (
    "packages",
    "settings",
    "data root",
    "model",
    "storage",
    "vectors",
    "indexes",
    "calibration",
    "models in use",
    "sensors",
    "inputs",
    "answers",
    "taxonomies",
    "inbox",
    "growth",
    "unused nodes",
)


def _checks(data: Path) -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.run_checks(data)}


def _put(data: Path, name: str, content: str, rested: bool = True) -> Path:
    path = data / "inbox" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    if rested:
        then = time.time() - 60
        os.utime(path, (then, then))
    return path


def test_built_root_is_healthy_but_for_the_daemon(built: Path) -> None:
    found = _checks(built)
    assert tuple(found) == NAMES
    assert [name for name, check in found.items() if check.status != "ok"] == ["sensors"]
    assert "all-MiniLM-L6-v2" in found["model"].detail
    assert "first vector after" in found["model"].detail
    assert found["sensors"].remedy == "Start it: taxomind ui"
    assert all(check.remedy for check in found.values() if check.status != "ok")


def test_root_that_does_not_exist_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_CHECKS", {name: check for name, check in doctor._CHECKS.items() if name != "model"})
    found = _checks(tmp_path / "new")
    assert {name for name, check in found.items() if check.status != "ok"} == {"sensors"}
    assert not (tmp_path / "new").exists()


def test_command_prints_each_check_and_ends_with_0(call: Call, built: Path) -> None:
    called = call("doctor", "--data", built)
    assert called.code == 0
    assert all(name in called.out for name in NAMES)
    assert "→ Start it: taxomind ui" in called.out


def test_command_as_json(call: Call, built: Path) -> None:
    found = json.loads(call("doctor", "--data", built, "--json").out)
    assert found["status"] == "warn"
    assert tuple(check["name"] for check in found["checks"]) == NAMES


def test_failed_check_ends_the_command_with_1(call: Call, own: Path) -> None:
    (own / "outputs" / "taxonomy" / "nodes" / "taxonomy_key=living" / "part.parquet").write_bytes(b"PAR1 nothing PAR1")
    called = call("doctor", "--data", own, "--json")
    found = json.loads(called.out)
    assert (called.code, found["status"]) == (1, "fail")
    storage = next(check for check in found["checks"] if check["name"] == "storage")
    assert storage["status"] == "fail"
    assert "part.parquet" in storage["detail"]
    assert "Materialise" in storage["remedy"]


def test_broken_settings_end_the_checks(call: Call, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[taxonomy.jobs.routing]\nmax_deep = 2\n")
    found = list(doctor.run_checks(tmp_path))
    assert [(check.name, check.status) for check in found] == [("packages", "ok"), ("settings", "fail")]
    assert "max_depth" in found[1].remedy
    assert call("doctor", "--data", tmp_path).code == 1


def test_root_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert _checks(tmp_path / "data")["data root"].status == "fail"


def test_model_that_cannot_be_loaded_fails_with_the_way_out(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXOMIND_EMBEDDING__MODEL", "all-MiniLM-L6-v3")
    check = _checks(built)["model"]
    assert check.status == "fail"
    assert "all-MiniLM-L6-v2" in check.remedy


def test_changed_taxonomy_and_new_texts_are_pending(own: Path) -> None:
    _put(own, "living/taxonomy.csv", "code,label\n1,One\n2,Two\n")
    _put(own, "living/texts/more.csv", "text\na fern\n")
    found = _checks(own)
    assert found["indexes"].status == "warn"
    assert "living: build; living: texts" in found["inputs"].detail


def test_refused_taxonomy_is_named_with_its_problem(own: Path, call: Call) -> None:
    from taxomind_app.cli.graph import run_assets
    from taxomind_app.cli.session import Session
    from taxomind_resources.faults import Fault

    _put(own, "living/taxonomy.csv", "code,parent_code,label\n1,7,One\n")
    call("taxonomy", "list", "--data", own)  # The environment is put back after the test.
    with pytest.raises(Fault, match="1 problem"):
        run_assets(Session(data=own), "living", ["raw_taxonomy"])
    check = _checks(own)["taxonomies"]
    assert check.status == "warn"
    assert "parent 7" in check.detail
    assert call("classify", "an owl", "--data", own).code == 0


def test_ignored_files_are_named_with_the_reason(own: Path) -> None:
    _put(own, "living/texts/notes.docx", "x")
    _put(own, "stray.csv", "x")
    _put(own, "living/texts/late.csv", "text\nx\n", rested=False)
    check = _checks(own)["inbox"]
    assert check.status == "warn"
    assert "notes.docx is none of" in check.detail
    assert "stray.csv is no folder" in check.detail
    assert "late.csv was written less than" in check.detail


def test_lost_vectors_are_a_warning(own: Path) -> None:
    import shutil

    shutil.rmtree(own / "vectors" / "label.living.lance")
    check = _checks(own)["vectors"]
    assert check.status == "warn"
    assert "living (label)" in check.detail


def test_damaged_index_fails(own: Path) -> None:
    (path,) = (own / "indexes" / "living").glob("*/vectors.npy")
    path.write_bytes(b"broken")
    check = _checks(own)["indexes"]
    assert check.status == "fail"
    assert "damaged" in check.detail


@pytest.mark.parametrize(("age_s", "status", "said"), [(20, "ok", "last seen 2"), (7200, "warn", "last seen 2 hours ago")])
def test_daemon_is_judged_by_its_heartbeat(own: Path, age_s: int, status: str, said: str) -> None:
    from dagster._daemon.types import DaemonHeartbeat

    with open_instance(own) as instance:
        for name in ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR"):
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age_s, name, "id", []))
    check = _checks(own)["sensors"]
    assert (check.status, said in check.detail) == (status, True)


def test_check_that_breaks_does_not_stop_the_others(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(place: object) -> Any:
        raise RuntimeError("wires crossed")

    monkeypatch.setitem(doctor._CHECKS, "model", broken)
    found = _checks(built)
    assert (found["model"].status, found["model"].detail) == ("fail", "RuntimeError: wires crossed")
    assert found["inbox"].status == "ok"


def test_waiting_for_names_what_a_taxonomy_lacks(own: Path) -> None:
    from taxomind_resources.settings import load_settings

    assert doctor.waiting_for(load_settings(own), "living") == []
    _put(own, "living/labelled/more.csv", "text,code\na fern,PF\n")
    assert doctor.waiting_for(load_settings(own), "living") == ["report"]


def test_a_report_that_the_night_makes_anew_is_no_warning(own: Path) -> None:
    from taxomind_resources.settings import load_settings

    (own / "settings.toml").write_text("[routing]\naccuracy_target = 0.7\n")
    found = _checks(own)["inputs"]
    assert found.status == "ok"
    assert "reports are made anew at night: living" in found.detail
    assert "a newer report" in doctor.waiting_for(load_settings(own), "living")


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1, "0 s"), (59, "59 s"), (180, "3 minutes"), (7_200, "2 hours"), (260_000, "3 days")]
)
def test_ages_are_said_in_fitting_units(seconds: float, said: str) -> None:
    assert doctor._ago(seconds) == said
