"""The corrections of one taxonomy, as `taxomind learn` reads, adds to and takes from them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from taxomind_app.cli.session import Session
    from taxomind_assets.learning.corrections import CorrectionRow, Settled, Translate
    from taxomind_assets.learning.reading import ReadFile
    from taxomind_assets.taxonomy.tree import Taxonomy as Tree
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

_FIRST_REFUSED: Final = 5


class Place:
    """The corrections of one taxonomy, as they stand in the inbox.

    Args:
        session: the call.
        taxonomy: its key; None = the only one.

    Raises:
        Fault: `index_missing`, and as `chosen_key`.
    """

    def __init__(self, session: Session, taxonomy: str | None) -> None:
        from taxomind_app.cli.keys import chosen_key
        from taxomind_resources.inbox import Inbox
        from taxomind_resources.index_store import IndexStore
        from taxomind_resources.outputs import Outputs

        self.settings: Settings = session.settings
        self.key = chosen_key(self.settings, taxonomy)
        # Without an index there is nothing to learn for; this says so.
        IndexStore(self.settings.data).folder(self.key)
        self.inbox: Inbox = Inbox(self.settings.data, self.settings.limits.settle_s)
        self.outputs: Outputs = Outputs(self.settings.data)
        self.version = self._version()
        self._read: list[ReadFile] | None = None

    @property
    def rows(self) -> list[CorrectionRow]:
        """All rows of all files."""
        if self._read is None:
            from taxomind_assets.learning.gathering import learning_lock
            from taxomind_assets.learning.reading import read_corrections

            with learning_lock(self.outputs, self.key):
                files = self.inbox.files(self.key, "corrections")
                self._read = read_corrections(self.key, files, self.settings.for_taxonomy(self.key), self.outputs)
        return [row for file in self._read for row in file.rows]

    def tree(self) -> Tree:
        """The current taxonomy."""
        from taxomind_assets.taxonomy.stored import stored_taxonomy

        return stored_taxonomy(self.outputs, self.key)

    def translate(self) -> Translate:
        """What became of codes of earlier editions."""
        from taxomind_assets.learning.gathering import translation_of

        return translation_of(self.key, self.inbox, self.outputs, self.tree())

    def settled(self) -> Settled:
        """What the rows come to."""
        from taxomind_assets.learning.corrections import settle

        return settle(self.rows, self.tree(), self.translate())

    def decided(self, text: str, code: str, annotator: str, *, confirm: bool) -> CorrectionRow:
        """One correction from the command line."""
        from taxomind_assets.learning.decisions import now_moment, taught
        from taxomind_assets.views.texts import clean

        tree, cleaned = self.tree(), clean(text)
        if not cleaned:
            raise Fault("invalid_input", "There is no text to learn.", value=text, allowed="a text and its code")
        if code not in tree.position:
            import difflib

            near = difflib.get_close_matches(code, tree.codes, 3)
            labels = ", ".join(f"{found} ({tree.nodes[tree.position[found]].label})" for found in near)
            next_step = f"Did you mean {labels}?" if near else f"`taxomind taxonomy show {self.key}` lists the codes."
            raise Fault("invalid_input", f"The taxonomy {self.key!r} has no such code.", value=code, next_step=next_step)
        return taught(self.rows, cleaned, code, annotator, confirm=confirm, now=now_moment())

    def decided_restore(self, version: str, annotator: str) -> list[CorrectionRow]:
        """What leads back to an evidence version."""
        from taxomind_assets.learning.decisions import gone_back, now_moment
        from taxomind_assets.learning.versions import held_by

        log = sorted(self.outputs.read("learning.evidence_versions", self.key).to_pylist(), key=lambda row: int(row["number"]))
        held = held_by(log, version)
        return gone_back(self.rows, self.tree(), held, annotator, translate=self.translate(), now=now_moment())

    def put_rows(self, name: str, rows: Sequence[CorrectionRow]) -> str:
        """Decisions as a file of the inbox; '' when there is nothing to write."""
        from datetime import UTC, datetime

        from taxomind_assets.learning.decisions import as_lines

        if not rows:
            return ""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        return self.inbox.put(self.key, "corrections", as_lines(rows), f"{name}-{stamp}.jsonl").name

    def put_file(self, session: Session, path: Path) -> str:
        """A file of corrections; one without a usable row is refused as a whole."""
        from taxomind_assets.classification.text_readers import read_items
        from taxomind_assets.inputs import RejectedRow
        from taxomind_assets.learning.rows import CorrectionRows

        settings = self.settings.for_taxonomy(self.key)
        accepted, refused = 0, []
        for item in read_items(path, CorrectionRows(path.name, settings), settings.limits):
            if isinstance(item, RejectedRow):
                refused.append(item)
            else:
                accepted += 1
        if not accepted:
            details = [{"what": f"line {row.line}: {row.reason}", "lines": [row.line]} for row in refused[:_FIRST_REFUSED]]
            raise Fault("bad_row", f"{path.name} has no row to learn from.", value=str(path), details=details)
        if refused:
            session.note(
                f"Warning: {len(refused):,} of {accepted + len(refused):,} rows were refused, see learning.rejected_rows"
            )
            for row in refused[:_FIRST_REFUSED]:
                session.note(f"  line {row.line}: {row.reason} [{row.reason_code}]")
        return self.inbox.put(self.key, "corrections", path).name

    def _version(self) -> str:
        log = self.outputs.read("learning.evidence_versions", self.key, columns=["number", "evidence_version"]).to_pylist()
        return max(log, key=lambda row: int(row["number"]))["evidence_version"] if log else ""

    def outcome(self, file: str) -> dict[str, Any]:
        """What became of the corrections, as the tables hold it now."""
        statuses = Counter(self.outputs.read("learning.corrections", self.key, columns=["status"])["status"].to_pylist())
        log = self.outputs.read("learning.evidence_versions", self.key).to_pylist()
        last = max(log, key=lambda row: int(row["number"]), default=None)
        is_new = last is not None and last["parent_version"] == self.version and (last["added"] or last["removed"])
        added, removed = (last["added"], last["removed"]) if last and is_new else ([], [])
        kinds = Counter(self.outputs.read("learning.reviews", self.key, columns=["kind"])["kind"].to_pylist())
        return {
            "taxonomy": self.key,
            "file": file,
            "learned": [dict(item) for item in added],
            "taken_back": [dict(item) for item in removed],
            "nodes_touched": sorted({item["code"] for item in [*added, *removed]}),
            "evidence_version": last["evidence_version"] if last else "",
            "corrections": dict(sorted(statuses.items())),
            "contradictions": kinds["contradiction"],
            "outliers": kinds["outlier"],
        }
