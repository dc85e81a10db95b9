"""A place where corrections are learned without a graph: inbox, outputs and a model of words."""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxomind_assets.learning.gathering import Gathered, accept_corrections, gather_evidence, stored_corrections
from taxomind_assets.pending import IndexState
from taxomind_assets.taxonomy.records import taxonomy_to_table
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources import files
from taxomind_resources.embedding import EmbeddingSpec
from taxomind_resources.inbox import Inbox
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import Settings
from taxomind_resources.tables import BY_NAME

KEY = "animals"
NODES = {"a": None, "dog": "a", "cat": "a", "p": None, "oak": "p", "rose": "p"}


class Words:
    """The mean of a fixed random vector per word."""

    def __init__(self, model: str = "words") -> None:
        self.spec = EmbeddingSpec("local", model, None, model, "", "", "mean", "right", 128, 16, "float32")
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str], kind: str) -> np.ndarray:
        self.embedded += texts
        rows = np.zeros((len(texts), 16), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                rows[row] += np.random.default_rng(zlib.crc32(word.encode())).normal(size=16)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

    def word_pieces(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([len(text.split()) for text in texts], np.int32)


class Killed(BaseException):
    """The process ends here."""


class Household:
    """One data root with a taxonomy of animals and plants."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.settings = Settings.model_validate({"data": data})
        self.inbox, self.outputs, self.embedder = Inbox(data, 0.0), Outputs(data), Words()
        self.folder = data / "inbox" / KEY / "corrections"
        self.folder.mkdir(parents=True)
        self.revise(*NODES)
        self._moment = itertools.count(1_000_000_000)

    def revise(self, *codes: str) -> None:
        """Make a taxonomy of these nodes the current one, with its index."""
        nodes = [Node(code, NODES[code], 1 if NODES[code] is None else 2, (NodeText("", code),)) for code in codes]
        tree = Taxonomy.build(KEY, nodes, version=f"{zlib.crc32(repr(codes).encode()):012x}")
        self.outputs.write("taxonomy.enriched_nodes", KEY, taxonomy_to_table(tree, "taxonomy.enriched_nodes"))
        state = IndexState(tree.version, self.embedder.spec.vector_class, "", "")
        self.outputs.write("views.node_vectors", KEY, BY_NAME["views.node_vectors"].arrow.empty_table(), digest=state.digest())

    def put(self, content: str, name: str) -> Path:
        """A file of the inbox, as if it had been written at a time of its own."""
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        moment = next(self._moment)
        os.utime(path, (moment, moment))
        return path

    def learn(self, kill_at: int | None = None) -> Gathered | None:
        """Both steps; `kill_at`: end before the write of this number, as a kill does. Returns None then."""
        write, left = self.outputs.write, kill_at

        def counted(*arguments: Any, **options: Any) -> Path:
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    raise Killed
            return write(*arguments, **options)

        self.outputs.write = counted  # type: ignore[method-assign]
        try:
            accept_corrections(KEY, self.settings, self.inbox, self.outputs)
            return gather_evidence(KEY, self.outputs, self.embedder)
        except Killed:
            return None
        finally:
            self.outputs.write = write  # type: ignore[method-assign]

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """Rows of a table as tuples, sorted."""
        rows = self.outputs.read(f"learning.{table}", KEY, columns=list(columns)).to_pylist()
        return sorted((tuple(row[name] for name in columns) for row in rows), key=repr)

    def applied(self) -> list[tuple[str, str | None]]:
        """(text, code) of all corrections that count."""
        return sorted((found.text, found.code) for found in stored_corrections(self.outputs, KEY, status="applied"))

    def state(self) -> dict[str, Any]:
        """All that must be the same whatever the way to it: no times of runs, no names of files."""
        sums = {row[0]: np.round(row[1], 9).tolist() for row in self.rows("centroids", "code", "vector_sum")}
        return {
            "corrections": self.rows("corrections", "correction_id", "text", "code", "annotator", "corrected_at", "status"),
            "counts": self.rows("centroids", "code", "count", "evidence_version"),
            "sums": sums,
            "evidence": self.rows("evidence", "correction_id", "code", "text", "vector"),
            "reviews": self.rows("reviews", "correction_id", "kind", "code"),
        }


@pytest.fixture(autouse=True, scope="module")
def _no_power_cuts() -> Iterator[None]:
    """Nothing here asks whether files survive a power cut, and waiting for the disk is what would take longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "flush", lambda path: None)
        yield


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path / "data")


@pytest.fixture
def household_in(tmp_path: Path) -> Callable[[], Household]:
    """Households in folders of their own."""
    number = itertools.count()
    return lambda: Household(tmp_path / f"house{next(number)}")
