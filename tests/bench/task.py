"""One benchmark set, ready to be coded: tree, texts, splits and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.views.build import build_index
from taxomind_assets.views.texts import VIEWS, node_texts
from tests.bench.material import MOST_TEXTS, BenchSet, Text, out_of_scope, taxonomy_of, texts_of
from tests.bench.splits import few_shot, sample, split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import NodeText, Taxonomy
    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.settings import Settings

#: Labelled texts for each code that a regime may learn from; None = the whole pool of its split.
SHOTS: Final[dict[str, tuple[str, int | None]]] = {
    "zero-shot": ("few", 0),
    "k=1": ("few", 1),
    "k=3": ("few", 3),
    "k=5": ("few", 5),
    "k=10": ("few", 10),
    "all": ("few", None),
    "full": ("full", None),
}
REGIMES: Final = tuple(SHOTS)
OUTSIDE_TEXTS: Final = 600


@dataclass(frozen=True)
class Task:
    """A set with the model and the settings that code it.

    Attributes:
        most_tests: test texts of a split, chosen by hash.
    """

    bench_set: BenchSet
    embedder: Embedder
    settings: Settings
    work: Path
    most_tests: int = 1_000

    @property
    def name(self) -> str:
        """Name of the set."""
        return self.bench_set.name

    @cached_property
    def tree(self) -> Taxonomy:
        """The taxonomy, as the product reads it."""
        return taxonomy_of(self.bench_set, self.work / "taxonomies")

    @cached_property
    def index(self) -> NodeIndex:
        """The product's node index."""
        views = node_texts(self.tree)
        texts = [text for view in VIEWS for text in views[view]]
        vectors = self.embedder.embed([text.text for text in texts], "document")
        scoring = self.settings.scoring
        return build_index(self.tree, texts, vectors, self.embedder, scoring.crosslingual, adapt=scoring.adapt)

    @cached_property
    def texts(self) -> list[Text]:
        """All texts of the set."""
        return sample(texts_of(self.bench_set), MOST_TEXTS)

    def pool(self, regime: str) -> list[Text]:
        """The labelled texts of a regime, unique texts with all their codes."""
        which, shots = SHOTS[regime]
        pool = split(self.texts, which)[0]
        return pool if shots is None else few_shot(pool, shots)

    def tests(self, regime: str) -> list[Text]:
        """The test texts of a regime: none that stands word for word in the taxonomy."""
        return sample((text for text in split(self.texts, SHOTS[regime][0])[1] if not text.verbatim), self.most_tests)

    def gold(self, texts: Sequence[Text]) -> list[list[int]]:
        """Positions of the known nodes of each text."""
        return [[self.tree.position[code] for code in text.codes] for text in texts]

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[b, d], unit rows."""
        return self.embedder.embed(list(texts), "query")

    @cached_property
    def leaf_names(self) -> list[tuple[int, str]]:
        """(leaf, text) for labels and examples of the leaves: see `leaf_texts`."""
        return [(leaf, name) for leaf, text in self._leaves() for name in (text.label, *text.examples)]

    @cached_property
    def leaf_labels(self) -> list[tuple[int, str]]:
        """(leaf, label): see `leaf_texts`."""
        return [(leaf, text.label) for leaf, text in self._leaves()]

    @cached_property
    def leaf_texts(self) -> list[tuple[int, str]]:
        """(leaf, text) for labels, examples and definitions of the leaves.

        In the language of the set, and in English too where the set is given all languages.
        """
        definitions = [(leaf, text.definition) for leaf, text in self._leaves() if text.definition]
        return self.leaf_names + definitions

    def _leaves(self) -> list[tuple[int, NodeText]]:
        wanted = {self.bench_set.language, *(["en"] * self.bench_set.all_languages)}
        found = []
        for position in np.flatnonzero(self.tree.is_leaf).tolist():
            texts = self.tree.nodes[position].texts
            found += [(position, text) for text in texts if text.language in wanted] or [(position, texts[0])]
        return found


def strangers(data: Path) -> list[str]:
    """Texts that belong in no taxonomy, at most `OUTSIDE_TEXTS`."""
    texts = [Text(text, ()) for text in out_of_scope(data)]
    return [text.text for text in sample(texts, OUTSIDE_TEXTS)]
