"""`taxomind classify`: every way in, every way out, and what can be wrong."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from taxomind_app.cli.sinks import COLUMNS
from taxomind_assets.classification.fitted_store import write_fitted
from taxomind_assets.classification.fitting import Fitted
from taxomind_assets.learning.stored import EVIDENCE, evidence_part, evidence_rows
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.embedding import EmbeddingSpec
from taxomind_resources.index_store import IndexStore
from taxomind_resources.outputs import Outputs

Call = Callable[..., Any]
START_S = 60
HEAVY = ("dagster", "duckdb", "lancedb", "matplotlib", "onnx", "pandas", "rdflib", "sentence_transformers", "sklearn", "torch")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Three texts; the second row is refused."""
    path = tmp_path / "texts.csv"
    path.write_text('text_id,text\nx1,"an owl, at night"\nx2,\nx3,salmon fillet\n', encoding="utf-8")
    return path


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_text_is_answered_for_people(call: Call, built: Path) -> None:
    called = call("--data", built, "classify", "a parrot in a cage")
    assert called.code == 0
    lines = called.out.splitlines()
    assert lines[0].strip() == "a parrot in a cage"
    assert lines[1].split()[:2] == ["A", "Animals"]
    assert lines[2].split()[:2] == ["AB", "Birds"]
    assert "stops there: the most detailed level is reached" in called.out


def test_text_with_brackets_is_shown_as_it_is(call: Call, built: Path) -> None:
    assert "parrot [bold] [/red]" in call("--data", built, "classify", "parrot [bold] [/red]").out


def test_json_has_all_columns_of_an_answer(call: Call, built: Path) -> None:
    called = call("--data", built, "classify", "a parrot in a cage", "red tulips", "--json")
    first, second = map(json.loads, called.out.splitlines())
    assert (first["text_id"], first["code"], first["path"]) == ("1", "AB", ["A", "AB"])
    assert second["code"] == "PF"
    assert {"top_codes", "alternatives", "level_confidences", "index_version", "stop_reason"} <= first.keys()


def test_explanation_names_the_chosen_node_of_each_level(call: Call, built: Path) -> None:
    called = call("--data", built, "classify", "a parrot in a cage", "--explain", "--json")
    assert [step["chosen"]["code"] for step in json.loads(called.out)["levels"]] == ["A", "AB"]
    shown = call("--data", built, "classify", "a parrot in a cage", "--explain").out
    assert "nearest text" in shown
    assert "parrot in a cage (example)" in " ".join(shown.split())


def test_lines_of_standard_input_become_csv(call: Call, built: Path) -> None:
    called = call("--data", built, "classify", stdin=b"an owl\n\nsalmon\xff\nsalmon\r\n")
    rows = list(csv.DictReader(called.out.splitlines()))
    assert called.code == 0
    assert tuple(rows[0]) == COLUMNS
    assert [(row["text_id"], row["code"], row["path"]) for row in rows] == [("1", "AB", "A|AB"), ("4", "AF", "A|AF")]
    assert "Warning: 2 rows were refused" in called.err
    assert "line 2: The row has no text." in called.err
    assert "line 3: The line is not UTF-8: byte 7 of it is 0xff." in called.err


def test_byte_order_mark_is_no_part_of_the_first_text(call: Call, built: Path) -> None:
    called = call("--data", built, "classify", "--input", "-", "--json", stdin=b"\xef\xbb\xbfan owl")
    assert json.loads(called.out)["text"] == "an owl"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_file_is_answered_into_every_format(call: Call, built: Path, texts: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"answers{suffix}"
    called = call("--data", built, "classify", "--input", texts, "--output", output)
    assert (called.code, called.out) == (0, "")
    if suffix == ".parquet":
        rows = pq.read_table(output).to_pylist()
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in output.read_text().splitlines()]
    else:
        rows = list(csv.DictReader(output.open(newline=""), delimiter="\t" if suffix == ".tsv" else ","))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["text_id"], row["code"], row["path"]) for row in rows] == [("x1", "AB", "A|AB"), ("x3", "AF", "A|AF")]
    assert rows[0]["text"] == "an owl, at night"
    assert sorted(rows[0]["top_codes"].split("|")) == ["AB", "AF", "PF", "PT"]
    assert rows[0]["top_codes"].startswith("AB|")
    assert 0.5 < float(rows[0]["confidence"]) <= 1


def test_refused_rows_lie_beside_the_output(call: Call, built: Path, texts: Path, tmp_path: Path) -> None:
    called = call("--data", built, "classify", "--input", texts, "--output", tmp_path / "answers.csv")
    rejected = tmp_path / "answers.rejected.csv"
    assert [(row["source_file"], row["line"], row["reason_code"]) for row in _rows(rejected)] == [
        ("texts.csv", "3", "empty_text")
    ]
    assert str(rejected) in called.err


def test_refused_rows_of_an_earlier_call_do_not_stay(call: Call, built: Path, texts: Path, tmp_path: Path) -> None:
    call("--data", built, "classify", "--input", texts, "--output", tmp_path / "answers.csv")
    texts.write_text("text\nan owl\n")
    call("--data", built, "classify", "--input", texts, "--output", tmp_path / "answers.csv")
    assert sorted(path.name for path in tmp_path.glob("answers*")) == ["answers.csv"]


def test_output_with_json_says_what_became_of_the_texts(call: Call, built: Path, texts: Path, tmp_path: Path) -> None:
    called = call("--data", built, "classify", "--input", texts, "--output", tmp_path / "a.csv", "--json")
    summary = json.loads(called.out)
    assert (summary["texts"], summary["answered"], summary["refused"], summary["taxonomy"]) == (2, 2, 1, "living")
    assert summary["refused_rows"] == str(tmp_path / "a.rejected.csv")


def test_limit_stops_after_that_many_texts(call: Call, built: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    called = call("--data", built, "classify", "--output", output, "--limit", "2", stdin=b"an owl\nsalmon\noak\n")
    assert called.code == 0
    assert [row["text"] for row in _rows(output)] == ["an owl", "salmon"]


def test_output_without_any_text_has_its_columns(call: Call, built: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    assert call("--data", built, "classify", "--output", output, stdin=b"\n \n").code == 0
    table = pq.read_table(output)
    assert (table.num_rows, tuple(table.column_names)) == (0, COLUMNS)
    assert len(_rows(tmp_path / "out.rejected.csv")) == 2


def test_stop_rule_never_always_gives_a_leaf(call: Call, built: Path) -> None:
    unsure = ["zzz qqq", "something", "a living being"]
    free = [json.loads(line) for line in call("--data", built, "classify", *unsure, "--json").out.splitlines()]
    forced = [
        json.loads(line) for line in call("--data", built, "classify", *unsure, "--json", "--stop", "never").out.splitlines()
    ]
    assert any(row["code"] is None or len(row["path"]) == 1 for row in free)
    assert all(len(row["path"]) == 2 for row in forced)


def test_accuracy_target_makes_answers_stop_earlier(call: Call, built: Path) -> None:
    def depth(target: str) -> int:
        texts = ["an owl", "green", "salmon", "garden", "pond"]
        out = call("--data", built, "classify", *texts, "--json", "--accuracy-target", target).out
        return sum(len(json.loads(line)["path"]) for line in out.splitlines())

    assert depth("0.01") > depth("0.999")


def test_answers_do_not_depend_on_the_way_in(call: Call, built: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    texts = ["an owl", "tulips", "a river"]
    call("--data", built, "classify", "--output", output, stdin="\n".join(texts).encode())
    single = [json.loads(line)["code"] or "" for line in call("--data", built, "classify", *texts, "--json").out.splitlines()]
    assert [row["code"] for row in _rows(output)] == single


WRONG: dict[str, tuple[list[str], int, str]] = {
    "missing file": (["--input", "{tmp}/absent.csv"], 1, "unreadable_file"),
    "a folder": (["--input", "{tmp}"], 1, "unreadable_file"),
    "an empty file": (["--input", "{tmp}/empty.csv"], 1, "unreadable_file"),
    "a binary file": (["--input", "{tmp}/binary.csv"], 1, "unreadable_file"),
    "bad UTF-8": (["--input", "{tmp}/latin1.csv"], 1, "unreadable_file"),
    "an archive": (["--input", "{tmp}/archive.csv"], 2, "unsupported_format"),
    "no column with texts": (["--input", "{tmp}/columns.csv"], 1, "missing_column"),
    "an unknown taxonomy": (["-t", "livng", "x"], 2, "unknown_taxonomy"),
    "a bad key": (["-t", "../etc", "x"], 2, "invalid_key"),
    "an empty text": ([""], 2, "invalid_input"),
    "texts and a file": (["x", "--input", "{tmp}/empty.csv"], 2, "invalid_input"),
    "a target beyond 1": (["x", "--accuracy-target", "1.5"], 2, "invalid_input"),
    "an output of unknown format": (["x", "--output", "{tmp}/out.xlsx"], 2, "unsupported_format"),
    "an output that is a folder": (["x", "--output", "{tmp}/folder.csv"], 2, "invalid_input"),
    "an output in no folder": (["x", "--output", "{tmp}/no/out.csv"], 2, "invalid_input"),
    "an output over the input": (["--input", "{tmp}/good.csv", "--output", "{tmp}/good.csv"], 2, "invalid_input"),
    "an explanation as a table": (["x", "--explain", "--output", "{tmp}/out.csv"], 2, "invalid_input"),
}


@pytest.fixture
def oddities(tmp_path: Path) -> Path:
    """Files that are no texts."""
    contents = {
        "empty.csv": b"",
        "binary.csv": b"text\n\x00\x01\x02\n",
        "latin1.csv": b"text\nan owl\ncaf\xe9\n",
        "archive.csv": b"PK\x03\x04rest",
        "columns.csv": b"text_id,language\n1,en\n",
        "good.csv": b"text\nan owl\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.csv").mkdir()
    return tmp_path


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_a_fault_and_leaves_nothing(call: Call, built: Path, oddities: Path, case: str) -> None:
    arguments, code, fault = WRONG[case]
    before = {path: path.read_bytes() for path in oddities.glob("*.*") if path.is_file()}
    called = call("--data", built, "classify", *(argument.replace("{tmp}", str(oddities)) for argument in arguments))
    assert called.code == code, called.err
    assert f"[{fault}]" in called.err
    assert "Traceback" not in called.err
    assert {path: path.read_bytes() for path in oddities.glob("*.*") if path.is_file()} == before


def test_failure_in_the_middle_of_a_file_publishes_nothing(call: Call, built: Path, oddities: Path) -> None:
    output = oddities / "out.csv"
    output.write_text("the former answers")
    called = call("--data", built, "classify", "--input", oddities / "latin1.csv", "--output", output)
    assert called.code == 1
    assert output.read_text() == "the former answers"
    assert not [path for path in oddities.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may write everywhere")
def test_folder_that_cannot_be_written_is_refused(call: Call, built: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    called = call("--data", built, "classify", "x", "--output", tmp_path / "out.csv")
    tmp_path.chmod(0o700)
    assert (called.code, "[storage_failed]" in called.err) == (1, True)


def test_empty_standard_input_is_refused(call: Call, built: Path) -> None:
    called = call("--data", built, "classify")
    assert (called.code, "Standard input is empty." in called.err) == (1, True)


def test_line_without_end_is_refused(call: Call, built: Path) -> None:
    called = call("--data", built, "classify", stdin=b"a" * (20 * 1024**2))
    assert (called.code, "[too_large]" in called.err) == (1, True)


def test_terminal_as_input_is_wrong_use(built: Path) -> None:
    leader, follower = os.openpty()
    with os.fdopen(follower, "rb") as terminal:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("taxomind")), "--data", str(built), "classify"],
            stdin=terminal,
            capture_output=True,
            text=True,
            check=False,
        )
    os.close(leader)
    assert (done.returncode, "There is no text to classify." in done.stderr) == (2, True)


def test_taxonomy_that_is_not_built_has_no_index(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "inbox" / "new"
    folder.mkdir(parents=True)
    (folder / "taxonomy.csv").write_text("code,label\n1,One\n")
    os.utime(folder / "taxonomy.csv", (0, 0))
    called = call("--data", tmp_path, "classify", "x")
    assert (called.code, "[index_missing]" in called.err) == (1, True)
    assert call("--data", tmp_path, "classify", "x", "-t", "new").code == 1


def test_classify_loads_no_build_time_library(own: Path) -> None:
    _teach(own)
    script = (
        "import sys\nfrom taxomind_app.cli.main import main\n"
        f"code = main(['--data', {str(own)!r}, 'classify', 'an owl'])\n"
        f"print(code, [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "0 []"


def _teach(data: Path) -> None:
    """Put one correction and numbers fitted to labels beside the index."""
    outputs, index = Outputs(data), NodeIndex.load(IndexStore(data).folder("living"))
    fitted = Fitted(index.calibration, None, None, 60)
    write_fitted(outputs, "living", fitted, index_version=index.version, version="1", corrected=1, digest="1")
    part = evidence_part(EmbeddingSpec.from_json(json.dumps(dict(index.spec))).vector_class)
    rows = evidence_rows(["1"], ["AB"], ["a night bird"], index.vectors[:1])
    outputs.write(EVIDENCE, "living", rows, digest="1", part=part)


def test_answers_follow_each_line_at_once(built: Path, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start("--data", built, "classify", "--json")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"an owl\n")
    process.stdin.flush()
    # The answer comes although the input has not ended.
    assert json.loads(process.stdout.readline())["code"] == "AB"
    process.stdin.close()
    assert process.wait(START_S) == 0


def test_reader_that_leaves_ends_the_command_quietly(built: Path, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start("--data", built, "classify", "--json")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(b"an owl\n")
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    process.stdin.write(b"salmon\n" * 2_000)
    process.stdin.close()
    assert process.wait(START_S) == 1
    assert process.stderr.read() == b""


def test_interrupt_ends_with_130_and_publishes_nothing(
    built: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    output = tmp_path / "out.csv"
    process = start("--data", built, "classify", "--output", output)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"an owl\n")
    process.stdin.flush()
    deadline = time.monotonic() + START_S
    while not [path for path in tmp_path.iterdir() if path.stat().st_size] and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(START_S) == 130
    assert b"Traceback" not in process.stderr.read()
    assert list(tmp_path.iterdir()) == []
