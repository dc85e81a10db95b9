"""Shared test material: the embedded model, and two small indexes made with it from the shipped examples.

`occupations` is an excerpt of ISCO-08 (about 70 nodes on four levels, labels in four languages, texts in English) that holds
the branches which the failure modes of classification are about; `notes` is flat with five labels in one language.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.build import build_index
from taxomind_assets.views.index import NodeIndex, indexed_texts, unit_rows
from taxomind_assets.views.texts import VIEWS, node_texts
from taxomind_resources.embedding import Embedder, load_embedder
from taxomind_resources.settings import Settings
from tests.postgres import find_server, running_postgres

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("taxomind", deadline=None)
hypothesis.settings.load_profile("taxomind")

EXAMPLES = Path(__file__).parents[1] / "data" / "examples"
BRANCHES = (
    *("1111", "1112", "1120", "1411", "1412", "1420", "1439"),
    *("2310", "2320", "2330", "2341", "2342", "2351", "2352", "2356"),
    *("2511", "2512", "2513", "2514", "2522", "2523", "2611", "2612", "2619", "2631", "2632", "2634"),
    *("5120", "5131", "5132", "5151", "5153", "5221", "5222", "5223", "5230", "5246", "5311", "5312", "5321", "5322"),
    *("0110", "0210"),
)


@pytest.fixture(scope="session")
def model_root(request: pytest.FixtureRequest) -> Path:
    """A data root whose converted model outlives the run, as in real use."""
    cache = getattr(request.config, "cache", None)
    return (cache.mkdir("embedding-models") if cache is not None else Path(tempfile.mkdtemp())) / "data"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Makes addresses of empty schemas on a server that runs for the tests."""
    programs = find_server()
    if programs is None:
        pytest.skip("there is no PostgreSQL server on this machine")
    with running_postgres(programs) as made:
        yield made


@pytest.fixture(scope="session")
def default_settings(model_root: Path) -> Settings:
    """Default settings, without the disk cache of vectors."""
    return Settings.model_validate({"data": model_root, "embedding": {"cache": False}})


@pytest.fixture(scope="session")
def embedder(default_settings: Settings) -> Embedder:
    """The embedded model."""
    return load_embedder(default_settings.embedding, default_settings.data)


@pytest.fixture(scope="session")
def index_of(embedder: Embedder) -> Callable[[Taxonomy], NodeIndex]:
    """Builds a real index."""

    def build(tree: Taxonomy) -> NodeIndex:
        texts = [text for view in VIEWS for text in node_texts(tree)[view]]
        return build_index(tree, texts, embedder.embed([text.text for text in texts], "document"), embedder)

    return build


@pytest.fixture(scope="session")
def isco08(default_settings: Settings) -> Taxonomy:
    """The shipped ISCO-08, whole."""
    return _read("isco08", default_settings)


@pytest.fixture(scope="session")
def occupations(isco08: Taxonomy, index_of: Callable[[Taxonomy], NodeIndex]) -> NodeIndex:
    """Index of an excerpt of ISCO-08."""
    return index_of(Taxonomy.build("occupations", _with_ancestors(isco08, BRANCHES), version="0" * 12))


@pytest.fixture(scope="session")
def notes(default_settings: Settings, index_of: Callable[[Taxonomy], NodeIndex]) -> NodeIndex:
    """Index of the shipped notes taxonomy."""
    return index_of(_read("notes", default_settings))


@pytest.fixture(scope="session")
def classifier_of(embedder: Embedder, default_settings: Settings) -> Callable[..., Classifier]:
    """`classifier_of(index, group={"name": value}, ...)`: a classifier with these settings changed."""

    def make(index: NodeIndex, **groups: dict[str, object]) -> Classifier:
        values = default_settings.model_dump()
        for group, changes in groups.items():
            values[group].update(changes)
        return Classifier(index, embedder, Settings.model_validate(values))

    return make


def _read(name: str, settings: Settings) -> Taxonomy:
    return read_taxonomy(EXAMPLES / name / "taxonomy.csv", name, settings.limits).taxonomy


def _with_ancestors(tree: Taxonomy, codes: Iterable[str]) -> list[Node]:
    kept = {code for wanted in codes for code in tree.path_codes(tree.position[wanted])}
    return [node for node in tree.nodes if node.code in kept]


@pytest.fixture(scope="session")
def tree_of() -> Callable[..., Taxonomy]:
    """`tree_of([0, 1, 0, ...])`: a tree of as many nodes; node i hangs under place `number % (i + 1)`, 0 = the root."""

    def make(numbers: Sequence[int], level_step: int = 1) -> Taxonomy:
        parents = [number % (i + 1) - 1 for i, number in enumerate(numbers)]
        levels: list[int] = []
        nodes = []
        for i, parent in enumerate(parents):
            levels.append(level_step if parent < 0 else levels[parent] + level_step)
            text = NodeText("en", f"label {i}", f"definition {i}" if i % 3 == 0 else "", (f"example {i}",) * (i % 2))
            nodes.append(Node(f"n{i}", None if parent < 0 else f"n{parent}", levels[i], (text,)))
        return Taxonomy.build("random", nodes)

    return make


@pytest.fixture(scope="session")
def random_index() -> Callable[..., NodeIndex]:
    """An index of any tree with random unit vectors, for tests that need no meaning."""

    def make(tree: Taxonomy, dimensions: int = 16, seed: int = 0) -> NodeIndex:
        texts = indexed_texts(tree, [text for view in VIEWS for text in node_texts(tree)[view]], frozenset({"en"}))
        vectors = np.random.default_rng(seed).normal(size=(len(texts), dimensions)).astype(np.float32)
        languages = dict.fromkeys(tree.languages, 1.0)
        return NodeIndex(tree, "0" * 12, {}, tuple(texts), unit_rows(vectors), languages, frozenset({"en"}))

    return make
