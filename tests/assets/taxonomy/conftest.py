"""What tests of taxonomies share: files of published classifications, taxonomy files, and a language model.

The model is a plain function behind a server that speaks the real protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taxomind_assets.taxonomy.enrichment import Enricher
from taxomind_assets.taxonomy.enrichment_store import EnrichmentStore
from taxomind_assets.taxonomy.readers import TaxonomyFile, read_taxonomy
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.llm import LlmClient
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import EnrichmentSettings, LimitSettings, LlmSettings
from tests.assets.taxonomy.classifications import OCCUPATIONS, Workbook, save
from tests.assets.taxonomy.reading import LIMITS, Read
from tests.assets.taxonomy.zoo import knowing
from tests.resources.llm.chat_server import ChatServer, serving


@pytest.fixture
def llm_server() -> Iterator[ChatServer]:
    with serving(knowing) as server:
        yield server


@pytest.fixture
def outputs(tmp_path) -> Outputs:
    return Outputs(tmp_path / "data")


@pytest.fixture
def enricher_of(llm_server, outputs, tmp_path) -> Iterator[Callable[..., Enricher]]:
    """`enricher_of(tree, llm={...}, cached=True, setting=value)`: an enricher of a new process, as far as one can tell."""
    made: list[LlmClient] = []

    def make(tree: Taxonomy, *, llm: dict[str, Any] | None = None, cached: bool = True, **changes: Any) -> Enricher:
        values = {"model": "m", "base_url": llm_server.url, "requests_per_minute": 60_000, "timeout_s": 5, "max_retries": 2}
        settings = LlmSettings(**(values | (llm or {})))
        made.append(LlmClient(settings, tmp_path / "answers.sqlite" if cached else None))
        own = EnrichmentSettings(**changes)
        return Enricher(tree, EnrichmentStore(outputs, tree.key), made[-1], own, model=settings.model)

    yield make
    for client in made:
        client.close()


@pytest.fixture
def workbook(tmp_path: Path) -> Workbook:
    """Write a small ILO workbook."""
    return lambda rows=OCCUPATIONS, **options: save(tmp_path / "isco.xlsx", rows, **options)


@pytest.fixture
def structure(tmp_path: Path) -> Callable[[str], Path]:
    """Write a small UN structure file below the header of the real one."""

    def write(lines: str, header: str = '"Code","Description"\n') -> Path:
        path = tmp_path / "isic.csv"
        path.write_text(header + lines, encoding="utf-8")
        return path

    return write


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a file and read it as the taxonomy `key`."""

    def write_and_read(content: str | bytes, name: str = "taxonomy.csv", limits: LimitSettings = LIMITS) -> TaxonomyFile:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_taxonomy(path, "key", limits)

    return write_and_read
