"""The one place that makes text: for building an index, for queries and for learning. Equal texts get equal vectors.

Nothing is cut here. What is longer than the model's token limit is embedded in chunks whose vectors are averaged, so no
field of a text is ever lost; `TEXT_POLICY_VERSION` is part of every index and changes with any rule below.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal

from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.settings import TextSettings

TEXT_POLICY_VERSION: Final = "2"
View = Literal["label", "definition", "example"]
#: What a text is to its node; texts that look right and belong elsewhere are kept in the example view.
Role = Literal["label", "definition", "example", "negative"]
Origin = Literal["source", "enrichment"]
VIEWS: Final[tuple[View, ...]] = ("label", "definition", "example")

# Control characters that are no white space, halves of pairs, and signs without width or meaning (soft hyphen, zero-width
# space, byte order mark, direction marks). Zero-width joiners stay: several scripts need them.
_DROPPED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)
# Letters, digits, signs and syllables in the widths of East Asian typewriters, and the space that goes with them.
_TYPEWRITER_WIDTHS = re.compile("[\u3000\uff01-\uffee]+")


@dataclass(frozen=True, slots=True)
class NodeViewText:
    """One text of a node that gets a vector.

    `text_hash`: 16 hex digits of the SHA-256 of `text`. `origin`: `source` = the taxonomy's file, `enrichment` = a language
    model.
    """

    code: str
    view: Role
    language: str
    text: str
    text_hash: str
    origin: Origin = "source"


def clean(text: str) -> str:
    """What is embedded: NFC (Unicode UAX #15), trimmed, white space runs to one space, control characters dropped.

    Full-width letters and half-width syllables become plain ones (NFKC of them alone: it would change `m²` and `½` as well).
    """
    if not text.isascii():
        text = _TYPEWRITER_WIDTHS.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
        return " ".join(unicodedata.normalize("NFC", _DROPPED.sub("", text)).split())
    return " ".join((text if text.isprintable() else _DROPPED.sub("", text)).split())


def normalise(text: str) -> str:
    """The identity of a text: two texts that differ only in case, width, composition or white space are the same.

    NFKC and full case folding (Unicode 3.13, definition D146), then single spaces.
    """
    if text.isascii():
        return clean(text).lower()
    text = unicodedata.normalize("NFD", _DROPPED.sub("", text)).casefold()
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", text).split())


def text_hash(text: str) -> str:
    """16 hex digits: SHA-256 of the text as embedded."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def canonical_text(fields: Mapping[str, object], settings: TextSettings) -> str:
    """One text from named fields: values in order, one per line, empty ones left out; '' when nothing is left.

    Order: the first pattern of `text.field_order` that a name matches (`*` and `?`, without case), the rest by name.
    Numbers and truth values become text, null is dropped, lists are joined with ", ", objects become compact JSON.

    Args:
        fields: name -> any JSON value.
        settings: `field_order` and `include_field_names`.
    """
    parts = ((name, value_text(fields[name])) for name in _in_field_order(tuple(fields), settings.field_order))
    named = settings.include_field_names
    return "\n".join(f"{name.strip()}: {text}" if named else text for name, text in parts if text)


@lru_cache(maxsize=256)
def _in_field_order(names: tuple[str, ...], order: tuple[str, ...]) -> list[str]:
    """The names as `canonical_text` puts them; kept, because the rows of a file share their names."""
    patterns = [pattern.casefold() for pattern in order]

    def place(name: str) -> tuple[int, str, str]:
        folded = name.casefold()
        rank = next((i for i, pattern in enumerate(patterns) if fnmatchcase(folded, pattern)), len(patterns))
        return rank, folded, name

    return sorted(names, key=place)


def value_text(value: object) -> str:
    """A JSON value as text: '' for null and for numbers that are none, no '.0' on whole numbers."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    if isinstance(value, list | tuple):
        return ", ".join(text for text in map(value_text, value) if text)
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str) if value else ""
    return str(value).strip()


def node_texts(taxonomy: Taxonomy) -> dict[View, list[NodeViewText]]:
    """Every text of every node, by view, nodes in preorder.

    The label view holds labels and aliases, the definition view definitions, the example view one row per example; each in
    every language, the primary one first, then what enrichment added. What repeats inside a node and view (see `normalise`)
    is dropped.
    """
    views: dict[View, list[NodeViewText]] = {view: [] for view in VIEWS}
    for node in taxonomy.nodes:
        for view in VIEWS:
            seen: set[str] = set()
            for origin, role, language, raw in _node_view_texts(node, view):
                text = clean(raw)
                identity = normalise(text)
                if identity and identity not in seen:
                    seen.add(identity)
                    views[view].append(NodeViewText(node.code, role, language, text, text_hash(text), origin))
    return views


def origin_of(node: Node, text: str) -> Origin:
    """Where a text of a node comes from; one that the file and a language model have is the file's."""

    def has(texts: Iterable[NodeText]) -> bool:
        return any(clean(raw) == text for view in VIEWS for _, _, raw in _view_texts(texts, view))

    return "enrichment" if not has(node.texts) and has(node.added) else "source"


def _node_view_texts(node: Node, view: View) -> Iterator[tuple[Origin, Role, str, str]]:
    yield from (("source", *text) for text in _view_texts(node.texts, view))
    yield from (("enrichment", *text) for text in _view_texts(node.added, view))


def _view_texts(texts: Iterable[NodeText], view: View) -> Iterator[tuple[Role, str, str]]:
    """(role, language, text) of one node's texts in a view."""
    for text in texts:
        if view == "label":
            yield from ((view, text.language, name) for name in (text.label, *text.aliases))
        elif view == "definition":
            yield view, text.language, text.definition
        else:
            yield from ((view, text.language, example) for example in text.examples)
            yield from (("negative", text.language, example) for example in text.negative_examples)


def path_text(taxonomy: Taxonomy, node: int, language: str) -> str:
    """Labels from the top node to `node` (a position), joined by " > ", in `language` where a node has it."""
    places = [i for i in taxonomy.paths[node].tolist() if i >= 0]
    return " > ".join(clean(_in_language(taxonomy.nodes[i].texts, language).label) for i in places)


def whole_text(taxonomy: Taxonomy, node: int, language: str) -> str:
    """Label, definition and examples of `node` (a position) as one text of sentences, in `language` where it has it.

    What enrichment added in the language of that text comes last.
    """
    text = _in_language(taxonomy.nodes[node].texts, language)
    added = [part for more in taxonomy.nodes[node].added if more.language == text.language for part in _telling(more)]
    parts = map(clean, (text.label, *_telling(text), *added))
    return " ".join(part if part[-1] in ".!?。" else f"{part}." for part in parts if part)


def _telling(text: NodeText) -> tuple[str, ...]:
    return (text.definition, *text.examples)


def _in_language(texts: tuple[NodeText, ...], language: str) -> NodeText:
    return next((text for text in texts if text.language == language), texts[0])
