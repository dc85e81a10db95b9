"""Names that the nodes of a taxonomy are known by, as comparison keys."""

from __future__ import annotations

import numpy as np

from taxomind_assets.growth.normalise import PLAIN_WORDS, SEGMENT, Words, comparison_key
from taxomind_assets.taxonomy.tree import Taxonomy


class KnownForms:
    """Names that existing nodes are known by: label, aliases, code, and every trailing part of the path of labels."""

    def __init__(self, tree: Taxonomy, words: Words) -> None:
        self.tree = tree
        self.words = words
        self.nodes: dict[str, int] = {}
        #: Names of the node itself, without parts of paths.
        self.names: dict[str, int] = {}

    @classmethod
    def of(cls, tree: Taxonomy, words: Words = PLAIN_WORDS) -> KnownForms:
        """The forms of a taxonomy; of equal forms that of the node nearest to the top counts."""
        forms = cls(tree, words)
        for place in np.argsort(tree.depths, kind="stable").tolist():
            node = tree.nodes[place]
            for text in node.texts:
                for name in (text.label, *text.aliases):
                    forms.names.setdefault(forms.key(name, text.language), place)
            forms.names.setdefault(forms.key(node.code), place)
        forms.nodes.update(forms.names)
        for place in range(len(tree)):
            keys = [forms.key(label) for label in tree.path_labels(place)]
            for start in range(len(keys) - 1):
                forms.nodes.setdefault(SEGMENT.join(filter(None, keys[start:])), place)
        for known in (forms.names, forms.nodes):
            known.pop("", None)
        return forms

    def key(self, label: str, language: str = "") -> str:
        """The comparison key under the words of this taxonomy."""
        return comparison_key(label, language, self.words)
