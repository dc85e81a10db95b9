"""The inbox: what counts as complete, what is ignored and why, idempotent `put`, cheap digests."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_resources.faults import Fault
from taxomind_resources.files import content_digest, folder_name
from taxomind_resources.inbox import Inbox

SETTLE_S = 5.0


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path, SETTLE_S)


def drop(inbox: Inbox, name: str, content: bytes = b"x", rested_s: float = 60.0) -> Path:
    path = inbox.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    when = time.time() - rested_s
    os.utime(path, (when, when))
    return path


def names(inbox: Inbox, key: str, kind: str) -> list[str]:
    return [file.name for file in inbox.files(key, kind)]


def reasons(inbox: Inbox, key: str, kind: str) -> dict[str, str]:
    return {ignored.path.name: ignored.reason for ignored in inbox.ignored(key, kind)}


def test_absent_inbox_is_empty(inbox):
    assert inbox.keys() == []
    assert inbox.problems() == []
    assert inbox.files("k", "texts") == []
    assert inbox.digest("k", "texts") == ""
    assert inbox.taxonomy_file("k") is None
    assert not inbox.remove("k")


def test_files_lists_complete_files_and_ignored_says_why_the_others_are_not(inbox):
    for name in ["b.csv", "a.JSONL", "c.parquet"]:
        drop(inbox, f"k/texts/{name}")
    for name in [".hidden.csv", "d.csv.tmp", "e.csv.part", "f.csv~", "g.docx"]:
        drop(inbox, f"k/texts/{name}")
    (inbox.root / "k/texts/folder.csv").mkdir()
    (inbox.root / "k/texts/broken.csv").symlink_to("nowhere")
    drop(inbox, "k/texts/young.csv", rested_s=0)
    assert names(inbox, "k", "texts") == ["a.JSONL", "b.csv", "c.parquet"]
    assert reasons(inbox, "k", "texts") == {
        ".hidden.csv": "is hidden",
        "d.csv.tmp": "has the name of an unfinished file",
        "e.csv.part": "has the name of an unfinished file",
        "f.csv~": "has the name of an unfinished file",
        "g.docx": "is none of *.csv, *.tsv, *.jsonl, *.parquet",
        "folder.csv": "is not a file",
        "broken.csv": "is not a file",
        "young.csv": "was written less than 5 s ago",
    }


def test_inbox_file_describes_the_file(inbox):
    path = drop(inbox, "k/texts/a.csv", b"abc")
    [file] = inbox.files("k", "texts")
    assert (file.path, file.name, file.size, file.kind) == (path, "a.csv", 3, "texts")
    assert file.modified_ns == path.stat().st_mtime_ns
    assert file.content_id() == content_digest(path)
    path.unlink()
    with pytest.raises(Fault, match="unreadable_file"):
        file.content_id()


def test_linked_file_is_read_through_its_link(inbox, tmp_path):
    (tmp_path / "elsewhere.csv").write_bytes(b"abcd")
    os.utime(tmp_path / "elsewhere.csv", (1, 1))
    (inbox.root / "k/texts").mkdir(parents=True)
    (inbox.root / "k/texts/link.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert [file.size for file in inbox.files("k", "texts")] == [4]


def test_time_in_the_future_does_not_block_a_file_for_ever(tmp_path):
    inbox = Inbox(tmp_path, 0.2)
    drop(inbox, "k/texts/a.csv", rested_s=-10_000)
    assert names(inbox, "k", "texts") == []
    time.sleep(0.25)
    assert names(inbox, "k", "texts") == ["a.csv"]


def test_taxonomy_file_is_the_one_with_that_name(inbox):
    path = drop(inbox, "k/taxonomy.csv")
    drop(inbox, "k/isco.csv")
    drop(inbox, "k/taxonomy.old.csv")
    drop(inbox, "k/texts/a.csv")
    found = inbox.taxonomy_file("k")
    assert found is not None
    assert (found.path, found.kind) == (path, "taxonomy")
    assert set(reasons(inbox, "k", "taxonomy")) == {"isco.csv", "taxonomy.old.csv"}
    assert "taxonomy.ttl" in reasons(inbox, "k", "taxonomy")["isco.csv"]


def test_two_taxonomy_files_are_a_fault_that_names_both(inbox):
    drop(inbox, "k/taxonomy.csv", b"a")
    drop(inbox, "k/taxonomy.ttl", b"b")
    with pytest.raises(Fault, match="invalid_input") as caught:
        inbox.taxonomy_file("k")
    assert "taxonomy.csv" in str(caught.value)
    assert "taxonomy.ttl" in str(caught.value)


def test_keys_are_folders_with_complete_inputs(inbox):
    drop(inbox, "a/taxonomy.csv")
    drop(inbox, "b%20c/texts/x.csv")
    drop(inbox, "d e/corrections/x.jsonl")
    drop(inbox, "young/taxonomy.csv", rested_s=0)
    drop(inbox, "other/readme.md")
    drop(inbox, ".git/taxonomy.csv")
    (inbox.root / "empty").mkdir()
    assert inbox.keys() == ["a", "b c", "d e"]
    assert inbox.problems() == []


def test_problems_name_what_is_no_folder_of_a_taxonomy(inbox):
    for name in [
        "stray.csv",
        "__none__/taxonomy.csv",
        "%2e%2e/taxonomy.csv",
        "%61/taxonomy.csv",
        "%FF/taxonomy.csv",
        "x.../taxonomy.csv",
    ]:
        drop(inbox, name)
    drop(inbox, "漢" * 30 + "/taxonomy.csv")
    assert inbox.keys() == []
    found = {problem.path.name: problem.reason for problem in inbox.problems()}
    assert set(found) == {"stray.csv", "__none__", "%2e%2e", "%61", "%FF", "x...", "漢" * 30}
    assert "'a'" in found["%61"]
    assert "Allowed" in found["__none__"]


def test_plain_and_encoded_folder_are_one_key(inbox):
    drop(inbox, "a b/texts/one.csv")
    before = inbox.digest("a b", "texts")
    drop(inbox, "a%20b/texts/two.csv")
    assert inbox.keys() == ["a b"]
    assert names(inbox, "a b", "texts") == ["one.csv", "two.csv"]
    assert inbox.digest("a b", "texts") != before
    assert inbox.remove("a b")
    assert inbox.keys() == []


def test_put_goes_into_the_folder_that_exists(inbox):
    drop(inbox, "a b/texts/one.csv")
    assert inbox.put("a b", "texts", b"new", "two.csv").path == inbox.root / "a b/texts/two.csv"
    assert inbox.put("c d", "texts", b"new", "two.csv").path == inbox.root / "c%20d/texts/two.csv"


def test_digest_changes_with_names_sizes_and_times_of_complete_files_only(inbox):
    one = drop(inbox, "k/texts/a.csv")
    seen = [inbox.digest("k", "texts")]
    drop(inbox, "k/texts/young.csv", rested_s=0)
    drop(inbox, "k/texts/b.tmp")
    drop(inbox, "k/corrections/c.jsonl")
    assert inbox.digest("k", "texts") == seen[0]
    drop(inbox, "k/texts/b.csv")
    seen.append(inbox.digest("k", "texts"))
    os.utime(one, (1, 1))
    seen.append(inbox.digest("k", "texts"))
    one.rename(one.with_name("z.csv"))
    seen.append(inbox.digest("k", "texts"))
    assert len(set(seen)) == 4
    assert all(len(digest) == 16 for digest in seen)


def test_put_counts_at_once_and_is_idempotent_by_content(inbox, tmp_path):
    source = tmp_path / "source.csv"
    source.write_bytes(b"text\nhello\n")
    first = inbox.put("k", "texts", source)
    assert first.path.read_bytes() == source.read_bytes()
    assert inbox.files("k", "texts") == [first]
    digest = inbox.digest("k", "texts")
    assert inbox.put("k", "texts", source) == first
    assert inbox.put("k", "texts", source.read_bytes(), "other.csv") == first
    assert inbox.digest("k", "texts") == digest
    assert source.exists()


def test_put_never_replaces_other_content(inbox):
    first = inbox.put("k", "texts", b"one", "a.csv")
    second = inbox.put("k", "texts", b"two", "a.csv")
    assert second.name == f"a-{second.content_id()}.csv"
    assert first.path.read_bytes() == b"one"
    assert inbox.put("k", "texts", b"two", "a.csv") == second
    second.path.write_bytes(b"2")
    third = inbox.put("k", "texts", b"two", "a.csv")
    assert third.path.read_bytes() == b"two"
    assert len({first.name, second.name, third.name}) == 3


def test_put_of_a_taxonomy_moves_the_former_file_to_earlier(inbox):
    old = inbox.put("k", "taxonomy", b"old", "isco.csv")
    assert old.name == "taxonomy.csv"
    new = inbox.put("k", "taxonomy", b"new", "isco.ttl")
    assert inbox.taxonomy_file("k") == new
    earlier = inbox.root / "k/earlier"
    assert [path.read_bytes() for path in earlier.iterdir()] == [b"old"]
    again = inbox.put("k", "taxonomy", b"old", "x.csv")
    assert inbox.taxonomy_file("k") == again
    assert [path.read_bytes() for path in earlier.iterdir()] == [b"new"]
    assert inbox.put("k", "taxonomy", b"old", "y.csv") == again
    assert sorted(path.name for path in (inbox.root / "k").iterdir()) == ["earlier", "taxonomy.csv"]


def test_put_waits_for_a_taxonomy_file_that_somebody_is_writing(inbox):
    path = drop(inbox, "k/taxonomy.csv", b"half", rested_s=0)
    with pytest.raises(Fault, match="being written"):
        inbox.put("k", "taxonomy", b"new", "taxonomy.csv")
    assert path.read_bytes() == b"half"


def test_put_resolves_two_taxonomy_files(inbox):
    drop(inbox, "k/taxonomy.csv", b"a")
    drop(inbox, "k/taxonomy.ttl", b"b")
    kept = inbox.put("k", "taxonomy", b"b", "taxonomy.json")
    assert kept.name == "taxonomy.ttl"
    assert inbox.taxonomy_file("k") == kept
    assert [path.read_bytes() for path in (inbox.root / "k/earlier").iterdir()] == [b"a"]


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        ("texts", "a.docx", "unsupported_format"),
        ("texts", "", "unsupported_format"),
        ("texts", "a.csv.tmp", "unsupported_format"),
        ("taxonomy", "a.parquet", "unsupported_format"),
        ("texts", "../a.csv", "invalid_input"),
        ("texts", "a\\b.csv", "invalid_input"),
        ("texts", "a\n.csv", "invalid_input"),
        ("texts", ".a.csv", "invalid_input"),
        ("texts", "x" * 300 + ".csv", "invalid_input"),
        ("images", "a.csv", "invalid_input"),
    ],
)
def test_put_refuses_names_that_would_not_be_read(inbox, kind, name, code):
    with pytest.raises(Fault, match=code):
        inbox.put("k", kind, b"x", name)
    assert not inbox.root.exists()


def test_put_refuses_sources_that_cannot_be_read(inbox, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name in ["absent.csv", "folder.csv", "pipe.csv"]:
        with pytest.raises(Fault, match="unreadable_file"):
            inbox.put("k", "texts", tmp_path / name)


@pytest.mark.parametrize("key", ["..", "", "a/b", "__none__"])
def test_invalid_keys_are_refused(inbox, key):
    for attempt in (
        lambda: inbox.files(key, "texts"),
        lambda: inbox.digest(key, "texts"),
        lambda: inbox.put(key, "texts", b"x", "a.csv"),
        lambda: inbox.remove(key),
    ):
        with pytest.raises(Fault, match="invalid_key"):
            attempt()


@settings(max_examples=60, deadline=None)
@given(key=st.text(min_size=1, max_size=15))
def test_any_valid_key_comes_back_from_its_folder(tmp_path_factory, key):
    inbox = Inbox(tmp_path_factory.mktemp("data"), SETTLE_S)
    try:
        folder_name(key)
    except Fault:
        with pytest.raises(Fault, match="invalid_key"):
            inbox.put(key, "taxonomy", b"x", "t.csv")
        return
    file = inbox.put(key, "taxonomy", b"x", "t.csv")
    assert file.path.parent.parent == inbox.root
    assert inbox.keys() == [key]
    assert inbox.problems() == []
    # A person may write the plain key as the folder's name, where that is unambiguous.
    plain = inbox.root / key
    if "%" not in key and not key.startswith("."):
        file.path.parent.rename(plain)
        assert inbox.keys() == [key]
        assert inbox.taxonomy_file(key) is not None


def start(data: Path, source: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(source), str(data)], stdout=subprocess.PIPE)


TAXONOMY_PUTTER = """
import itertools, sys
from pathlib import Path
from taxomind_resources.inbox import Inbox
inbox = Inbox(Path(sys.argv[1]), 5.0)
for number in itertools.count():
    inbox.put("k", "taxonomy", bytes([number % 5]) * 1_000_000, ("t.csv", "t.ttl", "t.json")[number % 3])
    print(number, flush=True)
"""

TEXT_PUTTER = """
import sys
from pathlib import Path
from taxomind_resources.inbox import Inbox
inbox = Inbox(Path(sys.argv[1]), 5.0)
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    inbox.put("k", "texts", bytes([number]) * 1_000, f"{number}.csv")
    inbox.put("k", "texts", bytes([number]) * 1_000, f"again-{number}.csv")
"""


@pytest.mark.slow
def test_killed_put_leaves_one_whole_taxonomy_file(inbox, tmp_path):
    chance = random.Random(5)
    for _ in range(10):
        with start(tmp_path, TAXONOMY_PUTTER) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        file = inbox.taxonomy_file("k")
        assert file is not None
        content = file.path.read_bytes()
        assert len(content) == 1_000_000
        assert len(set(content)) == 1
    inbox.put("k", "taxonomy", b"last", "t.csv")
    left = sorted(path.name for path in (inbox.root / "k").iterdir())
    assert left == ["earlier", "taxonomy.csv"]
    kept = [path.name for path in (inbox.root / "k/earlier").iterdir()]
    assert kept
    assert all(name.startswith("taxonomy-") for name in kept)
    assert len({name.split(".")[0] for name in kept}) == len(kept)


@pytest.mark.slow
def test_processes_that_put_the_same_contents_add_each_once(inbox, tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(TEXT_PUTTER), str(tmp_path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        process.communicate(b"go\n")
        assert process.returncode == 0
    files = inbox.files("k", "texts")
    assert len(files) == 20
    assert len({file.content_id() for file in files}) == 20


def test_digest_of_ten_thousand_files_costs_a_tenth_of_a_second(inbox):
    for key in range(1000):
        folder = inbox.root / f"key-{key}" / "texts"
        folder.mkdir(parents=True)
        for number in range(10):
            descriptor = os.open(folder / f"{number}.csv", os.O_CREAT | os.O_WRONLY)
            os.utime(descriptor, (1, 1))
            os.close(descriptor)
    keys = [f"key-{key}" for key in range(1000)]
    spent = []
    for _ in range(5):
        before = time.process_time()
        digests = {inbox.digest(key, "texts") for key in keys}
        spent.append(time.process_time() - before)
    assert "" not in digests
    assert min(spent) < 0.1


def test_a_return_that_was_killed_becomes_a_copy_again(inbox):
    inbox.put("k", "taxonomy", b"first", "t.csv")
    inbox.put("k", "taxonomy", b"second", "t.csv")
    earlier = inbox.root / "k" / "earlier"
    (copy,) = earlier.iterdir()
    digest = copy.stem.removeprefix("taxonomy-")
    copy.rename(earlier / f"returning-{digest}.csv")  # as a kill leaves it before the new file is in place
    inbox.put("k", "taxonomy", b"third", "t.csv")
    assert {path.read_bytes() for path in earlier.iterdir()} == {b"first", b"second"}
    assert all(path.name.startswith("taxonomy-") for path in earlier.iterdir())
