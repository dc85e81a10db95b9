"""What a taxonomy's inputs still ask for: the one comparison of inbox and outputs that sensors and status commands share.

Every output says in its own file what it was made from. Nothing is remembered elsewhere, so nothing can be lost, done twice or
disagree with the files; and since only folders and parquet footers are read, a thousand taxonomies take a fraction of a second.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final

from taxomind_resources.faults import Fault
from taxomind_resources.index_store import INDEX_FORMAT

if TYPE_CHECKING:
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

#: Part of `taxonomy.rejected_rows` that says why the file in the inbox was refused as a whole.
REFUSED: Final = "refused"
#: Part of `classification.batches` without rows, whose digest is that of the text files that have been dealt with.
SEEN: Final = "inbox"
#: Settings of the group `embedding` that change vectors; the others only change how fast they come.
_VECTOR_SETTINGS: Final = {
    "provider",
    "model",
    "revision",
    "number_format",
    "query_prompt",
    "document_prompt",
    "dimensions",
    "max_tokens",
    "max_chars",
    "base_url",
}


@dataclass(frozen=True, slots=True)
class NodesState:
    """What `taxonomy.enriched_nodes` was made from: content version of the nodes and digest of the file in the inbox."""

    taxonomy_version: str
    taxonomy_digest: str

    def digest(self) -> str:
        """As it stands in the output's file."""
        return ":".join(astuple(self))

    @classmethod
    def parse(cls, digest: str | None) -> NodesState:
        """The inverse of `digest`; empty fields when there is none."""
        return cls(*_fields(digest, 2))


@dataclass(frozen=True, slots=True)
class IndexState:
    """What `views.node_vectors` was made from. `embedding_digest`: see the function of this name."""

    taxonomy_version: str
    vector_class: str
    taxonomy_digest: str
    embedding_digest: str

    def digest(self) -> str:
        """As it stands in the output's file."""
        return ":".join(astuple(self))

    @classmethod
    def parse(cls, digest: str | None) -> IndexState:
        """The inverse of `digest`; empty fields when there is none."""
        return cls(*_fields(digest, 4))


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """What `learning.centroids` was made from: the files of corrections, the taxonomy, and the model of the vectors."""

    corrections_digest: str
    taxonomy_version: str
    vector_class: str

    def digest(self) -> str:
        """As it stands in the output's file."""
        return ":".join(astuple(self))

    @classmethod
    def parse(cls, digest: str | None) -> EvidenceState:
        """The inverse of `digest`; empty fields when there is none."""
        return cls(*_fields(digest, 3))


@dataclass(frozen=True, slots=True)
class Pending:
    """What one taxonomy waits for. Each field is '' when nothing is to be done, else a digest of what asks for it.

    Attributes:
        build: the taxonomy file, a record of a revision or the embedding model is new: the index must be built.
        corrections: files of corrections came, changed or went, or the evidence is that of another taxonomy or model.
        texts: there are text files that have not been dealt with.
        report: there are labelled files that no report covers, or a report on files that are gone.
        stale_report: the report was made with another index or other settings.
        waiting: sentences about inputs that cannot be dealt with now, and what they wait for.
    """

    build: str
    corrections: str
    texts: str
    report: str
    stale_report: str
    waiting: tuple[str, ...] = ()


def embedding_digest(settings: Settings, key: str) -> str:
    """12 hex digits over the settings that change this taxonomy's index, and the format of indexes.

    Raises:
        Fault: `unknown_setting` or `invalid_setting`.
    """
    own = settings.for_taxonomy(key)
    values = own.embedding.model_dump(mode="json", include=_VECTOR_SETTINGS)
    # The probabilities of an index are fitted beside the student that scores with it.
    values |= {"crosslingual": own.scoring.crosslingual, "adapt": own.scoring.adapt, "format": INDEX_FORMAT}
    if own.enrichment.enabled or not own.enrichment.apply:
        values["enrichment"] = own.enrichment.model_dump(mode="json", exclude={"concurrency", "max_cost"})
        values["llm"] = own.llm.model if own.enrichment.enabled else ""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def report_digest(labelled_digest: str, index_version: str, settings: Settings, key: str, learned: str | None = None) -> str:
    """What a report is made from: the labelled files, the index, and the settings that decide or name columns.

    Args:
        labelled_digest: state of the labelled files.
        index_version: the index.
        settings: the shared settings.
        key: taxonomy key.
        learned: digest of the evidence, when there is any.
    """
    own = settings.for_taxonomy(key)
    used = "\n".join([own.deciding_version(), own.report.model_dump_json(), *([learned] if learned else [])])
    return f"{labelled_digest}:{index_version}:{hashlib.sha256(used.encode()).hexdigest()[:12]}"


def pending(key: str, settings: Settings, inbox: Inbox, outputs: Outputs, indexes: IndexStore) -> Pending:
    """All that one taxonomy waits for. Opens no input file.

    Raises:
        Fault: `invalid_key`, `storage_failed`, `unknown_setting` or `invalid_setting`.
    """
    build, waiting = pending_build(key, settings, inbox, outputs)
    report, stale_report = pending_report(key, settings, inbox, outputs, indexes)
    if (
        not build
        and indexes.current(key) is None
        and any(inbox.digest(key, kind) for kind in ("texts", "labelled", "corrections"))
    ):
        waiting = (*waiting, f"{key}: texts wait for a taxonomy that can be built.")
    corrections = pending_corrections(key, inbox, outputs, indexes)
    return Pending(build, corrections, pending_texts(key, inbox, outputs, indexes), report, stale_report, waiting)


def pending_build(key: str, settings: Settings, inbox: Inbox, outputs: Outputs) -> tuple[str, tuple[str, ...]]:
    """`Pending.build`, and why a taxonomy file that is there cannot be built.

    Raises:
        Fault: as `pending`.
    """
    try:
        file = inbox.taxonomy_file(key)
    except Fault as fault:
        return "", (f"{key}: {fault.what}",)
    if file is None:
        return "", ()
    digest, wanted = inbox.digest(key, "taxonomy"), embedding_digest(settings, key)
    built = IndexState.parse(outputs.digest("views.node_vectors", key))
    revisions = inbox.digest(key, "revisions")
    is_told = (outputs.digest("taxonomy.crosswalk", key) or "").partition(":")[0] == revisions
    if (built.taxonomy_digest, built.embedding_digest) == (digest, wanted) and is_told:
        return "", ()
    if outputs.digest("taxonomy.rejected_rows", key, REFUSED) == digest:
        return "", (f"{key}: {file.name} was refused; see taxonomy.rejected_rows.",)
    return "-".join(filter(None, (digest, wanted, revisions))), ()


def corrections_digest(key: str, inbox: Inbox) -> str:
    """What corrections are settled from: their files, and the records of revisions that translate their codes.

    Raises:
        Fault: `invalid_key`.
    """
    return "-".join(filter(None, (inbox.digest(key, "corrections"), inbox.digest(key, "revisions"))))


def pending_corrections(key: str, inbox: Inbox, outputs: Outputs, indexes: IndexStore) -> str:
    """`Pending.corrections`; '' as long as there is no index to learn for.

    Raises:
        Fault: as `pending`.
    """
    made = outputs.digest("learning.centroids", key)
    if (made is None and not inbox.digest(key, "corrections")) or indexes.current(key) is None:
        return ""
    digest = corrections_digest(key, inbox)
    built = IndexState.parse(outputs.digest("views.node_vectors", key))
    wanted = EvidenceState(digest, built.taxonomy_version, built.vector_class).digest()
    return "" if made == wanted else hashlib.sha256(wanted.encode()).hexdigest()[:16]


def growth_state(key: str, settings: Settings, inbox: Inbox, outputs: Outputs, indexes: IndexStore, *, today: str) -> str:
    """What candidates for growth are made from: answers, corrections, remarks, decisions, the index, settings and the day.

    Args:
        today: the day (UTC) as an ISO date: windows end today, so what is found changes by itself.

    Raises:
        Fault: as `pending`.
    """
    from taxomind_assets.growth.normalise import KEY_VERSION

    used = [indexes.current(key) or "", settings.for_taxonomy(key).growth.model_dump_json(), KEY_VERSION]
    used += [inbox.digest(key, kind) for kind in ("observations", "decisions", "revisions")]
    for table in ("classification.results", "taxonomy.retagged", "learning.corrections", "learning.centroids"):
        for part in outputs.parts(table, key):
            status = outputs.path(table, key, part).stat()
            used.append(f"{table}:{part}:{status.st_size}:{status.st_mtime_ns}")
    return f"{hashlib.sha256(chr(10).join(used).encode()).hexdigest()[:16]}:{today}"


def pending_growth(key: str, settings: Settings, inbox: Inbox, outputs: Outputs, indexes: IndexStore, *, today: str) -> str:
    """Digest of what asks for candidates to be found anew; '' when there is nothing, or nothing to observe, or no index.

    Args:
        today: as `growth_state`.

    Raises:
        Fault: as `pending`.
    """
    made = outputs.digest("growth.candidates", key)
    is_observed = outputs.parts("classification.results", key) or outputs.parts("learning.corrections", key)
    if indexes.current(key) is None or not (made or is_observed or inbox.digest(key, "observations")):
        return ""
    wanted = growth_state(key, settings, inbox, outputs, indexes, today=today)
    return "" if made == wanted else wanted


def pending_texts(key: str, inbox: Inbox, outputs: Outputs, indexes: IndexStore) -> str:
    """`Pending.texts`; '' as long as there is no index to answer with.

    Raises:
        Fault: as `pending`.
    """
    digest = inbox.digest(key, "texts")
    if not digest or digest == outputs.digest("classification.batches", key, SEEN):
        return ""
    return "" if indexes.current(key) is None else digest


def pending_report(key: str, settings: Settings, inbox: Inbox, outputs: Outputs, indexes: IndexStore) -> tuple[str, str]:
    """`Pending.report` and `Pending.stale_report`; both '' as long as there is no index to measure.

    Raises:
        Fault: as `pending`.
    """
    labelled = inbox.digest(key, "labelled")
    made = outputs.digest("reports.metrics", key) or ""
    version = indexes.current(key) if labelled or made else None
    if version is None:
        return "", ""
    if not labelled:
        # A report on files that are gone would be taken for one on what is there.
        measured = made.partition(":")[0]
        return f"{measured}-removed" if measured else "", ""
    wanted = report_digest(labelled, version, settings, key, outputs.digest("learning.centroids", key))
    is_new = made.partition(":")[0] != labelled
    return labelled if is_new else "", "" if is_new or made == wanted else wanted


def _fields(digest: str | None, number: int) -> list[str]:
    found = (digest or "").split(":")
    return found if len(found) == number else [""] * number
