"""Training, validation and test rows, kept apart by the text itself.

Equal texts (`views.texts.normalise`) are never in two splits, rows of one group neither unless the file says so. What the file
does not say is drawn: within each code, by a seeded hash of the text, so that the same files always give the same splits and
further rows move few of the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

Split = Literal["train", "validation", "test"]
#: A split that outranks another has a higher number.
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")
TRAIN, VALIDATION, TEST, NOT_SAID = 0, 1, 2, -1
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_MORE: Final = np.uint64(0xBF58476D1CE4E5B9)
_AND_MORE: Final = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Shares:
    """Shares of the rows that are drawn for validation and test, and the seed of the drawing."""

    validation: float = 0.1
    test: float = 0.1
    seed: int = 42


def identity(text: str) -> int:
    """64 bits that are the same for texts that differ in case, width, composition or white space only."""
    return int.from_bytes(hashlib.blake2b(normalise(text).encode(), digest_size=8).digest())


def assign(
    given: NDArray[np.int8],
    strata: NDArray[np.int64],
    texts: NDArray[np.uint64],
    groups: NDArray[np.uint64],
    shares: Shares,
    *,
    names: Sequence[str],
) -> NDArray[np.int8]:
    """The split of n rows.

    A row of a text that the file puts into several splits goes into the one that is read last: test before validation before
    training. Test rows are drawn from rows whose split is not said, and only when the file names none; validation rows the
    same way, from training rows as well. Every code keeps a training row, as long as it has two texts to share.

    Args:
        given: int8[n], what the file says; `NOT_SAID` = nothing.
        strata: int64[n], the code of each row as a place in `names`.
        texts: uint64[n], `identity` of each.
        groups: uint64[n], rows of one group stay together; 0 = none.
        shares: how many are drawn.
        names: codes, so that drawing does not depend on the order of the classes.

    Returns:
        int8[n], places in `SPLITS`.
    """
    found = highest(given, texts)
    if not found.size:
        return found
    drawn = {
        TEST: np.zeros_like(found, np.bool_) if (found == TEST).any() else found == NOT_SAID,
        VALIDATION: np.zeros_like(found, np.bool_) if (found == VALIDATION).any() else found <= TRAIN,
    }
    units = _units(texts, groups)
    fixed = np.zeros(int(units.max()) + 1, np.bool_)
    fixed[units[found >= VALIDATION]] = True
    result = np.where(found == NOT_SAID, TRAIN, found).astype(np.int8)
    # A group that the file has put aside in part is not drawn from.
    free = ~fixed[units]
    for split, share in ((TEST, shares.test), (VALIDATION, shares.validation)):
        rows = np.flatnonzero(drawn[split] & free & (result == TRAIN))
        chosen = _drawn(units[rows], strata[rows], texts[rows], share, seed=shares.seed * 4 + split, names=names)
        result[rows[np.isin(units[rows], chosen)]] = split
    return result


def sampled(strata: NDArray[np.int64], texts: NDArray[np.uint64], most: int, seed: int) -> NDArray[np.int64]:
    """Places of at most `most` of n rows, rising: of each stratum its share, and one of each as far as they go.

    Args:
        strata: int64[n], the code of each row.
        texts: uint64[n], `identity` of each.
        most: rows that are wanted.
        seed: of the drawing, which does not depend on the order of the rows.
    """
    order = np.lexsort((_mixed(texts, seed), strata))
    _, sizes = np.unique(strata, return_counts=True)
    ranks = np.arange(order.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    turns = np.where(ranks == 0, 0.0, (ranks + 0.5) / np.repeat(sizes, sizes))
    return np.sort(order[np.argsort(turns, kind="stable")[:most]])


def highest(given: NDArray[np.int8], texts: NDArray[np.uint64]) -> NDArray[np.int8]:
    """What is said of each text: the highest of its rows."""
    _, place = np.unique(texts, return_inverse=True)
    highest = np.full(int(place.max(initial=-1)) + 1, NOT_SAID, np.int8)
    np.maximum.at(highest, place, given)
    return highest[place]


def _units(texts: NDArray[np.uint64], groups: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Rows that must stay together: int64[n]. A text joins all groups that it stands in."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    _, text = np.unique(texts, return_inverse=True)
    grouped = np.flatnonzero(groups != 0)
    if not grouped.size:
        return text.astype(np.int64)
    _, group = np.unique(groups[grouped], return_inverse=True)
    count = int(text.max()) + 1
    size = count + int(group.max()) + 1
    links = sparse.coo_array((np.ones(grouped.size, np.int8), (text[grouped], count + group)), shape=(size, size))
    _, parts = connected_components(links, directed=False)
    return np.asarray(parts[text], np.int64)


def _drawn(
    units: NDArray[np.int64],
    strata: NDArray[np.int64],
    texts: NDArray[np.uint64],
    share: float,
    *,
    seed: int,
    names: Sequence[str],
) -> NDArray[np.int64]:
    """The units that are drawn: of each stratum its share, those with the smallest hashes; never its last one."""
    if not units.size or share <= 0:
        return np.empty(0, np.int64)
    # A unit has the stratum and the hash of its smallest text, whatever the order of the rows.
    order = np.lexsort((texts, units))
    firsts = order[np.concatenate(([True], units[order][1:] != units[order][:-1]))]
    unit, stratum, hashed = units[firsts], strata[firsts], _mixed(texts[firsts], seed)
    own, place, sizes = np.unique(stratum, return_inverse=True, return_counts=True)
    # Parts of a row are drawn by chance, or rare codes would never be asked.
    chance = np.array([_share_of(names[code], seed) for code in own.tolist()])
    quota = np.minimum(np.floor(sizes * share + chance).astype(np.int64), sizes - 1)
    order = np.lexsort((hashed, place))
    starts = np.concatenate(([0], np.cumsum(sizes)))[place[order]]
    ranks = np.arange(order.size) - starts
    chosen: NDArray[np.int64] = unit[order[ranks < quota[place[order]]]]
    return chosen


def _share_of(name: str, seed: int) -> float:
    """A number in 0..1 that the name decides."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()) / 2**64


def _mixed(values: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Values in an order of their own for each seed (the finaliser of splitmix64; Steele et al., 2014)."""
    mixed = values + np.uint64(seed * int(_MIX) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MORE
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _AND_MORE
    return mixed ^ (mixed >> np.uint64(31))
