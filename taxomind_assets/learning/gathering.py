"""The work behind the assets of learning: files to corrections, corrections to evidence.

Both steps read everything anew and write whole files, each naming what it was made from. A process that is killed leaves the
former state, and since nothing is added to what is there, doing a step again changes nothing. A lock keeps an older state from
replacing a newer one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from taxomind_assets.learning.corrections import NEVER, Correction, CorrectionRow, Settled, Translate, settle
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.learning.reading import ReadFile, moments_of, read_corrections, times_of
from taxomind_assets.learning.reviews import REVIEWS, contradictions, outliers, reviews_table
from taxomind_assets.learning.stored import EVIDENCE, VERSIONS, evidence_part, evidence_rows, vectors_of_rows
from taxomind_assets.learning.versions import Held, with_version
from taxomind_assets.pending import EvidenceState, IndexState, corrections_digest
from taxomind_assets.taxonomy.revision_choice import SplitCorrection, decided_corrections
from taxomind_assets.taxonomy.stored import stored_taxonomy
from taxomind_assets.taxonomy.versions import current_translation
from taxomind_resources.faults import Fault
from taxomind_resources.files import folder_name, locked
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

CORRECTIONS: Final = "learning.corrections"
CENTROIDS: Final = "learning.centroids"
#: Columns of `learning.corrections` that are fields of `Correction` under another name or in another form.
_AS_TIMES: Final = "corrected_at"


@dataclass(frozen=True)
class Gathered:
    """Evidence as it was written.

    Attributes:
        evidence: what counts now.
        added: what began to count with this run.
        removed: what ceased to count.
        reviews: rows of `learning.reviews`.
    """

    evidence: Evidence
    added: frozenset[Held]
    removed: frozenset[Held]
    reviews: pa.Table

    @property
    def touched(self) -> list[str]:
        """Codes whose evidence changed, sorted."""
        return sorted({item.code for item in self.added | self.removed})


def learning_lock(outputs: Outputs, key: str) -> AbstractContextManager[None]:
    """Held while the corrections or the evidence of a taxonomy are written, so that no older state replaces a newer one.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    return locked(outputs.root / "learning" / f".{folder_name(key)}.lock")


def accept_corrections(key: str, settings: Settings, inbox: Inbox, outputs: Outputs) -> tuple[Settled, list[ReadFile]]:
    """Read all files of corrections and write what they come to.

    Raises:
        Fault: `unknown_taxonomy`, `invalid_key` or `storage_failed`.
    """
    with learning_lock(outputs, key):
        # The digest comes first: a file that arrives meanwhile makes it differ from the inbox, so the next run sees it.
        digest = corrections_digest(key, inbox)
        read = read_corrections(key, inbox.files(key, "corrections"), settings.for_taxonomy(key), outputs)
        tree = stored_taxonomy(outputs, key)
        settled = _settled([row for file in read for row in file.rows], tree, settings, inbox, outputs)
        state = EvidenceState(digest, tree.version, "")
        outputs.write(CORRECTIONS, key, corrections_table(settled.corrections), digest=state.digest())
    return settled, read


def _settled(rows: Sequence[CorrectionRow], tree: Taxonomy, settings: Settings, inbox: Inbox, outputs: Outputs) -> Settled:
    """What the rows come to. Corrections whose node a revision split are decided by the classifier where it is sure."""
    key = tree.key
    translate = translation_of(key, inbox, outputs, tree)
    settled = settle(rows, tree, translate)
    split = split_corrections(settled, tree, translate)
    if not split:
        return settled
    chosen = decided_corrections(key, settings, outputs, current_translation(inbox, outputs, key, tree.version), split)
    return settle(rows, tree, translate, chosen) if chosen else settled


def split_corrections(settled: Settled, tree: Taxonomy, translate: Translate) -> list[SplitCorrection]:
    """Corrections that count nowhere because a revision made several nodes of theirs: the most detailed such code of each."""
    found = []
    for own in settled.corrections:
        for given in reversed(own.given_codes) if own.status == "unknown_code" else ():
            codes = translate(given, own.corrected_at, tree.position)
            options = tuple(code for code in codes if code in tree.position)
            if len(codes) > 1 and options:
                found.append(SplitCorrection(own.correction_id, own.text, given, options))
                break
    return found


def translation_of(key: str, inbox: Inbox, outputs: Outputs, tree: Taxonomy) -> Translate:
    """What became of the codes of earlier editions of a taxonomy.

    Raises:
        Fault: `unreadable_file` (a record of a revision), `invalid_key` or `storage_failed`.
    """
    translation = current_translation(inbox, outputs, key, tree.version)

    def translate(code: str, moment: int, known: Collection[str]) -> tuple[str, ...]:
        return translation.codes_at(code, None if moment == NEVER else times_of([moment])[0], known)

    return translate


def gather_evidence(key: str, outputs: Outputs, embedder: Embedder) -> Gathered:
    """Make evidence of the corrections that count. Only texts that were never embedded are embedded.

    Raises:
        Fault: `index_stale` when the model is not that of the index; what the embedder raises; `storage_failed`.
    """
    built = IndexState.parse(outputs.digest("views.node_vectors", key))
    if built.vector_class not in {"", embedder.spec.vector_class}:
        what = f"The node index of {key!r} was made with another model than the settings name."
        raise Fault("index_stale", what, value=embedder.spec.model)
    with learning_lock(outputs, key):
        made_from = EvidenceState.parse(outputs.digest(CORRECTIONS, key))
        tree = stored_taxonomy(outputs, key)
        applied = [found for found in stored_corrections(outputs, key, status="applied") if found.code in tree.position]
        vectors = _vectors([found.text for found in applied], key, outputs, embedder)
        evidence = Evidence.of([found.text for found in applied], [found.code or "" for found in applied], vectors)
        reviews = reviews_table(contradictions(tree, applied) + outliers(tree, applied, vectors))
        state = EvidenceState(made_from.corrections_digest, made_from.taxonomy_version, embedder.spec.vector_class)
        added, removed = _write(key, outputs, applied, vectors, evidence=evidence, reviews=reviews, state=state)
    return Gathered(evidence, frozenset(added), frozenset(removed), reviews)


def _vectors(texts: Sequence[str], key: str, outputs: Outputs, embedder: Embedder) -> NDArray[np.float32]:
    """float32[e, d]: those that are stored already, and those of texts that are new."""
    part = evidence_part(embedder.spec.vector_class)
    stored = outputs.read_remembered(EVIDENCE, key, columns=["text", "vector"], parts=[part])
    rows = {text: row for row, text in enumerate(stored["text"].to_pylist())}
    new = list(dict.fromkeys(text for text in texts if text not in rows))
    rows |= {text: stored.num_rows + row for row, text in enumerate(new)}
    every = np.concatenate((vectors_of_rows(stored, embedder.spec.dimensions), embedder.embed(new, "query")))
    return every[[rows[text] for text in texts]]


def _write(
    key: str,
    outputs: Outputs,
    applied: Sequence[Correction],
    vectors: NDArray[np.float32],
    *,
    evidence: Evidence,
    reviews: pa.Table,
    state: EvidenceState,
) -> tuple[set[Held], set[Held]]:
    held = [Held(found.correction_id, found.code or "", found.text) for found in applied]
    before = _log(outputs, key)
    log, added, removed = with_version(before, held, evidence.version, datetime.now(UTC))
    digest = state.digest()
    if log.num_rows != before.num_rows:
        outputs.write(VERSIONS, key, log)
    outputs.write(REVIEWS, key, reviews, digest=digest)
    ids, codes, texts = zip(*held, strict=True) if held else ((), (), ())
    part = evidence_part(state.vector_class)
    outputs.write(EVIDENCE, key, evidence_rows(list(ids), list(codes), list(texts), vectors), digest=digest, part=part)
    for other in outputs.parts(EVIDENCE, key):
        # Vectors of another model would miss what is learned from now on.
        if other != part:
            outputs.delete_part(EVIDENCE, key, other)
    # Written last: it says that the evidence stands for this state of inbox, taxonomy and model.
    outputs.write(CENTROIDS, key, centroids_table(evidence, outputs.read_remembered(CENTROIDS, key)), digest=digest)
    return added, removed


def _log(outputs: Outputs, key: str) -> pa.Table:
    """The versions there were: the one output of learning that its inputs cannot give back."""
    try:
        return outputs.read(VERSIONS, key)
    except Fault as fault:
        path = outputs.path(VERSIONS, key)
        next_step = f"Bring {path.name} back from a backup, or move it away: the record of versions then begins anew."
        raise Fault(fault.code, fault.what, value=str(path), next_step=next_step) from fault


def stored_corrections(outputs: Outputs, key: str, *, status: str | None = None) -> list[Correction]:
    """The corrections as they were settled last, by id.

    Args:
        outputs: where they are stored.
        key: taxonomy key.
        status: only those of this status.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    import pyarrow.compute as pc

    rows = outputs.read(CORRECTIONS, key)
    if status is not None:
        rows = rows.filter(pc.equal(rows["status"], status))
    columns: dict[str, list[Any]] = {name: rows[name].to_pylist() for name in rows.column_names if name != _AS_TIMES}
    columns[_AS_TIMES] = moments_of(rows[_AS_TIMES])
    columns["given_codes"] = [tuple(codes) for codes in columns["given_codes"]]
    names = list(columns)
    return [Correction(**dict(zip(names, values, strict=True))) for values in zip(*columns.values(), strict=True)]


def corrections_table(corrections: Iterable[Correction]) -> pa.Table:
    """The rows of `learning.corrections`."""
    found = list(corrections)
    schema = BY_NAME[CORRECTIONS].arrow
    columns: dict[str, Any] = {name: [getattr(item, name) for item in found] for name in schema.names}
    columns[_AS_TIMES] = times_of(columns[_AS_TIMES])
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def centroids_table(evidence: Evidence, former: pa.Table) -> pa.Table:
    """The rows of `learning.centroids`; a node whose evidence is as before keeps the time of its last change.

    Args:
        evidence: what counts now.
        former: the table before.
    """
    now = datetime.now(UTC)
    known = {row["code"]: (row["count"], row["vector_sum"], row["updated_at"]) for row in former.to_pylist()}
    codes, sums, counts = evidence.sums() if len(evidence) else ([], np.zeros((0, 0)), np.zeros(0, np.int64))
    rows = []
    for code, total, count in zip(codes, sums, counts.tolist(), strict=True):
        before = known.get(code)
        same = before is not None and before[0] == count and len(before[1]) == total.size and np.allclose(before[1], total)
        rows.append(
            {
                "code": code,
                "count": count,
                "vector_sum": total,
                "updated_at": before[2] if before is not None and same else now,
                "evidence_version": evidence.version,
            }
        )
    return pa.Table.from_pylist(rows, schema=BY_NAME[CENTROIDS].arrow)


def labelled_corrections(tree: Taxonomy, corrections: Iterable[Correction]) -> tuple[list[str], list[list[str]]]:
    """Corrected and confirmed answers as labelled texts: each text once, with the codes that people gave it.

    Args:
        tree: the taxonomy; codes that it does not have are left out.
        corrections: corrections that count.

    Returns:
        (texts, codes of each), by text.
    """
    from taxomind_assets.views.texts import normalise

    codes: dict[str, dict[str, None]] = {}
    texts: dict[str, str] = {}
    for found in sorted(corrections, key=lambda item: (item.text, item.code or "")):
        if found.code in tree.position:
            identity = normalise(found.text)
            texts.setdefault(identity, found.text)
            codes.setdefault(identity, {})[found.code or ""] = None
    return list(texts.values()), [list(own) for own in codes.values()]
