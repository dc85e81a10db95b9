"""What people hand over to be classified or learned, checked before anything is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from taxomind_assets.views.texts import clean
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy

    Texts: TypeAlias = str | Sequence[str] | pd.DataFrame | pa.Table

_TEXTS: Final = "a string, a list of strings, or a table with a column `text`"


def checked_texts(texts: Texts) -> list[str]:
    """The texts as they are embedded: of one string, of several, or of the column `text` of a table.

    Raises:
        Fault: `invalid_input` when `texts` is something else; `missing_column`.
    """
    given: Any = [texts] if isinstance(texts, str) else texts
    if hasattr(given, "columns"):  # a pandas or Arrow table
        names = list(getattr(given, "column_names", given.columns))
        if "text" not in names:
            raise Fault("missing_column", "The table has no column of texts.", value=names, allowed="a column named text")
        column = given["text"]
        given = column.to_pylist() if hasattr(column, "to_pylist") else column.tolist()
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise Fault("invalid_input", "These are no texts.", value=type(texts).__name__, allowed=_TEXTS)
    for place, text in enumerate(given):
        if not isinstance(text, str):
            raise Fault("invalid_input", f"Text {place} is of type {type(text).__name__}.", value=text, allowed=_TEXTS)
    return [clean(text) for text in given]


def check_codes(texts: Sequence[str], codes: Sequence[str], tree: Taxonomy) -> None:
    """Refuse what cannot be learned.

    Raises:
        Fault: `invalid_input` when a text is empty, a code is not in the taxonomy, or one has no counterpart.
    """
    if len(texts) != len(codes):
        raise Fault("invalid_input", f"{len(codes)} codes for {len(texts)} texts.", value=len(codes), allowed=str(len(texts)))
    unknown = [code for code in codes if code not in tree.position]
    if unknown:
        raise Fault("invalid_input", "There is no such code.", value=unknown[0], allowed=f"a code of {tree.key}")
    if not all(texts):
        raise Fault("invalid_input", "Nothing can be learned from an empty text.", value=list(texts).index(""), allowed="texts")


def check_vectors(vectors: NDArray[np.float32] | None, shape: tuple[int, int]) -> None:
    """Refuse vectors of another shape.

    Raises:
        Fault: `invalid_input`.
    """
    if vectors is not None and vectors.shape != shape:
        raise Fault("invalid_input", "The vectors do not fit the texts.", value=vectors.shape, allowed=str(shape))
