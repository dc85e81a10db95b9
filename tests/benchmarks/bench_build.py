"""What building an index costs beside embedding, and what a change costs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.embedding import Embedder, load_embedder
from taxomind_resources.embedding.spec import EmbeddingSpec
from taxomind_resources.settings import load_settings
from tests.benchmarks.material import build, measured, occupations, uncached

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Watched:
    """An embedder that notes how long it worked and which texts it was given first."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.seconds = 0.0
        self.known: dict[tuple[str, str], NDArray[np.float32]] = {}
        self.new: list[str] = []

    @property
    def spec(self) -> EmbeddingSpec:
        """What identifies the vectors."""
        return self._embedder.spec

    def embed(self, texts: Sequence[str], kind: str) -> NDArray[np.float32]:
        """Vectors of texts; those seen before cost nothing, as with the product's cache."""
        import numpy as np

        fresh = [text for text in dict.fromkeys(texts) if (kind, text) not in self.known]
        start = time.perf_counter()
        if fresh:
            vectors = self._embedder.embed(fresh, kind)  # type: ignore[arg-type]
            self.known.update(((kind, text), vector) for text, vector in zip(fresh, vectors, strict=True))
        self.seconds += time.perf_counter() - start
        self.new += fresh
        return np.stack([self.known[kind, text] for text in texts])

    def word_pieces(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Tokens per text."""
        return self._embedder.word_pieces(texts)


def with_changed_definition(tree: Taxonomy) -> Taxonomy:
    """The tree with another definition of its last node."""
    last = tree.nodes[-1]
    text = replace(last.texts[0], definition="Workers whose tasks were described anew.")
    return replace(tree, nodes=(*tree.nodes[:-1], replace(last, texts=(text, *last.texts[1:]))))


def building() -> list[str]:
    """Rows: building from nothing, and again with one changed definition."""
    settings = uncached()
    embedder = load_embedder(settings.embedding, settings.data)
    embedder.embed(["warm up"], "query")
    tree = occupations(settings)
    watched = Watched(embedder)
    rows = []
    for name, version in (("from nothing", tree), ("one definition changed", with_changed_definition(tree))):
        watched.seconds, watched.new = 0.0, []
        cost = measured(lambda version=version: build(version, watched))  # type: ignore[misc]
        rows.append(
            f"| ISCO-08 {name}: {len(version):,} nodes | {len(watched.new):,} | {watched.seconds:.2f} s "
            f"| {cost.wall - watched.seconds:.2f} s | {cost.wall:.2f} s |"
        )
    return rows


def main(argv: list[str] | None = None) -> None:
    """Measure and print a table."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    print(f"data root: {load_settings().data}\n")
    print("| building an index | texts embedded | embedding | everything else | together |\n| --- | --: | --: | --: | --: |")
    print("\n".join(building()), flush=True)


if __name__ == "__main__":
    main()
