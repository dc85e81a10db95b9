"""Labelled files that came before a revision are read in the codes of the edition in force."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from taxomind_assets.reports.sources import read_labelled
from taxomind_assets.taxonomy.crosswalk import Crosswalk, Link
from taxomind_assets.taxonomy.revision import Revision, Translation, VersionFile
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.inbox import Inbox
from taxomind_resources.settings import Settings

REVISED_AT = datetime(2026, 6, 1, tzinfo=UTC)
OLD = ["a", "cat", "dog", "ox", "b", "swap", "swop", "x"]
LINKS = [
    *(Link("dog", "poodle"), Link("dog", "terrier"), Link("cat", "feline"), Link("ox", "")),
    *(Link("swap", "swop"), Link("swop", "swap"), Link("x", "feline"), Link("x", "b")),
]


@pytest.fixture
def tree():
    parents = {"a": None, "feline": "a", "poodle": "a", "terrier": "a", "b": None, "swap": "b", "swop": "b"}
    nodes = [Node(code, parent, 1 if parent is None else 2, (NodeText("en", code),)) for code, parent in parents.items()]
    return Taxonomy.build("pets", nodes, version="after")


@pytest.fixture
def read(tree, tmp_path):
    """`read(content, moment)`: known codes of the texts of a file that came at a time, and the codes that were refused."""
    files = (VersionFile(version, "taxonomy.csv", version) for version in ("before", "after"))
    crosswalk = Crosswalk.between(LINKS, OLD, tree.codes)
    record = Revision(1, "revise", 0, REVISED_AT, "me", *files, crosswalk=crosswalk)
    translation = Translation.of([record], "after")

    def of(content, month):
        path = tmp_path / "inbox" / "pets" / "labelled" / "known.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text,code\n{content}")
        moment = datetime(2026, month, 1, tzinfo=UTC).timestamp()
        os.utime(path, (moment, moment))
        refused = []
        inbox = Inbox(tmp_path, 0.0).files("pets", "labelled")
        found = read_labelled(tree, inbox, Settings(), refused.extend, translation=translation)
        targets = zip(found.targets["text"].to_pylist(), found.targets["target_code"].to_pylist(), strict=True)
        return dict(targets), [row.reason_code for row in refused]

    return of


def test_codes_of_the_former_edition_are_those_of_today(read):
    assert read("purrs,cat\nstays,b\nfirst,swap\nsecond,swop\n", 1) == (
        {"purrs": "feline", "stays": "b", "first": "swop", "second": "swap"},
        [],
    )


def test_a_file_of_the_edition_in_force_means_what_it_says(read):
    assert read("first,swap\npurrs,feline\n", 7) == ({"first": "swap", "purrs": "feline"}, [])


def test_of_a_split_node_what_lies_above_its_parts_is_still_known(read):
    assert read("barks,dog\n", 1) == ({"barks": "a"}, [])


def test_what_cannot_be_said_in_the_edition_in_force_is_refused(read):
    assert read("pulls,ox\nboth,x\n", 1) == ({}, ["unknown_code", "unknown_code"])
