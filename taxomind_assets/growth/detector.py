"""The detector: which proposed labels are asked for often enough, for long enough, by texts that nothing existing fits.

Pure: rows in, candidates out; "now" is an argument. Nothing is written, merged or removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from taxomind_assets.growth.normalise import PATH_SIGNS, PLAIN_WORDS, SEGMENT, Words, comparison_key, is_generic
from taxomind_assets.growth.observations import Observation, is_catch_all
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

if TYPE_CHECKING:
    from taxomind_resources.settings import GrowthSettings

ParentRule = Literal["written", "key", "texts", "root", "missing"]
#: Why a parent, in words.
PARENT_RULES: Final[Mapping[ParentRule, str]] = {
    "written": "the label names it",
    "key": "the label begins with its name, and half of the texts lie below it",
    "texts": "most of its texts lie below it",
    "root": "the texts lie in different places",
    "missing": "the label names a parent that does not exist",
}
Window = Literal["short", "long"]
#: Rows later than now by more than this are a mistake of some clock.
_FUTURE: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_TITLES: Final = 3
_MOST_TEXTS: Final = 200
#: Share of the texts that must lie below a parent.
_TEXTS_SHARE: Final = 0.8
_KEY_SHARE: Final = 0.5
#: The same for groups of texts that fit nowhere: their nearest leaves scatter over the right branch and others (measured).
_CLUSTER_SHARE: Final = 0.4
_LEAST_SHARE: Final = 1e-9
_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)


class Span(NamedTuple):
    """A window: days back from now, and whole days that must lie between the first and the last text."""

    name: Window
    days: int
    min_days: int


@dataclass(frozen=True)
class Rules:
    """What a candidate needs; the settings `growth` of a taxonomy.

    Attributes:
        window_days, min_days: of the short window; `long_window_days`, `long_min_days`: of the long one, 0 days = none.
        min_count: distinct texts in either.
        words: English words with a singular of their own.
    """

    window_days: int = 14
    min_count: int = 5
    min_days: int = 3
    long_window_days: int = 90
    long_min_days: int = 14
    words: Words = PLAIN_WORDS

    @classmethod
    def of(cls, settings: GrowthSettings) -> Rules:
        """The rules of these settings."""
        return cls(
            settings.window_days,
            settings.min_count,
            settings.min_days,
            settings.long_window_days,
            settings.long_min_days,
            Words.with_more(settings.singular_forms, settings.plain_words),
        )

    @property
    def days(self) -> int:
        """Days back from now that are looked at."""
        return max(self.window_days, self.long_window_days)

    def windows(self) -> list[Span]:
        """The windows, the short one first."""
        spans = [Span("short", self.window_days, self.min_days), Span("long", self.long_window_days, self.long_min_days)]
        return [span for span in spans if span.days]


_DEFAULT_RULES: Final = Rules()


@dataclass(frozen=True)
class Parent:
    """Where a new node would hang. `code` None = at the top; `label`: of a parent that is missing, the name proposed."""

    code: str | None
    label: str
    exists: bool
    rule: ParentRule


@dataclass(frozen=True)
class Candidate:
    """A node that texts ask for; see `growth.candidates`.

    Attributes:
        rows: the newest row of each of its texts, the earliest text first.
    """

    key: str
    label: str
    parent: Parent
    count: int
    day_span: int
    first_seen: datetime | None
    last_seen: datetime | None
    window: Window
    share: float
    rows: tuple[Observation, ...]

    @property
    def is_cluster(self) -> bool:
        """Whether nobody proposed it but a group of texts."""
        return all(row.source == "cluster" for row in self.rows)

    @property
    def titles(self) -> list[str]:
        """First three distinct titles."""
        return list(dict.fromkeys(row.title for row in self.rows if row.title))[:_TITLES]

    @property
    def texts(self) -> list[str]:
        """Its texts, at most 200; a title stands for a text that was not kept."""
        return list(dict.fromkeys(text for row in self.rows if (text := row.text or row.title)))[:_MOST_TEXTS]

    @property
    def text_ids(self) -> list[str]:
        """Ids of its texts."""
        return [row.text_id for row in self.rows]

    @property
    def sources(self) -> list[str]:
        """Who proposes, sorted."""
        return sorted({row.source for row in self.rows})

    @property
    def mean_confidence(self) -> float | None:
        """Mean confidence of the answers; None when no row states one."""
        known = [row.confidence for row in self.rows if row.confidence is not None]
        return float(np.mean(known)) if known else None


@dataclass(frozen=True)
class Detected:
    """What the detector found.

    Attributes:
        candidates: by number of texts, then key.
        hints: how often (primary code or '', wanted code): texts that should have gone to another existing node.
        late: rows more than an hour in the future, which count nowhere.
        divergent: rows of the window that propose another label.
    """

    candidates: tuple[Candidate, ...] = ()
    hints: Mapping[tuple[str, str], int] = field(default_factory=dict)
    late: int = 0
    divergent: int = 0


def detect(
    rows: Iterable[Observation],
    tree: Taxonomy,
    now: datetime,
    rules: Rules = _DEFAULT_RULES,
    *,
    rejected: Collection[str] = (),
    totals: Mapping[str, int] | None = None,
) -> Detected:
    """Find what is asked for.

    The newest row by which somebody gives an opinion of a text decides which candidate the text counts for, so it counts once;
    all its rows for that candidate, but those of retag runs, extend the span.

    Args:
        rows: observations, in the order in which they were made.
        tree: the taxonomy in force.
        now: end of the windows.
        rules: thresholds.
        rejected: keys that are never proposed.
        totals: texts observed in each window (`short`, `long`), for the share; None = those of `rows`.
    """
    every = list(rows)
    listed = [row for row in every if row.observed_at is None or row.observed_at <= now + _FUTURE]
    forms = KnownForms.of(tree, rules.words)
    grouping = _Grouping(forms, frozenset(rejected), rules.words)
    found: dict[str, Candidate] = {}
    for window in rules.windows():
        inside = [row for row in listed if row.observed_at is None or row.observed_at >= now - window.days * _DAY]
        total = (totals or {}).get(window.name) or len({row.text_id for row in inside})
        for key, group in grouping.groups(inside).items():
            candidate = _candidate(key, group, forms, window.name, total)
            if key not in found and candidate.count >= rules.min_count and candidate.day_span >= window.min_days:
                found[key] = candidate
    for candidate in list(found.values()):
        for missing in _missing_parents(candidate, forms):
            found.setdefault(missing.key, missing)
    wanted = grouping.hints(listed)
    candidates = sorted(
        (own for own in found.values() if own.key not in grouping.rejected), key=lambda own: (-own.count, own.key)
    )
    divergent = sum(row.is_divergent for row in listed)
    return Detected(tuple(candidates), wanted, len(every) - len(listed), divergent)


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


@dataclass
class _Group:
    """Rows that count for one key: per text its newest row, all spellings, and the times that make the span."""

    newest: dict[str, Observation] = field(default_factory=dict)
    spellings: Counter[str] = field(default_factory=Counter)
    times: list[datetime] = field(default_factory=list)


class _Grouping:
    """Rows by the key of their label."""

    def __init__(self, forms: KnownForms, rejected: frozenset[str], words: Words) -> None:
        self._forms = forms
        self.rejected = rejected
        self._words = words
        self._keys: dict[tuple[str, str], str] = {}

    def key(self, row: Observation) -> str:
        """The key of a row's label."""
        label = row.proposed_label.strip()
        known = self._keys.get((label, row.language))
        if known is None:
            known = self._keys[label, row.language] = comparison_key(label, row.language, self._words)
        return known

    def groups(self, rows: Sequence[Observation]) -> dict[str, _Group]:
        """Rows that ask for something new, by key."""
        decisive: dict[str, Observation] = {}
        for row in rows:
            if row.source and row.proposed_label.strip():
                former = decisive.get(row.text_id)
                if former is None or (row.observed_at or _BEFORE_ALL) >= (former.observed_at or _BEFORE_ALL):
                    decisive[row.text_id] = row
        groups: dict[str, _Group] = {}
        chosen: dict[str, str] = {}
        for text_id, row in decisive.items():
            key = self.key(row) if row.is_divergent else ""
            if self._is_new(key):
                groups.setdefault(key, _Group()).newest[text_id] = row
                chosen[text_id] = key
        for row in rows:
            own = chosen.get(row.text_id)
            if own is None or not row.source or not row.is_divergent or self.key(row) != own:
                continue
            groups[own].spellings[" ".join(row.proposed_label.split())] += 1
            if row.observed_at is not None and not row.rerun:
                groups[own].times.append(row.observed_at)
        return groups

    def hints(self, rows: Iterable[Observation]) -> dict[tuple[str, str], int]:
        """Wishes for nodes that exist, by (primary code, wanted code)."""
        counts: Counter[tuple[str, str]] = Counter()
        for row in rows:
            place = self._forms.nodes.get(self.key(row)) if row.source and row.is_divergent else None
            if place is not None and (wanted := self._forms.tree.codes[place]) != row.primary_code:
                counts[row.primary_code or "", wanted] += 1
        return dict(counts.most_common())

    def _is_new(self, key: str) -> bool:
        return bool(key) and key not in self.rejected and key not in self._forms.nodes and not is_generic(key)


def _candidate(key: str, group: _Group, forms: KnownForms, window: Window, total: int) -> Candidate:
    times = sorted(group.times)
    span = (times[-1] - times[0]) // _DAY if times else 0
    rows = sorted(group.newest.values(), key=lambda row: row.observed_at or _BEFORE_ALL)
    # The most frequent spelling; among equals `Counter` keeps the first that was seen.
    spelling = group.spellings.most_common(1)[0][0]
    label, parent = parent_of(key, spelling, rows, forms)
    return Candidate(
        key=key,
        label=label,
        parent=parent,
        count=len(rows),
        day_span=span,
        first_seen=times[0] if times else None,
        last_seen=times[-1] if times else None,
        window=window,
        share=min(len(rows) / max(total, 1), 1.0),
        rows=tuple(rows),
    )


def parent_of(key: str, spelling: str, rows: Sequence[Observation], forms: KnownForms) -> tuple[str, Parent]:
    """Label and parent of a new node: what the proposer wrote, else what its key says, else where its texts lie.

    Args:
        key: its comparison key.
        spelling: as it was proposed, perhaps with signs of a path (`Tech > AI`).
        rows: its texts.
        forms: names of the existing nodes.
    """
    parts = [part.strip() for part in PATH_SIGNS.split(spelling) if part.strip()]
    if len(parts) > 1:
        return _written_parent(parts, forms)
    tree = forms.tree
    below = _texts_below(tree, rows)
    segments = key.split(SEGMENT)
    for length in range(len(segments) - 1, 0, -1):
        place = forms.names.get(SEGMENT.join(segments[:length]))
        if place is not None and below[place] >= _KEY_SHARE * len(rows):
            return spelling, _existing(tree, place, "key")
    is_cluster = all(row.source == "cluster" for row in rows)
    place = _deepest(tree, below, len(rows), is_cluster=is_cluster)
    return spelling, _existing(tree, place, "texts") if place != ROOT else Parent(None, "", exists=True, rule="root")


def _written_parent(parts: Sequence[str], forms: KnownForms) -> tuple[str, Parent]:
    """Of a written path: the last part, below the longest beginning that exists; else the part before it is missing."""
    place = _known_beginning(parts[:-1], forms)
    if place is not None and place[1] == len(parts) - 1:
        return parts[-1], _existing(forms.tree, place[0], "written")
    above = forms.tree.codes[place[0]] if place else None
    return parts[-1], Parent(above, parts[-2], exists=False, rule="missing")


def _known_beginning(parts: Sequence[str], forms: KnownForms) -> tuple[int, int] | None:
    """(node, number of parts) of the longest beginning of a written path that is an existing path or label."""
    keys = [forms.key(part) for part in parts]
    for length in range(len(keys), 0, -1):
        place = forms.nodes.get(SEGMENT.join(keys[:length]))
        if place is not None:
            return place, length
    return None


def _missing_parents(candidate: Candidate, forms: KnownForms) -> list[Candidate]:
    """The middle nodes that a written path lacks, as candidates of their own: none is made silently."""
    if candidate.parent.rule != "missing":
        return []
    spelling = Counter(" ".join(row.proposed_label.split()) for row in candidate.rows).most_common(1)[0][0]
    parts = [part.strip() for part in PATH_SIGNS.split(spelling) if part.strip()][:-1]
    known = _known_beginning(parts, forms)
    found = []
    for length in range((known[1] if known else 0) + 1, len(parts) + 1):
        label, parent = parts[length - 1], Parent(None, "", exists=True, rule="root")
        if length > 1:
            label, parent = _written_parent(parts[:length], forms)
        key = SEGMENT.join(forms.key(part) for part in parts[:length])
        if key and key not in forms.nodes:
            found.append(replace(candidate, key=key, label=label, parent=parent))
    return found


def _existing(tree: Taxonomy, place: int, rule: ParentRule) -> Parent:
    return Parent(tree.codes[place], tree.nodes[place].label, exists=True, rule=rule)


def _texts_below(tree: Taxonomy, rows: Sequence[Observation]) -> np.ndarray:
    """int64[n]: texts whose primary node lies at or below each node."""
    own = np.zeros(len(tree) + 1, np.int64)
    for row in rows:
        place = tree.position.get(row.primary_code or "")
        if place is not None:
            own[place + 1] += 1
    running = np.cumsum(own)
    return np.asarray(running[tree.ends] - running[:-1])


def _deepest(tree: Taxonomy, below: np.ndarray, texts: int, *, is_cluster: bool) -> int:
    """The deepest node above or equal to those of enough texts; of a catch-all its parent.

    A leaf on the lowest level of a tree of several levels, or the nearest leaf of a group, gives way to its parent: the new
    node stands beside it.
    """
    share = _CLUSTER_SHARE if is_cluster else _TEXTS_SHARE
    enough = np.flatnonzero(below >= max(share * texts, _LEAST_SHARE))
    if not enough.size:
        return ROOT
    # Of equally deep nodes the one with most texts.
    place = int(enough[np.lexsort((-below[enough], -tree.depths[enough]))[0]])
    if tree.is_leaf[place] and (is_cluster or (tree.depth > 1 and tree.depths[place] == tree.depth)):
        place = int(tree.parents[place])
    while place != ROOT and is_catch_all(tree.nodes[place].label):
        place = int(tree.parents[place])
    return place


def proposed_code(label_key: str, parent_code: str | None, tree: Taxonomy, used: Collection[str] = ()) -> str:
    """A code for a new node that was never used.

    The next number where all siblings are the parent's code and as many digits, else `g-` and the key.

    Args:
        label_key: comparison key of its label.
        parent_code: its parent, None = at the top.
        tree: the taxonomy.
        used: all codes that the taxonomy ever had.
    """
    taken = {*used, *tree.codes}
    parent = ROOT if parent_code is None else tree.position[parent_code]
    before = parent_code or ""
    tails = [
        tree.codes[child][len(before) :] for child in tree.children_of(parent).tolist() if tree.codes[child].startswith(before)
    ]
    digits = {len(tail) for tail in tails if tail.isascii() and tail.isdigit()}
    if tails and len(digits) == 1 and len(tails) == len(tree.children_of(parent)) and all(tail.isdigit() for tail in tails):
        (width,) = digits
        for number in range(max(map(int, tails)) + 1, 10**width):
            code = f"{before}{number:0{width}d}"
            if code not in taken:
                return code
    stem = f"g-{label_key.replace(SEGMENT, '-')}"
    code, number = stem, 1
    while code in taken:
        number += 1
        code = f"{stem}-{number}"
    return code
