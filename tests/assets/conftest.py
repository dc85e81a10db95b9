"""A project in a temporary folder: inbox, outputs and the real asset graph, over a small model of words."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, MetadataValue, RunConfig

from taxomind_resources import embedding
from taxomind_resources.catalogue import Catalogue
from taxomind_resources.embedding import EmbeddingSpec
from taxomind_resources.inbox import Inbox
from taxomind_resources.index_store import IndexStore
from taxomind_resources.outputs import Outputs

RESTED = 1_000_000_000
ANIMALS = (
    "code,parent_code,label,definition,examples\n"
    "a,,Animals,Living beings that move,\n"
    'dog,a,Dog,An animal that barks,"poodle\nbarking puppy"\n'
    'cat,a,Cat,An animal that purrs,"purring kitten"\n'
    "p,,Plants,Living beings with leaves,\n"
    'oak,p,Oak,A tree with acorns,"acorn tree"\n'
    'rose,p,Rose,A flower with thorns,"thorny flower"\n'
)


class WordEmbedder:
    """The mean of a fixed random vector per word: texts that share words are near, and no model is loaded."""

    def __init__(self, model: str = "words") -> None:
        self.spec = EmbeddingSpec("local", model, None, model, "", "", "mean", "right", 128, 64, "float32")
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str], kind: str) -> np.ndarray:
        self.embedded += texts
        vectors = np.zeros((len(texts), 64), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row] += _word_vector(word)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def word_pieces(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([len(text.split()) for text in texts], np.int32)


@cache
def _word_vector(word: str) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=64)


class Project:
    """One data root and one Dagster instance."""

    def __init__(self, data: Path, instance: DagsterInstance) -> None:
        self.data = data
        self.instance = instance
        self.inbox = Inbox(data, 0.0)
        self.outputs = Outputs(data)
        self.indexes = IndexStore(data)

    def put(self, key: str, kind: str, content: str | bytes, name: str = "texts.csv") -> Path:
        """Put an input where a person would, written some time ago."""
        name = "taxonomy.csv" if kind == "taxonomy" else name
        path = self.data / "inbox" / key / ("" if kind == "taxonomy" else kind) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.utime(path, (RESTED, RESTED + len(content)))
        return path

    def run(self, job: str, *keys: str, config: RunConfig | None = None) -> ExecuteInProcessResult:
        """Run a job for one taxonomy, or for a range of several as a backfill does."""
        from taxomind_app.definitions import defs

        self.instance.add_dynamic_partitions("taxonomy_key", list(keys))
        definition = defs.resolve_job_def(job)
        if len(keys) == 1:
            return definition.execute_in_process(
                run_config=config, partition_key=keys[0], instance=self.instance, raise_on_error=False
            )
        tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        return definition.execute_in_process(run_config=config, instance=self.instance, tags=tags, raise_on_error=False)

    def sql(self, query: str) -> list[dict[str, Any]]:
        """What a person sees who asks the catalogue."""
        return Catalogue(self.data).query(query).to_pylist()


@pytest.fixture
def word_embedder(monkeypatch: pytest.MonkeyPatch) -> WordEmbedder:
    embedder = WordEmbedder()
    monkeypatch.setattr(embedding, "load_embedder", lambda settings, data, recorded=None: embedder)
    return embedder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word_embedder: WordEmbedder) -> Iterator[Project]:
    monkeypatch.setenv("TAXOMIND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TAXOMIND_LIMITS__SETTLE_S", "0")
    with DagsterInstance.ephemeral() as instance:
        yield Project(tmp_path / "data", instance)


@pytest.fixture
def animals(project: Project) -> Project:
    """A project with the taxonomy `animals` in its inbox."""
    project.put("animals", "taxonomy", ANIMALS)
    return project


@pytest.fixture
def metadata() -> Any:
    """`metadata(result, asset)`: what the UI shows of the one materialisation of an asset."""

    def of(result: ExecuteInProcessResult, asset: str, partition: str | None = None) -> dict[str, Any]:
        events = result.asset_materializations_for_node(asset)
        found = [event for event in events if partition in (None, event.partition)]
        assert len(found) == 1
        return {name: _plain(value) for name, value in found[0].metadata.items()}

    return of


def _plain(value: MetadataValue[Any]) -> Any:
    return value.value
