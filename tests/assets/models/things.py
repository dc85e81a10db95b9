"""A small tree, and texts that words tell apart."""

from __future__ import annotations

from itertools import product

import pyarrow as pa

from taxomind_assets.models.labelled import Gathered, settle
from taxomind_assets.models.splits import NOT_SAID, Shares
from taxomind_assets.taxonomy.tree import Taxonomy

#: Code, parent and words of the nodes: two branches, one of which has a third level.
NODES = (
    ("animals", None, ("creature", "beast")),
    ("cat", "animals", ("cat", "kitten", "purring")),
    ("dog", "animals", ("dog", "puppy", "barking")),
    ("food", None, ("meal", "dish")),
    ("bread", "food", ("bread", "loaf", "baked")),
    ("soup", "food", ("soup", "broth", "ladled")),
    ("hot", "soup", ("steaming", "boiling", "hot")),
    ("cold", "soup", ("chilled", "icy", "gazpacho")),
)
_BEGINNINGS = ("the", "a very", "one small", "our old", "this fine", "some other")
_ENDS = ("was here", "came today", "is near the house", "was seen again")
LEAVES = ("cat", "dog", "bread", "hot", "cold")


def rows_of(codes: tuple[str, ...], every: int = 1) -> list[tuple[str, str]]:
    """Texts with codes, in an order that mixes codes."""
    words = {code: own for code, _, own in NODES}
    texts = [
        (f"{begin} {word} {end}", code)
        for begin, end in product(_BEGINNINGS, _ENDS)
        for code in codes
        for word in words[code][:2]
    ]
    return texts[::every]


def labelled_table(tree: Taxonomy, rows: list[tuple[str, str]], shares: Shares | None = None) -> pa.Table:
    """Rows as `models.labelled_texts`."""
    gathered = Gathered()
    given = [(str(place), text, "en", code) for place, (text, code) in enumerate(rows)]
    gathered.add(tree, given, [(NOT_SAID, "")] * len(rows), "texts.csv")
    return settle(tree, gathered, shares or Shares(0.15, 0.15, 1)).table
