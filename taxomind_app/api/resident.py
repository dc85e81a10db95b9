"""Taxonomies kept ready: a classifier in memory that knows every correction, and a search over the nodes.

What a classifier depends on is looked at again when it is asked for, by a handful of file states, at most every half a second:
the pointer to the index, what labels have fitted, the files of corrections. So a build, a calibration or a correction of any
process is seen soon, and one that came through this process at once.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_app.api.jobs import Service
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.learning.corrections import CorrectionRow
    from taxomind_assets.learning.ledger import Ledger
    from taxomind_assets.learning.standing import StandingCorrections
    from taxomind_assets.learning.versions import Held
    from taxomind_assets.views.search import NodeSearch

#: Seconds for which a look at the files is believed.
_FRESH_S: Final = 0.5
_FITTED: Final = "classification.calibrations"
#: What is made for the first texts only (products, features, the cross-lingual table) is made before anybody waits for it.
_FIRST_TEXTS: Final = ("nurse", "Krankenpfleger in der Kinderklinik", "медсестра")


@dataclass(frozen=True)
class Ready:
    """One moment of a resident taxonomy; all of it belongs together and none of it changes."""

    classifier: Classifier
    standing: StandingCorrections


@dataclass(frozen=True)
class Taught:
    """What corrections did: `file` of the inbox, what began and what ceased to count, and the state after it."""

    file: str
    learned: list[Held]
    taken_back: list[Held]
    ready: Ready


class Resident:
    """One taxonomy kept ready. Safe to share between threads.

    Args:
        service: the stores.
        key: the key under which the taxonomy is stored.
    """

    def __init__(self, service: Service, key: str) -> None:
        self._service = service
        self._key = key
        self._lock = threading.RLock()
        self._ready: Ready | None = None
        self._search: NodeSearch | None = None
        self._searched: str = ""
        self._state: tuple[str, str, str] = ("", "", "")
        self._looked_at = float("-inf")

    def ready(self) -> Ready:
        """The classifier and the corrections as they are now.

        Raises:
            Fault: as `Classifier.load`.
        """
        own = self._ready
        if own is not None and time.monotonic() - self._looked_at < _FRESH_S:
            return own
        # While one request brings it up to date, the others are answered by what there is.
        if not self._lock.acquire(blocking=own is None):
            return own or self.ready()
        try:
            return self._refreshed()
        finally:
            self._lock.release()

    def search(self) -> NodeSearch:
        """The search over the nodes of the current index.

        Raises:
            Fault: as `Classifier.load`.
        """
        tree = self.ready().classifier.tree
        with self._lock:
            if self._search is None or self._searched != tree.version:
                from taxomind_assets.views.search import NodeSearch

                self._search, self._searched = NodeSearch(tree), tree.version
            return self._search

    def teach(self, rows: Sequence[CorrectionRow], name: str) -> Taught:
        """Write corrections to the inbox, then let the classifier know them.

        Args:
            rows: corrections and withdrawals.
            name: what the file's name begins with.

        Raises:
            Fault: `storage_failed`, and as `ready`.
        """
        from taxomind_assets.learning.decisions import as_lines
        from taxomind_assets.learning.standing import difference, moved

        with self._lock:
            before = self._refreshed()
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            file = self._service.inbox.put(self._key, "corrections", as_lines(rows), f"{name}-{stamp}.jsonl").name
            standing = before.standing.with_rows(rows)
            learned, taken_back = difference(before.standing, standing)
            classifier = moved(before.classifier, standing.held) if learned or taken_back else before.classifier
            self._ready = Ready(classifier, standing)
            self._state = (*self._state[:2], self._corrections())
            return Taught(file, learned, taken_back, self._ready)

    def ledger(self) -> Ledger:
        """All rows of all files of corrections, by what they touch.

        Raises:
            Fault: as `ready`.
        """
        with self._lock:
            return self._refreshed().standing.ledger

    def locked(self) -> threading.RLock:
        """Held over a decision that depends on what stands."""
        return self._lock

    def _refreshed(self) -> Ready:
        from taxomind_assets.classification.classifier import Classifier
        from taxomind_assets.learning.standing import StandingCorrections, moved

        state = self._current()
        own = self._ready
        if own is None or state[:2] != self._state[:2]:
            own, former = None, None
            classifier = Classifier.load(self._key, self._service.settings)
            classifier.classify(_FIRST_TEXTS)
        else:
            classifier, former = own.classifier, self._state[2]
        if own is None or state[2] != former:
            service = self._service
            standing = StandingCorrections.of(service.settings, service.inbox, service.outputs, classifier.tree)
            own = Ready(moved(classifier, standing.held), standing)
        self._ready, self._state, self._looked_at = own, state, time.monotonic()
        return own

    def _current(self) -> tuple[str, str, str]:
        """States of the index, of what labels have fitted, and of the corrections."""
        index = self._service.indexes.current(self._key)
        if index is None:
            what = "The taxonomy has no index: its build has not ended, or did not succeed."
            raise Fault("index_missing", what, value=self._key)
        fitted = ""
        with suppress(FileNotFoundError):
            status = self._service.outputs.path(_FITTED, self._key).stat()
            fitted = f"{status.st_size}:{status.st_mtime_ns}"
        return index, fitted, self._corrections()

    def _corrections(self) -> str:
        from taxomind_assets.pending import corrections_digest

        return corrections_digest(self._key, self._service.inbox)


class Residents:
    """The taxonomies that were asked for last.

    Args:
        service: the stores.
        most: how many are kept.
    """

    def __init__(self, service: Service, most: int) -> None:
        self._service = service
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Resident] = OrderedDict()

    def of(self, key: str) -> Resident:
        """That of a taxonomy, by its stored key; it is loaded when it is used."""
        with self._lock:
            found = self._kept.pop(key, None) or Resident(self._service, key)
            self._kept[key] = found
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return found
