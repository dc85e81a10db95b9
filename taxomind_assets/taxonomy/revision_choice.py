"""Which part of a split node a text belongs to: decided by the classifier among the listed codes alone, with a confidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.taxonomy.revision import Translation
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

REASSIGNMENTS: Final = "taxonomy.reassignments"
#: What became of a correction whose node was split.
MOVED, UNSURE = "moved", "unsure"
#: Confidence above which an unsure correction counts meanwhile: more probable than everywhere else together.
COUNTS_ABOVE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Choice:
    """The code that a text belongs to most probably, and the probability of that among the codes it was chosen from."""

    code: str
    confidence: float


@dataclass(frozen=True, slots=True)
class SplitCorrection:
    """A correction whose node became several. `old_code` as given; `options`: codes of the edition in force."""

    correction_id: str
    text: str
    old_code: str
    options: tuple[str, ...]


def choose_among(classifier: Classifier, texts: Sequence[str], options: Sequence[Sequence[str]]) -> list[Choice]:
    """The best of the listed codes for each of b texts.

    The classifier's probabilities are looked at for these codes alone and scaled to add up to 1. A code that lies above another
    one in the list stands for what is left of it without that one.

    Args:
        classifier: of the edition that the codes belong to.
        texts: b texts.
        options: codes that each may become, at least one that the tree has.

    Raises:
        Fault: `invalid_input` when the tree has none of a text's options; what the classifier raises.
    """
    tree = classifier.tree
    nodes = [_nodes(tree, codes) for codes in options]
    found: list[Choice] = []
    for start in range(0, len(texts), classifier.block_size):
        block = slice(start, start + classifier.block_size)
        matrix = classifier.probabilities(texts[block]).matrix()
        found += [_best(tree, row, own) for row, own in zip(matrix, nodes[block], strict=True)]
    return found


def _nodes(tree: Taxonomy, codes: Sequence[str]) -> NDArray[np.int64]:
    nodes = np.array([tree.position[code] for code in dict.fromkeys(codes) if code in tree.position], np.int64)
    if not nodes.size:
        raise Fault("invalid_input", "The taxonomy has none of the codes to choose from.", value=list(codes))
    return nodes


def _best(tree: Taxonomy, masses: NDArray[np.float32], nodes: NDArray[np.int64]) -> Choice:
    own = masses[nodes].astype(np.float64)
    below = (nodes[:, None] < nodes) & (nodes < tree.ends[nodes][:, None])
    # Only the nearest options below count: what lies below them is part of them.
    nearest = below & ~(below.astype(np.int64) @ below.astype(np.int64) > 0)
    own = np.maximum(own - nearest @ own, 0)
    total = own.sum()
    shares = own / total if total > 0 else np.full(nodes.size, 1 / nodes.size)
    place = int(shares.argmax())
    return Choice(tree.codes[int(nodes[place])], float(shares[place]))


def decided_corrections(
    key: str, settings: Settings, outputs: Outputs, translation: Translation, split: Iterable[SplitCorrection]
) -> dict[str, str]:
    """The code of each correction whose node was split, where one stands out; decides those that were not decided before.

    A decision stays: it is made once for an edition, and kept in `taxonomy.reassignments` with its confidence. It is sure when
    that reaches `routing.accuracy_target`; the others are listed for a person, and count meanwhile where they are more probable
    than everywhere else together. To learn the sure ones alone would do harm: they are not spread over the parts as the texts
    are, and draw texts away from the parts that have none (measured by `tests.benchmarks.bench_revision`).

    Args:
        key: taxonomy key.
        settings: the shared settings.
        outputs: where decisions are kept.
        translation: into the version in force.
        split: the corrections.

    Returns:
        correction id -> code. Empty as long as the index of this version is not built.

    Raises:
        Fault: `storage_failed`, or what loading the classifier raises.
    """
    waiting = {found.correction_id: found for found in split}
    part = f"{translation.edition:04d}"
    known = {row["correction_id"]: row for row in outputs.read(REASSIGNMENTS, key, parts=[part]).to_pylist()}
    # A correction that was given another text or code is another question.
    kept = {name: row for name, row in known.items() if name in waiting and _asks_the_same(row, waiting[name])}
    new = [found for name, found in sorted(waiting.items()) if name not in kept]
    classifier = _classifier(key, settings, translation.version) if new else None
    if classifier is not None:
        target = classifier.settings.routing.accuracy_target
        choices = choose_among(classifier, [found.text for found in new], [found.options for found in new])
        for found, choice in zip(new, choices, strict=True):
            status = MOVED if choice.confidence >= target else UNSURE
            decided = {"to_edition": translation.edition, "status": status, "index_version": classifier.index.version}
            kept[found.correction_id] = {**asdict(found), "options": list(found.options), **asdict(choice), **decided}
    if kept != known:
        _write(outputs, key, part, kept)
    return {name: row["code"] for name, row in kept.items() if row["status"] == MOVED or row["confidence"] > COUNTS_ABOVE}


def _asks_the_same(row: Mapping[str, object], found: SplitCorrection) -> bool:
    return (row["text"], row["old_code"], row["options"]) == (found.text, found.old_code, list(found.options))


def _classifier(key: str, settings: Settings, version: str) -> Classifier | None:
    """The classifier of a version; None as long as another one, or none, is built."""
    from taxomind_assets.classification.classifier import Classifier

    try:
        classifier = Classifier.load(key, settings)
    except Fault as fault:
        if fault.code == "index_missing":
            return None
        raise
    return classifier if classifier.tree.version == version else None


def _write(outputs: Outputs, key: str, part: str, rows: Mapping[str, Mapping[str, object]]) -> None:
    import pyarrow as pa

    ordered = [dict(row) for _, row in sorted(rows.items())]
    outputs.write(REASSIGNMENTS, key, pa.Table.from_pylist(ordered, schema=BY_NAME[REASSIGNMENTS].arrow), part=part)
