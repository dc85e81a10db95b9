"""Applying a new edition of a taxonomy, and taking it back: two files of the inbox, one after the other.

The record of the revision is written first, the taxonomy file is replaced second, each by one rename. The file alone decides
which edition is in force, so a kill in between leaves the former edition and a record without effect. Nothing else is stored:
everything that follows is made by the assets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taxomind_assets.taxonomy.crosswalk import Crosswalk, Link, read_crosswalk
from taxomind_assets.taxonomy.readers import detect_format, read_taxonomy
from taxomind_assets.taxonomy.revision import Revision, Translation, VersionFile
from taxomind_assets.taxonomy.versions import known_editions, read_log
from taxomind_assets.views.texts import normalise
from taxomind_resources.faults import Fault
from taxomind_resources.files import content_digest, locked

if TYPE_CHECKING:
    from taxomind_assets.inputs import RejectedRow
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox, InboxFile
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import LimitSettings

#: Suffix in the inbox of each format that the reader knows.
SUFFIXES: Final = {"csv": ".csv", "json": ".json", "turtle": ".ttl", "rdfxml": ".rdf"}
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Author:
    """Who revises, and what the person says about it."""

    name: str
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """A revision that has been thought through and not been made.

    Attributes:
        key: taxonomy key.
        record: what the log will say.
        source: file that becomes the taxonomy file.
        before, after: the two versions.
        rejected: rows of the new file that were refused by themselves.
        remarks: what a person should know before, one sentence each.
    """

    key: str
    record: Revision
    source: Path
    before: Taxonomy
    after: Taxonomy
    rejected: tuple[RejectedRow, ...] = ()
    remarks: tuple[str, ...] = ()


def plan_revision(
    inbox: Inbox,
    outputs: Outputs,
    key: str,
    limits: LimitSettings,
    author: Author,
    *,
    source: Path,
    crosswalk: Path | None,
) -> Plan:
    """Read a new edition and check it against the one in force. Writes nothing.

    Args:
        inbox: where the edition in force is.
        outputs: knows the editions of versions that came without a crosswalk.
        key: taxonomy key.
        limits: of input files.
        author: who revises.
        source: file of the new edition.
        crosswalk: file that says where the codes went; None = codes that both have stay, the others have no counterpart.

    Raises:
        Fault: `invalid_crosswalk`, `invalid_taxonomy`, `unknown_taxonomy`, `invalid_input` (nothing has changed), or as
            `read_taxonomy` and `read_crosswalk`.
    """
    current, before = _in_force(inbox, key, limits)
    digest = content_digest(source)
    found = read_taxonomy(source, key, limits)
    after = found.taxonomy
    if after.version == before.version:
        what = f"{source.name} says the same as the version in force."
        raise Fault("invalid_input", what, value=after.version, allowed="a file with another content")
    links = read_crosswalk(crosswalk, limits) if crosswalk else ()
    walk = Crosswalk.between(links, before.codes, after.codes)
    log = read_log(inbox, key)
    translation = Translation.of(log, before.version, known_editions(outputs, key))
    record = Revision(
        number=_next_number(log),
        kind="revise",
        follows=translation.edition,
        made_at=datetime.now(UTC),
        by=author.name,
        before=_version_file(before, current.path.name, current.content_id()),
        after=_version_file(after, f"taxonomy{SUFFIXES[detect_format(source)]}", digest),
        crosswalk=walk,
        note=author.note,
    )
    remarks = (*found.warnings, *_remarks(before, after, walk, links))
    return Plan(key, record, source, before, after, found.rejected, remarks)


def plan_undo(inbox: Inbox, outputs: Outputs, key: str, limits: LimitSettings, author: Author, *, force: bool = False) -> Plan:
    """Prepare to put the former edition back, byte for byte. Writes nothing.

    Args:
        force: also when the taxonomy was changed since the revision; these changes go with it (their file is kept).

    Raises:
        Fault: `invalid_input` when no revision is in force, `revision_conflict` when the taxonomy was changed since,
            `storage_failed` when the former file is gone.
    """
    current, before = _in_force(inbox, key, limits)
    log = read_log(inbox, key)
    translation = Translation.of(log, before.version, known_editions(outputs, key))
    undone = translation.revisions.get(translation.edition)
    if undone is None:
        raise Fault("invalid_input", f"No revision of {key!r} is in force.", next_step=f"taxomind taxonomy history {key}")
    if before.version != undone.after.version and not force:
        what = f"{key!r} was changed after revision {undone.number}: to take the revision back would take that back as well."
        next_step = "Add --force to do so; the changed file is kept in the folder earlier."
        raise Fault("revision_conflict", what, value=before.version, allowed=undone.after.version, next_step=next_step)
    source = inbox.earlier_taxonomy(key, undone.before.content_id)
    if source is None:
        next_step = f"Put the file of version {undone.before.version} back by `taxomind taxonomy add {key} FILE`."
        raise Fault("storage_failed", "The former taxonomy file is not in the folder earlier any more.", next_step=next_step)
    after = read_taxonomy(source, key, limits).taxonomy
    record = Revision(
        number=_next_number(log),
        kind="undo",
        follows=translation.edition,
        made_at=datetime.now(UTC),
        by=author.name,
        before=_version_file(before, current.path.name, current.content_id()),
        after=undone.before,
        note=author.note,
        undoes=undone.number,
    )
    return Plan(key, record, source, before, after)


def carry_out(inbox: Inbox, plan: Plan) -> None:
    """Make a plan true: its record first, then the taxonomy file.

    Raises:
        Fault: `revision_conflict` when the taxonomy, the new file or the log changed since the plan was made;
            `storage_failed`.
    """
    with locked(inbox.root / ".revisions.lock"):
        _check_unchanged(inbox, plan)
        inbox.put(plan.key, "revisions", plan.record.to_text().encode(), f"{plan.record.number:04d}.json")
        inbox.put(plan.key, "taxonomy", plan.source, plan.record.after.file)


def _check_unchanged(inbox: Inbox, plan: Plan) -> None:
    current = inbox.taxonomy_file(plan.key)
    is_same = current is not None and current.content_id() == plan.record.before.content_id
    if not is_same or _next_number(read_log(inbox, plan.key)) != plan.record.number:
        raise Fault(
            "revision_conflict", f"Somebody else changed {plan.key!r} meanwhile.", next_step="Look at it and try again."
        )
    if content_digest(plan.source) != plan.record.after.content_id:
        raise Fault("revision_conflict", f"{plan.source.name} was changed meanwhile.", next_step="Try again.")


def _in_force(inbox: Inbox, key: str, limits: LimitSettings) -> tuple[InboxFile, Taxonomy]:
    file = inbox.taxonomy_file(key)
    if file is None:
        raise Fault("unknown_taxonomy", f"The inbox folder of {key!r} holds no taxonomy file.", value=key)
    return file, read_taxonomy(file.path, key, limits).taxonomy


def _version_file(tree: Taxonomy, name: str, content_id: str) -> VersionFile:
    return VersionFile(tree.version, name, content_id)


def _next_number(log: Sequence[Revision]) -> int:
    return log[-1].number + 1 if log else 1


def _remarks(before: Taxonomy, after: Taxonomy, walk: Crosswalk, links: Sequence[Link]) -> list[str]:
    """What may be a mistake: codes that vanish without a word, and codes that seem to be used for something else."""
    named = {link.old_code for link in links}
    vanished = [code for code in before.codes if code in walk.gone and code not in named]
    appeared = [code for code in after.codes if code in walk.new and code not in {link.new_code for link in links}]
    reused = [code for code in before.codes if code in after.position and code not in named and _unlike(before, after, code)]
    sentences = (
        (vanished, "are not in the crosswalk and not in the new edition; what is known about them is parked"),
        (appeared, "are new in this edition, and the crosswalk leads nowhere to them"),
        (
            reused,
            "keep their code and share no word with their former label; if they mean something else, the crosswalk must say so",
        ),
    )
    return [f"{len(codes):,} codes {what}: {_listed(codes)}." for codes, what in sentences if codes]


def _unlike(before: Taxonomy, after: Taxonomy, code: str) -> bool:
    """Whether a node shares no word of its labels with its former self, in any language."""
    old, new = (_words(tree, code) for tree in (before, after))
    return not old & new


def _words(tree: Taxonomy, code: str) -> set[str]:
    texts = tree.nodes[tree.position[code]].texts
    return {word for text in texts for word in normalise(" ".join((text.label, *text.aliases))).split()}


def _listed(codes: Sequence[str]) -> str:
    more = f" and {len(codes) - _SHOWN:,} more" if len(codes) > _SHOWN else ""
    return ", ".join(codes[:_SHOWN]) + more
