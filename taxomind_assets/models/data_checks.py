"""What is to be known of labelled texts before they are learned from: rules, each with its outcome.

Nothing here stops a training: what cannot be trained is refused there. A warning says what may be a mistake in the files.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Outcome = Literal["ok", "warning"]
#: Texts of the largest code for each of the smallest from which codes are called uneven.
_UNEVEN: Final = 10
#: Times the usual length from which a text is called long.
_LONG: Final = 10
_NAMED: Final = 10
_SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class Rule:
    """One rule and what it says of the texts. `detail`: a sentence, with the numbers behind the outcome."""

    name: str
    outcome: Outcome
    detail: str


def judge_texts(texts: pa.Table, refused: int = 0) -> list[Rule]:
    """All rules on the labelled texts of a taxonomy.

    Args:
        texts: rows of `models.labelled_texts`.
        refused: rows of files that could not be used.
    """
    codes = {split: _codes_of(texts, split) for split in _SPLITS}
    return [
        _splits(codes),
        _codes(codes["train"]),
        _balance(codes["train"]),
        _unseen(codes),
        _lengths(texts["text"].to_pylist()),
        Rule("refused rows", "warning" if refused else "ok", f"{refused:,} rows of files could not be used"),
    ]


def problems(rules: list[Rule]) -> list[str]:
    """What the warnings say."""
    return [rule.detail for rule in rules if rule.outcome == "warning"]


def _codes_of(texts: pa.Table, split: str) -> Counter[str]:
    import pyarrow.compute as pc

    return Counter(texts.filter(pc.equal(texts["split"], split))["code"].to_pylist())


def _splits(codes: dict[str, Counter[str]]) -> Rule:
    counts = {split: own.total() for split, own in codes.items()}
    empty = [split for split, count in counts.items() if not count]
    shown = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    return Rule("splits", "warning" if empty else "ok", f"no text is for {' or '.join(empty)}: {shown}" if empty else shown)


def _codes(train: Counter[str]) -> Rule:
    return Rule("codes", "ok" if len(train) > 1 else "warning", f"training texts have {len(train):,} different codes")


def _balance(train: Counter[str]) -> Rule:
    if not train:
        return Rule("balance", "ok", "there are no training texts")
    (most, large), (least, small) = max(train.items(), key=lambda item: item[1]), min(train.items(), key=lambda item: item[1])
    detail = f"{most} has {large:,} training texts, {least} {small:,}; rare codes are lifted by class_weight"
    return Rule("balance", "warning" if large > _UNEVEN * small else "ok", detail)


def _unseen(codes: dict[str, Counter[str]]) -> Rule:
    known = set(codes["train"])
    unseen = sorted((set(codes["validation"]) | set(codes["test"])) - known)
    named = ", ".join(unseen[:_NAMED]) + (" ..." if len(unseen) > _NAMED else "")
    detail = f"{len(unseen):,} codes of validation and test texts have no training text{': ' if unseen else ''}{named}"
    return Rule("unseen codes", "warning" if unseen else "ok", detail)


def _lengths(texts: list[str]) -> Rule:
    if not texts:
        return Rule("lengths", "ok", "there are no texts")
    words = np.array([len(text.split()) for text in texts])
    usual = max(float(np.median(words)), 1.0)
    long = int((words > _LONG * usual).sum())
    detail = f"a text has {words.mean():.1f} words on average, {usual:g} usually; {long:,} have more than {_LONG} times as many"
    return Rule("lengths", "warning" if long else "ok", detail)
