"""Texts over a model's token limit, split so that no part of a text is dropped."""

from __future__ import annotations

from collections.abc import Sequence


def split_evenly(text: str, offsets: Sequence[tuple[int, int]], words: Sequence[int | None], limit: int) -> list[str]:
    """`text` in pieces of nearly equal token counts, none over `limit` tokens, cut between words where one ends in reach.

    Equal pieces have equal weight in the mean of their vectors.

    Args:
        offsets: begin and end character of each token (no special tokens).
        words: number of the word that each token belongs to.
        limit: tokens of one piece at most, at least 1.
    """
    tokens = len(offsets)
    if tokens <= limit:
        return [text]
    pieces: list[str] = []
    begin = 0
    while begin < tokens:
        left = -(-(tokens - begin) // limit)
        end = min(tokens, begin + -(-(tokens - begin) // left))
        end = _word_start(words, begin, end) if end < tokens else end
        pieces.append(text[offsets[begin][0] : offsets[end - 1][1]])
        begin = end
    return [piece for piece in pieces if piece.strip()] or [text]


def _word_start(words: Sequence[int | None], begin: int, end: int) -> int:
    """The last position in (begin, end] where a word begins; `end` when the piece is one long word."""
    position = end
    while position > begin + 1 and words[position] is not None and words[position] == words[position - 1]:
        position -= 1
    return position if position > begin + 1 else end


def split_by_bytes(text: str, most_bytes: int) -> list[str]:
    """`text` in pieces of nearly equal size, none over `most_bytes` bytes of UTF-8 (at least 4), cut at white space in reach.

    For models whose tokenizer is unknown.
    """
    raw = text.encode()
    pieces: list[str] = []
    while len(raw) > most_bytes:
        left = -(-len(raw) // most_bytes)
        # A character takes up to 4 bytes; a share smaller than the next character is widened to the limit.
        head = raw[: -(-len(raw) // left)].decode(errors="ignore") or raw[:most_bytes].decode(errors="ignore")
        space = max(head.rfind(" "), head.rfind("\n"))
        head = head[:space] if space > len(head) // 2 else head
        pieces.append(head)
        raw = raw[len(head.encode()) :].lstrip()
    return [piece for piece in [*pieces, raw.decode()] if piece.strip()]
