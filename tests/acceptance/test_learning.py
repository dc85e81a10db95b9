"""Corrections that land while everything is killed again and again count once, and what was taken back is gone."""

from __future__ import annotations

import json
import os
import random
import signal
import time

import numpy as np
import psutil
import pytest

from taxomind_assets.pending import pending_corrections
from taxomind_resources.inbox import Inbox
from taxomind_resources.index_store import IndexStore
from taxomind_resources.outputs import Outputs

pytestmark = pytest.mark.slow

TAXONOMY = (
    "code,parent_code,label,examples\n"
    "a,,Animals,\ndog,a,Dog,barking puppy\ncat,a,Cat,purring kitten\n"
    "p,,Plants,\noak,p,Oak,acorn tree\nrose,p,Rose,thorny flower\n"
)
CODES = ("dog", "cat", "oak", "rose", "a")
KILLS = 21
#: Of these, so many take the daemon, its code server and all runs at once, as a power cut does.
POWER_CUTS = 4
PER_FILE = 4


class Told:
    """What people have told so far, and what must follow from it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.lines: list[dict[str, str]] = []
        self.standing: dict[str, tuple[str, str]] = {}

    def file(self) -> str:
        """A file with new corrections, some told before, and some taken back."""
        new = []
        for _ in range(PER_FILE):
            own_id, text = f"c{len(self.lines)}", f"{self.chance.choice(['my', 'your', 'her'])} thing {len(self.lines)}"
            code = self.chance.choice(CODES)
            self.standing[own_id] = text, code
            new.append({"correction_id": own_id, "text": text, "code": code})
            self.lines.append(new[-1])
        again = self.chance.choices(self.lines, k=3)
        victim = self.chance.choice(sorted(self.standing))
        del self.standing[victim]
        lines = [*new, *again, {"correction_id": victim, "action": "withdraw"}]
        self.chance.shuffle(lines)
        return "".join(json.dumps(line) + "\n" for line in lines)


def workers(house):
    """Processes that execute a run."""
    found = []
    for process in house.processes():
        try:
            if "execute_run" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_a_worker(house, chance, seconds=40):
    """Kill -9 of a run at a moment of chance; False when none came in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := workers(house):
            time.sleep(chance.uniform(0, 4))
            try:
                os.kill(found[0].pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # It was faster.
            return True
        time.sleep(0.05)
    return False


def test_after_many_kills_every_correction_counts_once_and_none_that_was_taken_back(served, vector_of):
    told, chance = Told(7), random.Random(11)
    served.put("animals/taxonomy.csv", TAXONOMY)
    served.start()
    served.wait_for("the index", lambda: served.sql("SELECT * FROM views.node_vectors"))
    kills = cuts = number = 0
    while kills < KILLS:
        served.put(f"animals/corrections/file{number}.jsonl", told.file())
        number += 1
        if cuts < POWER_CUTS and kills >= cuts * KILLS // POWER_CUTS:
            time.sleep(chance.uniform(0.5, 6))
            served.kill_everything()
            served.start()
            cuts += 1
            kills += 1
        else:
            kills += kill_a_worker(served, chance)
    inbox, outputs, indexes = Inbox(served.data, 0.0), Outputs(served.data), IndexStore(served.data)
    served.wait_for("the end of learning", lambda: not pending_corrections("animals", inbox, outputs, indexes), 150)
    served.wait_for("the end of all runs", lambda: not workers(served))

    wanted = {(own_id, text, code) for own_id, (text, code) in told.standing.items()}
    corrections = served.sql("SELECT correction_id, text, code, status FROM learning.corrections")
    assert {(row["correction_id"], row["text"], row["code"]) for row in corrections if row["status"] == "applied"} == wanted
    assert len(corrections) == len(told.lines)
    evidence = served.sql("SELECT correction_id, text, code FROM learning.evidence")
    assert sorted(tuple(row.values()) for row in evidence) == sorted(wanted)
    for row in served.sql("SELECT code, count, vector_sum FROM learning.centroids"):
        texts = [text for text, code in told.standing.values() if code == row["code"]]
        assert row["count"] == len(texts)
        assert np.allclose(row["vector_sum"], np.sum([vector_of(text) for text in texts], axis=0), atol=1e-2)
    with served.instance() as instance:
        keys = [run.tags["dagster/run_key"] for run in instance.get_runs() if "dagster/is_resume_retry" not in run.tags]
    assert len(keys) == len(set(keys))
