"""The node index: everything that classification needs of one taxonomy version, in memory and on disk.

An index is immutable. On disk it is a folder with a manifest, the nodes and the texts as parquet and the vectors as one
float16 matrix; a classifier starts from it without the vector store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zipfile import BadZipFile

import numpy as np
from scipy import sparse

from taxomind_assets.classification.branch_view import BranchView
from taxomind_assets.classification.calibration import Calibration
from taxomind_assets.taxonomy.records import taxonomy_from_table, taxonomy_to_table
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_assets.views.adaptation import Adaptation
from taxomind_assets.views.texts import TEXT_POLICY_VERSION, VIEWS, NodeViewText, Role, path_text, whole_text
from taxomind_resources.faults import Fault
from taxomind_resources.index_store import INDEX_FORMAT

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Word pieces per word of the labels up to which an encoder's language is trusted.
TRUSTED_FERTILITY: Final = 1.6


@dataclass(frozen=True)
class NodeIndex:
    """Searchable form of one taxonomy version. Make it with `build_index` or `NodeIndex.load`.

    Attributes:
        tree: n nodes in preorder.
        version: 12 hex digits over everything the index depends on.
        spec: the embedding model and how it was used, as JSON types.
        texts: m embedded texts, sorted by node; labels, definitions, examples and negative examples.
        vectors: float32[m, d], unit rows, adapted to the taxonomy.
        languages: fertility (word pieces per word of the labels) of each language of the taxonomy.
        trusted_languages: languages in which vectors lead.
        calibration: numbers that turn its scores into probabilities, fitted on the taxonomy's own texts.
        adaptation: the map that has brought the encoder's vectors into the space of this index; None = they are as they were.
        branches: machines that tell the branches of the tree apart; None = there are no branches, or no trusted language.
    """

    tree: Taxonomy
    version: str
    spec: Mapping[str, Any]
    texts: tuple[NodeViewText, ...]
    vectors: NDArray[np.float32]
    languages: Mapping[str, float]
    trusted_languages: frozenset[str]
    calibration: Calibration = field(default_factory=Calibration)
    adaptation: Adaptation | None = None
    branches: BranchView | None = None

    def adapted(self, adaptation: Adaptation | None) -> NodeIndex:
        """The index with its vectors mapped further."""
        if adaptation is None:
            return self
        return replace(self, vectors=stored_precision(adaptation(self.vectors)), adaptation=adaptation.after(self.adaptation))

    def plain(self) -> NodeIndex:
        """The index with the encoder's own vectors, up to rounding."""
        return replace(self, vectors=self.encoded(self.vectors), adaptation=None)

    def placed(self, encoded: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of the encoder, float32[b, d], brought into the space of this index."""
        return encoded if self.adaptation is None else self.adaptation(encoded)

    def encoded(self, placed: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inverse of `placed`, up to rounding."""
        return placed if self.adaptation is None else self.adaptation.undone(placed)

    @cached_property
    def owners(self) -> NDArray[np.int32]:
        """int32[m]: position of the node that each text belongs to, ascending."""
        position = self.tree.position
        return np.array([position[text.code] for text in self.texts], np.int32)

    def rows_of(self, *roles: Role) -> NDArray[np.int64]:
        """Rows of the texts with these roles, ascending."""
        return np.flatnonzero(np.array([text.view in roles for text in self.texts], np.bool_))

    @cached_property
    def naming_rows(self) -> NDArray[np.int64]:
        """Rows of the texts that name a node (labels and definitions); every node has a label."""
        return self.rows_of("label", "definition")

    @cached_property
    def whole_mixture(self) -> sparse.csr_array:
        """float32 sparse [n, m]: how the whole vector of each node is made of the vectors of its texts.

        Unit mean of the labels + that of the definitions + that of the examples, brought to length one. As good as embedding
        the concatenated text (measured), and a changed definition embeds one text, not two.
        """
        return self._unit_mixture(sum((self._view_mixture(view) for view in VIEWS[1:]), self._view_mixture(VIEWS[0])))

    @cached_property
    def path_mixture(self) -> sparse.csr_array:
        """float32 sparse [n, m]: the sum of the label vectors from the top node to the node, brought to length one."""
        tree = self.tree
        nodes, places = np.nonzero(tree.paths != ROOT)
        ones = np.ones(nodes.size, np.float32)
        upwards = sparse.csr_array((ones, (nodes, tree.paths[nodes, places])), shape=(len(tree), len(tree)))
        return self._unit_mixture(upwards @ self._view_mixture("label"))

    def _view_mixture(self, view: Role) -> sparse.csr_array:
        rows = self.rows_of(view)
        ones = np.ones(rows.size, np.float32)
        shape = (len(self.tree), len(self.texts))
        return self._unit_mixture(sparse.csr_array((ones, (self.owners[rows], rows)), shape=shape))

    def _unit_mixture(self, mixture: sparse.csr_array) -> sparse.csr_array:
        lengths = np.linalg.norm(mixture @ self.vectors, axis=1)
        scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return sparse.csr_array(sparse.diags_array(scale) @ mixture)

    @cached_property
    def whole_vectors(self) -> NDArray[np.float32]:
        """float32[n, d]: see `whole_mixture`; unit rows."""
        return np.asarray(self.whole_mixture @ self.vectors, np.float32)

    @cached_property
    def path_vectors(self) -> NDArray[np.float32]:
        """float32[n, d]: see `path_mixture`; unit rows."""
        return np.asarray(self.path_mixture @ self.vectors, np.float32)

    @cached_property
    def documents(self) -> dict[str, list[tuple[int, str]]]:
        """(node, text) per kind, sorted by node: `text` each label and example, `whole` and `path` per language."""
        kinds: dict[str, list[tuple[int, str]]] = {"text": [], "whole": [], "path": []}
        for i, node in enumerate(self.tree.nodes):
            for text in node.texts:
                kinds["text"] += [(i, part) for part in (text.label, *text.aliases, *text.examples) if part]
                kinds["whole"].append((i, whole_text(self.tree, i, text.language)))
                kinds["path"].append((i, path_text(self.tree, i, text.language)))
            kinds["text"] += [(i, part) for text in node.added for part in text.examples]
        return kinds

    @cached_property
    def language_texts(self) -> list[tuple[str, str]]:
        """(language, text) of all labels and examples."""
        return [
            (t.language, part) for node in self.tree.nodes for t in node.texts for part in (t.label, *t.aliases, *t.examples)
        ]

    def save(self, folder: Path) -> None:
        """Write the index into an existing empty folder."""
        import pyarrow.parquet as pq

        pq.write_table(taxonomy_to_table(self.tree, "taxonomy.enriched_nodes"), folder / "nodes.parquet")
        pq.write_table(_texts_table(self.texts), folder / "texts.parquet")
        np.save(folder / "vectors.npy", self.vectors.astype(np.float16))
        if self.adaptation is not None:
            np.save(folder / "adaptation.npy", self.adaptation.matrix)
        if self.branches is not None:
            arrays: dict[str, Any] = self.branches.to_arrays()
            np.savez(folder / "branches.npz", **arrays)
        manifest = {
            "format": INDEX_FORMAT,
            "key": self.tree.key,
            "version": self.version,
            "spec": dict(self.spec),
            "languages": dict(self.languages),
            "trusted_languages": sorted(self.trusted_languages),
            "calibration": self.calibration.to_json(),
            "adapted": self.adaptation is not None,
            "branched": self.branches is not None,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> NodeIndex:
        """Read an index.

        Raises:
            Fault: `index_stale` (another format) or `storage_failed` (damaged).
        """
        import pyarrow.parquet as pq

        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            if manifest["format"] != INDEX_FORMAT:
                raise Fault("index_stale", "The index has another format.", value=manifest["format"], allowed=str(INDEX_FORMAT))
            tree = taxonomy_from_table(pq.ParquetFile(folder / "nodes.parquet").read(), manifest["key"])
            texts = tuple(NodeViewText(**row) for row in pq.ParquetFile(folder / "texts.parquet").read().to_pylist())
            vectors = unit_rows(np.load(folder / "vectors.npy").astype(np.float32))
            if vectors.shape[0] != len(texts):
                raise ValueError(f"{vectors.shape[0]} vectors for {len(texts)} texts")
            calibration = Calibration.from_json(manifest["calibration"])
            adaptation = Adaptation(np.load(folder / "adaptation.npy")) if manifest["adapted"] else None
            branches = BranchView.from_arrays(dict(np.load(folder / "branches.npz"))) if manifest["branched"] else None
            return cls(
                tree,
                manifest["version"],
                manifest["spec"],
                texts,
                vectors,
                dict(manifest["languages"]),
                frozenset(manifest["trusted_languages"]),
                calibration,
                adaptation,
                branches,
            )
        except (OSError, LookupError, ValueError, TypeError, AttributeError, EOFError, BadZipFile) as error:
            raise Fault("storage_failed", f"The node index is damaged: {error}", value=folder.name) from error


def stored_precision(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors as they are read from disk, so that an index answers alike when it was just built and when it is loaded."""
    return unit_rows(vectors.astype(np.float16).astype(np.float32))


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length one; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: NDArray[np.float32] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return units


def _texts_table(texts: Sequence[NodeViewText]) -> Any:
    import pyarrow as pa

    names = ("code", "view", "language", "text", "text_hash", "origin")
    return pa.table({name: pa.array([getattr(text, name) for text in texts], pa.string()) for name in names})


def trusted_languages(fertility: Mapping[str, float], multilingual: bool) -> frozenset[str]:
    """Languages in which vectors lead: all for a multilingual encoder, else those with few word pieces per word."""
    return frozenset(lang for lang, pieces in fertility.items() if multilingual or pieces < TRUSTED_FERTILITY)


def indexed_texts(tree: Taxonomy, texts: Sequence[NodeViewText], trusted: frozenset[str]) -> list[NodeViewText]:
    """The texts whose vectors take part, sorted by node.

    When some language is trusted, only its texts do; a node without any text in a trusted language keeps all of its own.
    """
    named = {text.code for text in texts if text.language in trusted and text.view == "label"}
    position = tree.position
    kept = [t for t in texts if not trusted or t.language in trusted or t.code not in named]
    return sorted(kept, key=lambda text: position[text.code])


def index_version(tree: Taxonomy, spec: Mapping[str, Any], texts: Sequence[NodeViewText]) -> str:
    """12 hex digits over the taxonomy version, the model, the text policy and the texts."""
    digest = hashlib.sha256()
    head = [INDEX_FORMAT, TEXT_POLICY_VERSION, tree.version, dict(spec)]
    digest.update(json.dumps(head, sort_keys=True, ensure_ascii=False).encode())
    for text in texts:
        digest.update(f"{text.code}\x1f{text.view}\x1f{text.language}\x1f{text.text_hash}\x1e".encode())
    return digest.hexdigest()[:12]
