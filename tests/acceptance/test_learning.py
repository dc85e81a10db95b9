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
#: Several taxonomies, so that several runs are there to be killed at a time.
KEYS = ("beasts", "herbs", "woods")
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
    """Processes that execute a run: the code server starts each as a process of its own."""
    found = []
    for process in house.processes():
        try:
            if "spawn_main" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


class Trouble:
    """Files that keep coming, and kills at moments of chance: of runs, and now and then of everything.

    Work never runs out, so there is always a run to be killed; several at a time, one of each taxonomy.
    """

    def __init__(self, house, told, chance, kills, power_cuts):
        self.house, self.told, self.chance = house, told, chance
        self.wanted, self.power_cuts = kills, power_cuts
        self.kills = self.cuts = self.files = 0
        self._fate: dict[int, float] = {}
        self._next_file = 0.0

    def go_on(self):
        """One look at what goes on."""
        now = time.monotonic()
        if now >= self._next_file:
            keys = sorted(self.told)
            key = keys[self.files % len(keys)]
            self.house.put(f"{key}/corrections/file{self.files}.jsonl", self.told[key].file())
            self.files += 1
            self._next_file = now + self.chance.uniform(0.5, 2)
        for worker in workers(self.house):
            fate = self._fate.setdefault(worker.pid, now + self.chance.uniform(0, 5))
            if now >= fate:
                self._kill(worker)
        time.sleep(0.1)

    def _kill(self, worker):
        if self.cuts < self.power_cuts and self.kills * self.power_cuts >= self.cuts * self.wanted:
            self.house.kill_everything()
            self.house.start()
            self.cuts += 1
        else:
            try:
                os.kill(worker.pid, signal.SIGKILL)
            except ProcessLookupError:
                return  # It was faster.
        self.kills += 1


#: Of the kills, the second number take the daemon, its code server and all runs at once, as a power cut does.
@pytest.mark.parametrize(
    ("keys", "kills", "power_cuts"),
    [
        pytest.param(KEYS[:1], 3, 1, marks=pytest.mark.timeout(300), id="few"),
        pytest.param(KEYS, 21, 3, marks=[pytest.mark.endurance, pytest.mark.timeout(2400)], id="many"),
    ],
)
def test_after_kills_every_correction_counts_once_and_none_that_was_taken_back(served, vector_of, keys, kills, power_cuts):
    told, chance = {key: Told(seed) for seed, key in enumerate(keys)}, random.Random(11)
    for key in keys:
        served.put(f"{key}/taxonomy.csv", TAXONOMY)
    served.start()
    built = "SELECT DISTINCT taxonomy_key FROM views.node_vectors"
    served.wait_for("the indexes", lambda: len(served.sql(built)) == len(keys), 300)
    trouble = Trouble(served, told, chance, kills, power_cuts)
    while trouble.kills < kills:
        trouble.go_on()
    inbox, outputs, indexes = Inbox(served.data, 0.0), Outputs(served.data), IndexStore(served.data)

    def is_learned():
        return not any(pending_corrections(key, inbox, outputs, indexes) for key in keys) and not workers(served)

    served.wait_for("the end of learning", is_learned, 900)
    assert trouble.cuts == power_cuts
    for key in keys:
        check(served, key, told[key], vector_of)
    with served.instance() as instance:
        keys = [run.tags["dagster/run_key"] for run in instance.get_runs() if "dagster/is_resume_retry" not in run.tags]
    assert len(keys) == len(set(keys))


def check(house, key, told, vector_of):
    """What stands, and nothing else, counts, once."""
    wanted = {(own_id, text, code) for own_id, (text, code) in told.standing.items()}
    of_key = f"FROM learning.{{}} WHERE taxonomy_key = '{key}'"
    rows = house.sql(f"SELECT correction_id, text, code, status {of_key.format('corrections')}")
    assert {(row["correction_id"], row["text"], row["code"]) for row in rows if row["status"] == "applied"} == wanted
    assert len(rows) == len(told.lines)
    evidence = house.sql(f"SELECT correction_id, text, code {of_key.format('evidence')}")
    assert sorted(tuple(row.values()) for row in evidence) == sorted(wanted)
    for row in house.sql(f"SELECT code, count, vector_sum {of_key.format('centroids')}"):
        texts = [text for text, code in told.standing.values() if code == row["code"]]
        assert row["count"] == len(texts)
        assert np.allclose(row["vector_sum"], np.sum([vector_of(text) for text in texts], axis=0), atol=1e-2)
