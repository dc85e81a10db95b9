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

from taxomind_assets.growth.known_forms import KnownForms
from taxomind_assets.growth.normalise import PLAIN_WORDS, Words, comparison_key, is_generic
from taxomind_assets.growth.observations import Observation
from taxomind_assets.growth.placing import Parent, missing_parents, parent_of
from taxomind_assets.taxonomy.tree import Taxonomy

if TYPE_CHECKING:
    from taxomind_resources.settings import GrowthSettings

Window = Literal["short", "long"]
#: Rows later than now by more than this are a mistake of some clock.
_FUTURE: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_TITLES: Final = 3
_MOST_TEXTS: Final = 200
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
        if candidate.parent.rule == "missing":
            spelling = Counter(" ".join(row.proposed_label.split()) for row in candidate.rows).most_common(1)[0][0]
            # None is made silently: a middle node that a written path lacks is a candidate of its own.
            for key, label, parent in missing_parents(spelling, forms):
                found.setdefault(key, replace(candidate, key=key, label=label, parent=parent))
    wanted = grouping.hints(listed)
    candidates = sorted(
        (own for own in found.values() if own.key not in grouping.rejected), key=lambda own: (-own.count, own.key)
    )
    divergent = sum(row.is_divergent for row in listed)
    return Detected(tuple(candidates), wanted, len(every) - len(listed), divergent)


def wished_texts(
    rows: Iterable[Observation], tree: Taxonomy, now: datetime, rules: Rules = _DEFAULT_RULES, rejected: Collection[str] = ()
) -> dict[str, list[Observation]]:
    """The texts of the longest window for which somebody wished a label that is new, by comparison key.

    Args:
        rows: observations, in the order in which they were made.
        tree, now, rules, rejected: as for `detect`.
    """
    grouping = _Grouping(KnownForms.of(tree, rules.words), frozenset(rejected), rules.words)
    since, until = now - rules.days * _DAY, now + _FUTURE
    inside = [row for row in rows if row.observed_at is None or since <= row.observed_at <= until]
    return {key: list(group.newest.values()) for key, group in grouping.groups(inside).items()}


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
        # A key in the log was made by the words of its day; under those of now the label may have another one.
        self.rejected = rejected | {comparison_key(key, "", words) for key in rejected}
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
