"""Crosswalks: where the codes of an earlier taxonomy went, so that corrections follow a revision."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import groupby


class Moves:
    """Moves of codes, in the order of their times.

    A move applies to corrections that are older than it. A revision may use a code again for something else, and may swap two:
    moves of one moment apply together, so that each code goes one step. A move without a time, and any move for a correction
    without a time, applies only while the taxonomy does not have the old code. A code that one revision sends to several places
    stays where it is: only a person can tell which of them a text belongs to.

    Args:
        moves: (time in microseconds, -1 = not stated; old code; new code), in any order.
    """

    def __init__(self, moves: Iterable[tuple[int, str, str]]) -> None:
        timed: list[tuple[int, dict[str, str]]] = []
        for moment, group in groupby(sorted(set(moves)), key=lambda move: move[0]):
            targets: dict[str, set[str]] = {}
            for _, old, new in group:
                targets.setdefault(old, set()).add(new)
            timed.append((moment, {old: min(new) for old, new in targets.items() if len(new) == 1}))
        self._untimed = timed[0][1] if timed and timed[0][0] < 0 else {}
        self._timed = timed[1:] if timed and timed[0][0] < 0 else timed

    def current(self, code: str, corrected_at: int, known: Collection[str]) -> str:
        """The code that stands for `code` now.

        Args:
            code: as given.
            corrected_at: time of the correction in microseconds, -1 = not stated.
            known: codes of the taxonomy.
        """
        if not self._timed and not self._untimed:
            return code
        for moment, step in self._timed:
            if code in step and (moment > corrected_at >= 0 or (corrected_at < 0 and code not in known)):
                code = step[code]
        seen = {code}
        while code not in known and (following := self._untimed.get(code, code)) not in seen:
            seen.add(following)
            code = following
        return code
