"""Putting an edition in force and taking it back: two files, and a state that is old or new whenever the process dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from taxomind_assets.taxonomy.revision import Translation
from taxomind_assets.taxonomy.revision_log import Author, carry_out, plan_revision, plan_undo
from taxomind_assets.taxonomy.versions import read_log
from taxomind_resources.faults import Fault
from taxomind_resources.inbox import Inbox
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import LimitSettings

KEY = "pets"
OLD = 'code,parent_code,label,examples\na,,Animals,\ndog,a,Dogs,"poodle\nterrier"\ncat,a,Cats,siamese\nox,a,Oxen,zebu\n'
OLD += "cow,a,Cows,jersey\n"
NEW = "code,parent_code,label,examples\na,,Animals,\ndog1,a,Poodles,poodle\ndog2,a,Terriers,terrier\ncat,a,House cats,siamese\n"
NEW += 'cattle,a,Cattle,"zebu\njersey"\n'
LINKS = "old_code,new_code\ndog,dog1\ndog,dog2\nox,cattle\ncow,cattle\n"
LIMITS = LimitSettings()
ME = Author("me", "because")


class Place:
    """A data root with an edition in force, and the files of the next one beside it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.inbox, self.outputs = Inbox(self.data, 0.0), Outputs(self.data)
        self.source, self.crosswalk = folder / "new.csv", folder / "crosswalk.csv"
        self.source.write_text(NEW)
        self.crosswalk.write_text(LINKS)
        self.inbox.put(KEY, "taxonomy", OLD.encode(), "taxonomy.csv")

    def plan(self, **changes):
        files = {"source": self.source, "crosswalk": self.crosswalk, **changes}
        return plan_revision(self.inbox, self.outputs, KEY, LIMITS, ME, **files)

    def revise(self):
        plan = self.plan()
        carry_out(self.inbox, plan)
        return plan

    def undo(self, **options):
        plan = plan_undo(self.inbox, self.outputs, KEY, LIMITS, ME, **options)
        carry_out(self.inbox, plan)
        return plan

    def content(self):
        return self.inbox.taxonomy_file(KEY).path.read_text()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_plan_writes_nothing(place):
    plan = place.plan()
    assert (plan.record.number, plan.record.follows, plan.record.by, plan.record.note) == (1, 0, "me", "because")
    assert place.content() == OLD
    assert read_log(place.inbox, KEY) == ()


def test_a_revision_replaces_the_file_and_leaves_a_record(place):
    plan = place.revise()
    assert place.content() == NEW
    assert read_log(place.inbox, KEY) == (plan.record,)
    translation = Translation.of(read_log(place.inbox, KEY), plan.after.version)
    assert translation.codes("dog", plan.before.version) == ("dog1", "dog2")


def test_taking_it_back_restores_the_file_byte_for_byte(place):
    plan = place.revise()
    undone = place.undo()
    assert place.content() == OLD
    assert undone.record.undoes == 1
    translation = Translation.of(read_log(place.inbox, KEY), plan.before.version)
    assert [translation.codes(code, plan.before.version) for code in ("dog", "ox")] == [("dog",), ("ox",)]
    assert translation.codes("cattle", plan.after.version) == ("ox", "cow")


def test_a_revision_can_be_made_again_and_taken_back_again(place):
    for _ in range(3):
        place.revise()
        assert place.content() == NEW
        place.undo()
        assert place.content() == OLD
    assert [record.kind for record in read_log(place.inbox, KEY)] == ["revise", "undo"] * 3


def test_a_file_of_another_format_replaces_the_former_one(place, tmp_path):
    source = tmp_path / "next"
    source.write_text('{"nodes": [{"code": "a", "label": "Animals"}]}')
    carry_out(place.inbox, place.plan(source=source, crosswalk=None))
    assert place.inbox.taxonomy_file(KEY).name == "taxonomy.json"
    place.undo()
    assert place.inbox.taxonomy_file(KEY).name == "taxonomy.csv"
    assert place.content() == OLD


def test_there_is_nothing_to_take_back_without_a_revision(place):
    with pytest.raises(Fault, match="No revision"):
        place.undo()
    place.revise()
    place.undo()
    with pytest.raises(Fault, match="No revision"):
        place.undo()


def test_what_came_after_a_revision_is_not_taken_back_without_force(place):
    place.revise()
    place.inbox.put(KEY, "taxonomy", (NEW + "pug,a,Pugs,\n").encode(), "taxonomy.csv")
    with pytest.raises(Fault) as caught:
        place.undo()
    assert caught.value.code == "revision_conflict"
    place.undo(force=True)
    assert place.content() == OLD


def test_the_same_content_is_no_new_edition(place):
    place.source.write_text(OLD)
    with pytest.raises(Fault, match="says the same"):
        place.plan(crosswalk=None)


def test_a_former_file_that_is_gone_is_named(place):
    place.revise()
    for path in (place.data / "inbox" / KEY / "earlier").iterdir():
        path.unlink()
    with pytest.raises(Fault, match="not in the folder earlier"):
        place.undo()
    assert place.content() == NEW


@pytest.mark.parametrize("who", ["taxonomy", "source", "log"])
def test_a_plan_that_others_have_overtaken_is_refused(place, who):
    plan = place.plan()
    if who == "taxonomy":
        place.inbox.put(KEY, "taxonomy", (OLD + "pug,a,Pugs,\n").encode(), "taxonomy.csv")
    elif who == "source":
        place.source.write_text(NEW + "pug,a,Pugs,\n")
    else:
        place.inbox.put(KEY, "revisions", place.plan().record.to_text().encode(), "0001.json")
    with pytest.raises(Fault) as caught:
        carry_out(place.inbox, plan)
    assert caught.value.code == "revision_conflict"


def test_a_person_is_told_what_may_be_a_mistake(place):
    place.source.write_text("code,parent_code,label\na,,Volcanoes\nbird,,Birds\n")
    place.crosswalk.write_text("old_code,new_code\ndog,\n")
    remarks = "\n".join(place.plan().remarks)
    assert (
        "3 codes are not in the crosswalk and not in the new edition; what is known about them is parked: cat, ox, cow"
        in remarks
    )
    assert "1 codes are new in this edition" in remarks
    assert "1 codes keep their code and share no word with their former label" in remarks


def killed_at(place, action, step):
    """Act in a process that kills itself at its n-th change of the file system; True = it was killed."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    left = [step]

    def dying(function):
        def wrapper(*arguments, **options):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return function(*arguments, **options)

        return wrapper

    try:
        for name in ("rename", "replace", "unlink", "fsync", "utime", "open", "rmdir", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        place.undo() if action == "undo" else place.revise()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["revise", "undo"])
def test_a_kill_at_any_step_leaves_the_former_edition_or_the_next(tmp_path, action):
    states = []
    for step in range(60):
        folder = tmp_path / str(step)
        folder.mkdir()
        place = Place(folder)
        before = place.plan().before.version
        after = place.plan().after.version
        if action == "undo":
            place.revise()
        was_killed = killed_at(place, action, step)
        in_force = place.content()
        assert in_force in {OLD, NEW}
        # The record that says how to read codes is there whenever the new edition is.
        translation = Translation.of(read_log(place.inbox, KEY), before if in_force == OLD else after)
        if in_force == NEW:
            assert translation.codes("dog", before) == ("dog1", "dog2")
            assert translation.codes("cattle", after) == ("cattle",)
        else:
            assert translation.codes("dog", before) == ("dog",)
        states.append(in_force == (NEW if action == "revise" else OLD))
        # Whoever comes next can go on from where it stands.
        if not states[-1]:
            place.revise() if action == "revise" else place.undo()
        assert place.content() == (NEW if action == "revise" else OLD)
        place.undo() if action == "revise" else place.revise()
        assert place.content() == (OLD if action == "revise" else NEW)
        if not was_killed:
            break
    assert not was_killed
    assert states == sorted(states)
    assert 5 < states.count(False) < len(states)


def test_the_lock_of_revisions_is_no_input(place):
    place.revise()
    assert place.inbox.problems() == []
    assert place.inbox.ignored(KEY, "taxonomy") == []
    assert os.listdir(place.data / "inbox" / KEY / "revisions") == ["0001.json"]
