"""What second opinions (`reranker.model`, `judge.enabled`) would take, said before; what they have cost, after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from taxomind_app.cli.session import Session
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.classification.second_opinion import Outlook
    from taxomind_assets.classification.text_readers import TextBlock

_NOTHING: Final = "No judge and no reranker is switched on (judge.enabled, reranker.model): {texts:,} texts would cost nothing."


def show(session: Session, classifier: Classifier, blocks: Iterator[TextBlock], limit: int | None) -> None:
    """Print the outlook of texts that are not answered (`--dry-run`).

    Raises:
        Fault: as `second_opinion.outlook`, and what reading the texts raises.
    """
    found = _outlook(classifier, blocks, limit)
    if session.json:
        session.print_json(_as_json(found))
        return
    for line in found.lines() or [_NOTHING.format(texts=found.texts)]:
        session.say(line)


@contextmanager
def told(session: Session, classifier: Classifier, blocks: Iterator[TextBlock] | None, limit: int | None) -> Iterator[None]:
    """Note the outlook of the texts before the block, and what the judge has cost after it, on standard error.

    Args:
        session: the call.
        classifier: the one that answers.
        blocks: the texts; None = they can be read only once, so nothing is said before.
        limit: texts that will be answered at most, None = all.
    """
    settings = classifier.settings
    if not (settings.judge.enabled or settings.reranker.model is not None):
        yield
        return
    from taxomind_assets.classification.second_opinion import spent

    if blocks is not None:
        for line in _outlook(classifier, blocks, limit).lines():
            session.note(line)
    before = spent(settings) if settings.judge.enabled else None
    try:
        yield
    finally:
        if before is not None:
            session.note(f"The judge was asked: {spent(settings) - before}.")


def _outlook(classifier: Classifier, blocks: Iterator[TextBlock], limit: int | None) -> Outlook:
    from taxomind_app.cli.streams import limited
    from taxomind_assets.classification.second_opinion import Outlook, outlook
    from taxomind_assets.views.texts import clean

    cleaned = ([clean(text) for text in block.text] for block in limited(blocks, limit))
    return sum((outlook(classifier, texts) for texts in cleaned), Outlook())


def _as_json(found: Outlook) -> dict[str, Any]:
    return {
        "texts": found.texts,
        "reranked": found.reranked,
        "judged": None if found.judged is None else asdict(found.judged),
    }
