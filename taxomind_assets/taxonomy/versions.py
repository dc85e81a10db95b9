"""Versions of a taxonomy as the outputs hold them: what each brought, which edition it belongs to, and how codes translate.

    taxonomy.node_history   nodes of every version            taxonomy.changes     what each version changed
    taxonomy.versions       a row per version                 taxonomy.revisions   the log of the inbox as rows
    taxonomy.crosswalk      every code of every edition in those of every other

All of it follows from the inbox, is written before the current nodes are, and never says which version is in force. So a kill
at any point leaves the former taxonomy with some rows about one that is not in force yet.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.taxonomy.crosswalk import Crosswalk, Link
from taxomind_assets.taxonomy.diff import find_changes
from taxomind_assets.taxonomy.diff_links import guess_links
from taxomind_assets.taxonomy.records import taxonomy_from_table
from taxomind_assets.taxonomy.revision import FIRST_EDITION, Revision, Translation
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from taxomind_assets.taxonomy.assemble import TaxonomyFile
    from taxomind_assets.taxonomy.diff import Change
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs

VERSIONS: Final = "taxonomy.versions"
HISTORY: Final = "taxonomy.node_history"
CHANGES: Final = "taxonomy.changes"
REVISIONS: Final = "taxonomy.revisions"
CROSSWALK: Final = "taxonomy.crosswalk"


def read_log(inbox: Inbox, key: str) -> tuple[Revision, ...]:
    """The records of a taxonomy's revisions, in their order.

    Raises:
        Fault: `unreadable_file` when a record is damaged, since what follows from it would go astray; `invalid_key`.
    """
    found = []
    for file in inbox.files(key, "revisions"):
        try:
            text = file.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Fault("unreadable_file", f"{file.name} cannot be read: {error}.", value=str(file.path)) from error
        found.append(Revision.from_text(text, file.name))
    return tuple(sorted(found, key=lambda revision: revision.number))


def known_editions(outputs: Outputs, key: str) -> dict[str, int]:
    """The edition of every version that was read.

    Raises:
        Fault: `invalid_key`.
    """
    return {row["version"]: row["edition"] for row in _version_rows(outputs, key)}


def current_version(outputs: Outputs, key: str) -> str:
    """The version in force; '' when there is none.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    versions = outputs.read("taxonomy.nodes", key, columns=["version"])["version"]
    return str(versions[0].as_py()) if len(versions) else ""


def current_translation(inbox: Inbox, outputs: Outputs, key: str, version: str | None = None) -> Translation:
    """Codes of any version in those of the one in force (or of `version`).

    Raises:
        Fault: `unreadable_file`, `invalid_key` or `storage_failed`.
    """
    wanted = current_version(outputs, key) if version is None else version
    return Translation.of(read_log(inbox, key), wanted, known_editions(outputs, key))


def stored_version(outputs: Outputs, key: str, version: str) -> Taxonomy:
    """A taxonomy as it was in a version.

    Args:
        version: the version, or the beginning of one that no other shares.

    Raises:
        Fault: `invalid_input`, naming the versions that there are.
    """
    known = outputs.parts(HISTORY, key)
    found = [name for name in known if name.startswith(version)] if version else []
    if version in known:
        found = [version]
    if len(found) != 1:
        what = f"{len(found)} versions of {key!r} begin with {version!r}." if found else f"{key!r} has no version {version!r}."
        next_step = f"`taxomind taxonomy history {key}` lists the versions."
        raise Fault(
            "invalid_input", what, value=version, allowed=", ".join(known[:20]) or "none is stored", next_step=next_step
        )
    return taxonomy_from_table(outputs.read(HISTORY, key, parts=found), key)


def write_version(outputs: Outputs, key: str, source_file: str, found: TaxonomyFile, log: Sequence[Revision]) -> None:
    """Record a version that was read, with what it changed. What is recorded already stays, but for its edition.

    Args:
        outputs: where to write.
        key: taxonomy key.
        source_file: name of the file.
        found: what was read from it; its nodes are in `taxonomy.node_history` already.
        log: the records of the inbox.

    Raises:
        Fault: `storage_failed`.
    """
    version, former = found.taxonomy.version, current_version(outputs, key)
    known = {row["version"]: row for row in _version_rows(outputs, key)}
    editions = {name: row["edition"] for name, row in known.items()}
    edition = _edition(version, former, log, editions)
    row = known.get(version) or _version_row(source_file, found, former if former != version else "")
    if editions.get(version) != edition:
        row = {**row, "edition": edition}
        outputs.write(VERSIONS, key, _as_table(VERSIONS, [row]), digest=version, part=version)
    follows = row["follows"]
    if follows and not outputs.exists(CHANGES, key, version) and outputs.exists(HISTORY, key, follows):
        translation = Translation.of(log, version, {**editions, version: edition})
        compared = comparison(stored_version(outputs, key, follows), found.taxonomy, translation)
        outputs.write(CHANGES, key, changes_table(version, follows, compared.changes), digest=version, part=version)


def write_crosswalk(outputs: Outputs, key: str, log: Sequence[Revision], log_digest: str) -> None:
    """Write the log, and every code of every edition in those of every other, unless both are as they should be.

    Args:
        log_digest: state of the records in the inbox, '' when there are none.

    Raises:
        Fault: `storage_failed`.
    """
    state = "\n".join(outputs.parts(HISTORY, key))
    digest = f"{log_digest}:{hashlib.sha256(state.encode()).hexdigest()[:12]}"
    if outputs.digest(CROSSWALK, key) == digest:
        return
    translation = Translation.of(log, "", known_editions(outputs, key))
    outputs.write(REVISIONS, key, _as_table(REVISIONS, map(_log_row, log)), digest=log_digest)
    outputs.write(CROSSWALK, key, _crosswalk_table(translation, _codes_of_editions(outputs, key, translation)), digest=digest)


@dataclass(frozen=True)
class Comparison:
    """Two versions side by side.

    Attributes:
        old, new: the versions.
        crosswalk: where the codes went: as given, as the log says, or guessed.
        confidences: how sure guessed links are, by (old code, new code).
    """

    old: Taxonomy
    new: Taxonomy
    crosswalk: Crosswalk
    confidences: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @cached_property
    def changes(self) -> list[Change]:
        """What changed."""
        return find_changes(self.old, self.new, self.crosswalk, self.confidences)

    def rows(self) -> list[tuple[str, str, str]]:
        """The crosswalk as rows (old code, new code, note), without codes that simply stay."""
        rows = []
        for code in self.old.codes:
            if self.crosswalk.relation(code) == "same":
                continue
            for target in self.crosswalk.forward(code) or ("",):
                sure = self.confidences.get((code, target))
                rows.append((code, target, "" if sure is None else f"guessed, {sure:.2f}"))
        return rows + [("", code, "new") for code in self.new.codes if not self.crosswalk.backward(code)]


def comparison(
    old: Taxonomy, new: Taxonomy, translation: Translation | None = None, links: Iterable[Link] | None = None
) -> Comparison:
    """Two versions side by side: a crosswalk that is given decides, else those between their editions, else a guess.

    Args:
        old: former version.
        new: later version.
        translation: knows the editions of both.
        links: rows of a crosswalk.

    Raises:
        Fault: `invalid_crosswalk`.
    """
    if links is not None:
        return Comparison(old, new, Crosswalk.between(links, old.codes, new.codes))
    editions = translation.editions if translation else {}
    start, end = editions.get(old.version), editions.get(new.version)
    if translation and start is not None and end is not None and not translation.is_same(start, end):
        found = [Link(code, target) for code in old.codes for target in translation.between(code, start, end)]
        return Comparison(old, new, _within(found, old, new))
    guesses = guess_links(old, new)
    sure = {(guess.link.old_code, guess.link.new_code): guess.confidence for guess in guesses}
    return Comparison(old, new, Crosswalk.between((guess.link for guess in guesses), old.codes, new.codes), sure)


def _within(links: Iterable[Link], old: Taxonomy, new: Taxonomy) -> Crosswalk:
    """The crosswalk between two versions of two editions, neither of which need have every code of its edition.

    Codes that lead nowhere are named, or they would count as staying when the other version uses them for something else.
    """
    kept = [link for link in links if link.new_code in new.position]
    leading = {link.old_code for link in kept}
    gone = [Link(code, "") for code in old.codes if code not in leading]
    return Crosswalk.between([*kept, *gone], old.codes, new.codes)


def changes_table(version: str, follows: str, changes: Iterable[Change]) -> pa.Table:
    """Changes with the schema of `taxonomy.changes`."""
    return _as_table(CHANGES, ({"version": version, "follows": follows, **asdict(change)} for change in changes))


def _edition(version: str, former: str, log: Sequence[Revision], editions: Mapping[str, int]) -> int:
    """What the log says, else what was recorded, else the edition of the version before: codes mean what they did."""
    translation = Translation.of(log, former, editions)
    return translation.editions.get(version, translation.edition)


def _version_rows(outputs: Outputs, key: str) -> list[dict[str, Any]]:
    """Recorded versions; one that another version of the product has recorded counts as unknown and is recorded anew."""
    rows: list[dict[str, Any]] = []
    for part in outputs.parts(VERSIONS, key):
        with contextlib.suppress(Fault):
            rows += outputs.read(VERSIONS, key, parts=[part]).to_pylist()
    return rows


def _version_row(source_file: str, found: TaxonomyFile, former: str) -> dict[str, Any]:
    tree = found.taxonomy
    return {
        "version": tree.version,
        "follows": former or None,
        "created_at": datetime.now(UTC),
        "source_file": source_file,
        "display_name": tree.display_name,
        "level_names": [{"level": level, "name": name} for level, name in sorted(tree.level_names.items())],
        "nodes": len(tree),
        "leaves": int(tree.is_leaf.sum()),
        "depth": tree.depth,
        "languages": tree.languages,
        "warnings": list(found.warnings),
    }


def _log_row(revision: Revision) -> dict[str, Any]:
    return {
        "number": revision.number,
        "kind": revision.kind,
        "made_at": revision.made_at,
        "made_by": revision.by,
        "note": revision.note,
        "follows": revision.follows,
        "before_version": revision.before.version,
        "after_version": revision.after.version,
        "undoes": revision.undoes,
        "links": len(revision.crosswalk.links),
    }


def _codes_of_editions(outputs: Outputs, key: str, translation: Translation) -> dict[int, list[str]]:
    """All codes that any version of an edition has had."""
    found: dict[int, dict[str, None]] = {FIRST_EDITION: {}, **{number: {} for number in translation.revisions}}
    for version in outputs.parts(HISTORY, key):
        codes = outputs.read(HISTORY, key, columns=["code"], parts=[version])["code"].to_pylist()
        found[translation.editions.get(version, FIRST_EDITION)].update(dict.fromkeys(codes))
    return {edition: list(codes) for edition, codes in found.items() if codes}


def _crosswalk_table(translation: Translation, codes: Mapping[int, Sequence[str]]) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for start, end in product(codes, codes):
        for code in codes[start]:
            targets = translation.between(code, start, end)
            relation = translation.relation(code, start, end)
            shared = {"from_edition": start, "to_edition": end, "old_code": code, "relation": relation, "targets": len(targets)}
            rows += [{**shared, "new_code": target} for target in targets or (None,)]
    return _as_table(CROSSWALK, rows)


def _as_table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist([dict(row) for row in rows], schema=BY_NAME[name].arrow)
