"""Files go into the inbox of a running daemon and come out as rows that can be queried, whatever happens in between."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from taxomind_sensors.stranded import worker_pid

pytestmark = pytest.mark.slow

NOTES = Path(__file__).parents[2] / "data" / "examples" / "notes"
ANIMALS = (
    "code,parent_code,label,examples\n"
    "a,,Animals,\ndog,a,Dog,barking puppy\ncat,a,Cat,purring kitten\n"
    "p,,Plants,\noak,p,Oak,acorn tree\nrose,p,Rose,thorny flower\n"
)
ROWS = 100
TEXTS = "text_id,text\n" + "".join(f"t{i},puppy number {i}\n" for i in range(ROWS))
ANSWERS = "SELECT text_id, count(*) AS n FROM classification.results GROUP BY text_id"


def all_answered_once(house):
    rows = house.sql(ANSWERS)
    return len(rows) == ROWS and all(row["n"] == 1 for row in rows)


def finished(house, batches=1):
    return len(house.sql("SELECT * FROM classification.batches")) == batches


def run_keys(house):
    with house.instance() as instance:
        return [run.tags["dagster/run_key"] for run in instance.get_runs() if "dagster/is_resume_retry" not in run.tags]


def test_files_that_are_dropped_become_answers_and_a_report_without_any_command(household):
    household.start()
    shutil.copytree(NOTES, household.data / "inbox" / "notes")
    household.wait_for("the report", lambda: household.sql("SELECT * FROM reports.metrics LIMIT 1"))
    given = (NOTES / "texts" / "notes.csv").read_text().splitlines()[1:]
    answers = household.sql("SELECT text_id, path, top_codes FROM classification.results")
    assert len(answers) == len(given)
    assert {answer["top_codes"][0] for answer in answers} <= {"tech", "creative", "health", "life", "misc"}
    right = household.sql("SELECT value FROM reports.metrics WHERE metric = 'leaf_accuracy' AND slice = 'all'")[0]["value"]
    assert right > 0.5
    assert (household.data / "taxomind.duckdb").is_file()


@pytest.mark.parametrize("everything", [False, True], ids=["the run", "every process"])
def test_after_kill_9_in_mid_run_nothing_is_lost_and_nothing_is_there_twice(served, service, everything):
    served.put("animals/taxonomy.csv", ANIMALS)
    served.put("animals/texts/texts.csv", TEXTS)
    service.hold(lambda texts: any(text == "puppy number 50" for text in texts))
    served.start()
    assert service.waiting.wait(60), "no run came as far as the third shard"
    partly = served.sql(ANSWERS)
    assert 0 < len(partly) < ROWS
    if everything:
        served.kill_everything()
    else:
        with served.instance() as instance:
            run = instance.get_runs(limit=1)[0]
            os.kill(worker_pid(instance, run.run_id), signal.SIGKILL)
    service.resume()
    if everything:
        served.start()
    served.wait_for("the end of the batch", lambda: finished(served))
    assert all_answered_once(served)
    assert len(run_keys(served)) == len(set(run_keys(served)))


def test_a_taxonomy_that_is_deleted_leaves_nothing_and_can_be_added_again(served):
    served.put("animals/taxonomy.csv", ANIMALS)
    served.put("animals/texts/texts.csv", TEXTS)
    served.put("other/taxonomy.csv", ANIMALS)
    served.start()
    served.wait_for("the first answers", lambda: finished(served) and served.sql("SELECT * FROM views.node_vectors"))
    shutil.move(served.data / "inbox" / "animals", served.root / "kept")
    served.wait_for("the removal", lambda: not served.sql("SELECT * FROM taxonomy.nodes WHERE taxonomy_key = 'animals'"))
    assert served.sql(ANSWERS) == []
    assert not (served.data / "indexes" / "animals").exists()
    # Back with the same files and times: nothing but the history of runs could tell that they were here before.
    shutil.move(served.root / "kept", served.data / "inbox" / "animals")
    served.wait_for("the second answers", lambda: finished(served))
    assert all_answered_once(served)
