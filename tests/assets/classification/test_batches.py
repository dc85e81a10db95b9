"""A batch that is cut into shards: killed anywhere, it goes on where it stopped, and every text is there once."""

from __future__ import annotations

import pytest

from taxomind_assets.classification import batches
from taxomind_assets.classification.batches import BatchRunner, staging_folder
from taxomind_resources.engine import LocalEngine
from taxomind_resources.faults import Fault
from taxomind_resources.settings import load_settings

ROWS = 25


class Killed(BaseException):
    """Stands for the end of the process: nothing that is written for errors may catch it."""


class DyingEngine(LocalEngine):
    """Dies when it has answered some shards."""

    def __init__(self, after):
        self.left = after

    def map_shards(self, worker, config, shards, out, on_done=None):
        def count(shard):
            if self.left == 0:
                raise Killed
            self.left -= 1
            on_done(shard)

        return super().map_shards(worker, config, shards, out, count)


@pytest.fixture
def built(animals, monkeypatch):
    monkeypatch.setenv("TAXOMIND_LIMITS__SHARD_ROWS", "4")
    assert animals.run("build_taxonomy", "animals").success
    lines = "".join(f"t{i},puppy number {i}\n" for i in range(ROWS))
    animals.put("animals", "texts", "text_id,text\n" + lines)
    return animals


def runner(project, engine=None):
    log = []
    version = project.indexes.current("animals")
    made = BatchRunner(
        "animals", load_settings(), project.outputs, engine=engine or LocalEngine(), index_version=version, log=log.append
    )
    made.lines = log
    return made


def file_of(project):
    return project.inbox.files("animals", "texts")[0]


def run(made, project, **options):
    file = file_of(project)
    return made.run(file, made.batch_id(file), **options)


def ids(project):
    return [row["text_id"] for row in project.sql("SELECT text_id FROM classification.results ORDER BY row")]


def test_a_file_is_answered_in_shards_of_the_size_that_is_set(built):
    batch = run(runner(built), built)
    assert (batch.shards, batch.resumed, batch.rows) == (7, 0, ROWS)
    assert ids(built) == [f"t{i}" for i in range(ROWS)]
    assert len(built.outputs.parts("classification.results", "animals")) == 7


@pytest.mark.parametrize("after", [0, 1, 5, 6])
def test_a_killed_run_goes_on_where_it_stopped(built, after):
    with pytest.raises(Killed):
        run(runner(built, DyingEngine(after)), built)
    made = runner(built)
    assert not made.is_done(made.batch_id(file_of(built)))
    batch = run(made, built)
    assert batch.resumed == after
    assert batch.rows == ROWS
    assert ids(built) == [f"t{i}" for i in range(ROWS)]
    assert not staging_folder(built.data, "animals").joinpath(batch.batch_id).exists()


def test_what_another_index_answered_is_not_taken_over(built):
    with pytest.raises(Killed):
        run(runner(built, DyingEngine(3)), built)
    text = (built.data / "inbox/animals/taxonomy.csv").read_text()
    built.put("animals", "taxonomy", text.replace("Rose,", "Rosebush,"))
    built.run("build_taxonomy", "animals")
    batch = run(runner(built), built)
    assert batch.resumed == 0
    assert len(built.sql("SELECT DISTINCT index_version FROM classification.results")) == 1
    assert ids(built) == [f"t{i}" for i in range(ROWS)]


def test_larger_shards_leave_none_of_the_former_ones(built, monkeypatch):
    run(runner(built), built)
    monkeypatch.setenv("TAXOMIND_LIMITS__SHARD_ROWS", "20")
    made = runner(built)
    assert not made.is_current(made.batch_id(file_of(built)))
    batch = run(made, built)
    assert batch.shards == 2
    assert ids(built) == [f"t{i}" for i in range(ROWS)]


def test_a_file_that_changes_while_it_is_read_is_left_to_the_next_run(built, monkeypatch):
    made = runner(built)
    file = file_of(built)
    batch_id = made.batch_id(file)
    read = batches.read_texts

    def changing(path, *arguments, **options):
        yield from read(path, *arguments, **options)
        path.write_text(path.read_text() + "late,one more\n")

    monkeypatch.setattr(batches, "read_texts", changing)
    assert made.run(file, batch_id) is None
    assert not made.is_done(batch_id)
    monkeypatch.undo()


def test_a_file_that_is_gone_is_no_batch(built):
    made, file = runner(built), file_of(built)
    file.path.unlink()
    assert made.batch_id(file) is None


def test_a_fault_of_the_model_is_not_taken_for_one_of_the_file(built, word_embedder, monkeypatch):
    def broken(texts, kind):
        raise Fault("provider_failed", "The endpoint does not answer.")

    made = runner(built)
    monkeypatch.setattr(word_embedder, "embed", broken)
    with pytest.raises(Fault, match="endpoint"):
        run(made, built)
    assert not made.is_done(made.batch_id(file_of(built)))
