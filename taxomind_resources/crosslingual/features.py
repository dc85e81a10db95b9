"""What the student sees of a text: whole words and character n-grams, as hash buckets, for thousands of texts at once.

Rolling hashes run over the code points of a whole block, so a short text costs some microseconds instead of the 100 of a
loop in Python. Sub-word n-grams inside word marks are those of fastText (Bojanowski et al., 2017, "Enriching word vectors
with subword information"), buckets are feature hashing (Weinberger et al., 2009).

The hash values are part of the format of trained weights: whatever changes a bucket raises `FEATURES_VERSION`. All
arithmetic is on unsigned 64-bit integers, and character classes are ranges written down here, so a text has the same
features on every platform and Python version (characters that Unicode added after version 14 may fold differently).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

FEATURES_VERSION: Final = 1
#: Characters of one text that count; what follows is not looked at (the table is made for labels and titles).
MAX_CHARACTERS: Final = 20_000
#: A table has at most 2 to this power rows.
MAX_BUCKET_BITS: Final = 24
#: Texts and characters that are worked on at once; bounds the memory of a call to some 100 MB.
BLOCK_TEXTS: Final = 8192
_BLOCK_CHARACTERS: Final = 1 << 20

_SHORTEST: Final = 3
_LONGEST: Final = 5
#: Shorter words are n-grams already, marks included.
_SHORTEST_WORD: Final = 4
_LONGEST_UNSPACED: Final = 3

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_PRIME: Final = np.uint64(0x100000001B3)
_SHIFT: Final = np.uint64(29)
_HALF: Final = np.uint64(32)
_SPACE: Final = 32
_BREAK: Final = 10
# One salt per kind of feature: n-grams use their length, words and n-grams of unspaced scripts these.
_WORD_SALT: Final = 11
_UNSPACED_SALT: Final = 20

_SEPARATOR, _LETTER, _UNSPACED, _DROPPED = 0, 1, 2, 3
#: What is as good as not there: combining accents, soft hyphens, signs without width, direction marks.
_IGNORED: Final = ((0xAD, 0xAD), (0x300, 0x36F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF))
#: What parts words: ASCII and Latin-1 signs, general punctuation, arrows, symbols, CJK and full-width punctuation, emoji,
#: and the punctuation of Hebrew, Arabic, Devanagari and Thai. Everything else is part of a word.
_SEPARATORS: Final = (
    *((0x0, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0xA9), (0xAB, 0xB1), (0xB4, 0xB4), (0xB6, 0xB9), (0xBB, 0xBF)),
    *((0xD7, 0xD7), (0xF7, 0xF7), (0x5BE, 0x5BE), (0x5F3, 0x5F4), (0x60C, 0x60C), (0x61B, 0x61B), (0x61F, 0x61F)),
    *((0x66A, 0x66D), (0x964, 0x965), (0xE2F, 0xE2F), (0xE5A, 0xE5B), (0x2000, 0x206F), (0x20A0, 0x20CF), (0x2190, 0x2BFF)),
    *((0x2E00, 0x2E7F), (0x3000, 0x3004), (0x3008, 0x3020), (0x3030, 0x3030), (0x303D, 0x303F), (0x30FB, 0x30FB)),
    *((0xFE10, 0xFE1F), (0xFE30, 0xFE6F), (0xFF00, 0xFF0F), (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65)),
    *((0xFFF0, 0xFFFF), (0x1F000, 0x1FAFF)),
)
#: Scripts that write words without spaces: Thai, Lao, Burmese, Khmer, kana, bopomofo, Han.
_UNSPACED_SCRIPTS: Final = (
    *((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FFF), (0x3005, 0x3007), (0x3021, 0x302F)),
    *((0x3031, 0x303C), (0x3040, 0x30FF), (0x3100, 0x312F), (0x3190, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),
    *((0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)


def feature_counts(texts: Sequence[str], bucket_bits: int) -> sparse.csr_array:
    """How often each bucket occurs in each text.

    Features are the words of four and more letters, the 3- to 5-grams of the characters of a word with a mark on both
    sides, and the 1- to 3-grams of runs of scripts without spaces. Case, accents, width and punctuation do not count.

    Args:
        texts: b texts.
        bucket_bits: the number of buckets is 2 to this power, 1 to `MAX_BUCKET_BITS`.

    Returns:
        float32 sparse [b, 2**bucket_bits], columns of a row ascending.

    Raises:
        Fault: `invalid_input` when `texts` is not a sequence of strings.
    """
    from scipy import sparse

    rows, keys = feature_keys(texts)
    # Row and bucket as one number: sorting brings equal ones together, much faster than a general sparse conversion.
    places = np.sort((rows << bucket_bits) | (keys >> np.uint64(64 - bucket_bits)).view(np.int64))
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    counts = np.diff(starts, append=places.size).astype(np.float32)
    different = places[starts]
    ends = np.searchsorted(different, np.arange(len(texts) + 1) << bucket_bits).astype(np.int32)
    columns = (different & ((1 << bucket_bits) - 1)).astype(np.int32)
    return sparse.csr_array((counts, columns, ends), shape=(len(texts), 1 << bucket_bits))


def feature_keys(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Every feature of every text: the row of the text, int64[f], and the feature's hash, uint64[f].

    Raises:
        Fault: `invalid_input` when `texts` is not a sequence of strings.
    """
    check_texts(texts)
    rows, keys = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for start, block in blocks(texts):
        for block_rows, block_keys in _block_features(block):
            rows.append(block_rows + start)
            keys.append(block_keys)
    return np.concatenate(rows), np.concatenate(keys)


def blocks(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Consecutive parts of `texts` of bounded size, each with the row of its first text."""
    start = characters = 0
    for row, text in enumerate(texts):
        length = min(len(text), MAX_CHARACTERS)
        if row > start and (row - start >= BLOCK_TEXTS or characters + length > _BLOCK_CHARACTERS):
            yield start, texts[start:row]
            start, characters = row, 0
        characters += length
    if start < len(texts):
        yield start, texts[start:]


def check_texts(texts: Sequence[str]) -> None:
    """Refuse what is not a sequence of strings.

    Raises:
        Fault: `invalid_input`.
    """
    if isinstance(texts, str):
        raise Fault("invalid_input", "Texts are handed over as a list, not as one string.", value=texts)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise Fault("invalid_input", f"Text {row} is of type {type(text).__name__}.", value=text, allowed="strings")


def _decomposed(text: str) -> str:
    """NFKD and full case folding (Unicode 3.13, D146)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


def _block_features(texts: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    points = _code_points(texts)
    owner = np.cumsum(points == _BREAK) - 1
    kinds = _kinds()[points]
    letters = kinds == _LETTER
    hashed = np.where(letters, points, _SPACE).astype(np.uint64)
    for places, keys in (*_grams(hashed, letters), _words(hashed, letters)):
        yield owner[places], keys
    if (kinds == _UNSPACED).any():
        for places, keys in _unspaced_grams(points.astype(np.uint64), kinds == _UNSPACED):
            yield owner[places], keys


def _code_points(texts: Sequence[str]) -> NDArray[np.uint32]:
    """Code points of all texts, folded, with a line break before, between and after them, uint32[p]."""
    cut = [text[:MAX_CHARACTERS] for text in texts]
    joined = "\n".join(cut)
    if joined.count("\n") != len(cut) - 1:
        joined = "\n".join(text.replace("\n", " ") for text in cut)
    encoded = f"\n{_decomposed(joined)}\n".encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(encoded, "<u4").astype(np.uint32, copy=False)
    kept: NDArray[np.uint32] = points[_kinds()[points] != _DROPPED]
    return kept


def _grams(hashed: NDArray[np.uint64], letters: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """n-grams of words and the marks around them: a place inside each, and its hash."""
    hashes = hashed * _MIX
    inside = np.ones(hashed.size, np.bool_)
    for length in range(2, min(_LONGEST, hashed.size) + 1):
        size = hashed.size - length + 1
        hashes = _rolled(hashes, hashed, length)
        inside = inside[:size]
        if length >= _SHORTEST:  # the last character of the previous window is now an inner one
            inside = inside & letters[length - 2 : length - 2 + size]
            places = np.flatnonzero(inside)
            yield places + 1, _mixed(hashes[places], length)


def _words(hashed: NDArray[np.uint64], letters: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Runs of letters: the place of the first, and a hash of all."""
    starts = np.flatnonzero(letters[1:] & ~letters[:-1]) + 1
    if not starts.size:
        return starts, np.empty(0, np.uint64)
    lengths = np.flatnonzero(~letters[1:] & letters[:-1]) + 1 - starts
    # A sum of characters weighted by a power of their position is a polynomial hash that needs no loop.
    runs = np.diff(starts, append=hashed.size)
    position = np.arange(starts[0], hashed.size) - np.repeat(starts, runs)
    powers = np.multiply.accumulate(np.full(int(lengths.max()), _MIX | np.uint64(1), np.uint64))
    terms = (hashed[starts[0] :] + np.uint64(1)) * powers[np.minimum(position, powers.size - 1)]
    terms[~letters[starts[0] :]] = 0
    hashes = np.add.reduceat(terms, starts - starts[0])
    hashes ^= hashes >> _SHIFT
    kept = lengths >= _SHORTEST_WORD
    return starts[kept], _mixed(hashes[kept], _WORD_SALT)


def _unspaced_grams(
    points: NDArray[np.uint64], unspaced: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """n-grams inside runs of unspaced scripts, without marks: their first place, and their hash."""
    hashes = points * _MIX
    inside = unspaced
    for length in range(1, min(_LONGEST_UNSPACED, points.size) + 1):
        if length > 1:
            hashes = _rolled(hashes, points, length)
            inside = inside[: hashes.size] & unspaced[length - 1 :]
        places = np.flatnonzero(inside)
        yield places, _mixed(hashes[places], _UNSPACED_SALT + length)


def _rolled(hashes: NDArray[np.uint64], points: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    """Hashes of all windows of `length` from those that are one shorter."""
    size = points.size - length + 1
    rolled = (hashes[:size] * _PRIME) ^ (points[length - 1 :] * _MIX)
    rolled ^= rolled >> _SHIFT
    return rolled


def _mixed(hashes: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """Hashes whose upper bits depend on all bits and on the kind of feature."""
    mixed = (hashes * _MIX + np.uint64(salt)) * _MIX
    return mixed ^ (mixed >> _HALF)


@cache
def _kinds() -> NDArray[np.uint8]:
    """Kind of every code point, uint8[0x110000]."""
    kinds = np.full(0x110000, _LETTER, np.uint8)
    for kind, ranges in ((_UNSPACED, _UNSPACED_SCRIPTS), (_SEPARATOR, _SEPARATORS), (_DROPPED, _IGNORED)):
        for first, last in ranges:
            kinds[first : last + 1] = kind
    kinds.setflags(write=False)
    return kinds
