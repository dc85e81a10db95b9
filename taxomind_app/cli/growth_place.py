"""Growth of one taxonomy, as the commands of the command line see it."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taxomind_app.cli.session import Session
    from taxomind_assets.growth.proposals import Outcome
    from taxomind_assets.growth.review import Review
    from taxomind_assets.growth.trial import Trial
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

GROWTH: Final = ("growth_observations", "growth_candidates")


@dataclass(frozen=True)
class GrowthPlace:
    """One taxonomy, where it is kept, and the settings."""

    key: str
    settings: Settings
    inbox: Inbox
    outputs: Outputs
    indexes: IndexStore

    @classmethod
    def open(cls, session: Session, taxonomy: str | None) -> GrowthPlace:
        """The taxonomy that is named, or the only one.

        Raises:
            Fault: as `chosen_key`; `index_missing`.
        """
        from taxomind_app.cli.keys import chosen_key
        from taxomind_resources.inbox import Inbox
        from taxomind_resources.index_store import IndexStore
        from taxomind_resources.outputs import Outputs

        settings = session.settings
        key = chosen_key(settings, taxonomy)
        indexes = IndexStore(settings.data)
        indexes.folder(key)
        return cls(key, settings, Inbox(settings.data, settings.limits.settle_s), Outputs(settings.data), indexes)

    def review(self, by: str | None) -> Review:
        """Decisions of a person; None = the user of this process."""
        from taxomind_assets.growth.review import Review

        name = " ".join(by.split()) if by is not None else _user()
        return Review(self.key, self.settings, self.inbox, self.outputs, by=name)

    def refresh(self, session: Session) -> None:
        """Look for candidates anew when something has come."""
        from taxomind_app.cli.graph import run_assets
        from taxomind_assets.growth.decisions import read_decisions
        from taxomind_assets.pending import pending_growth

        read_decisions(self.inbox, self.key)  # one that cannot be read must stop a review, whatever the outputs hold
        today = datetime.now(UTC).date().isoformat()
        if pending_growth(self.key, self.settings, self.inbox, self.outputs, self.indexes, today=today):
            run_assets(session, self.key, GROWTH)

    def follow(self, session: Session, outcomes: Sequence[Outcome]) -> None:
        """Build what decisions changed; the next answer can name a node that was added."""
        from taxomind_app.cli.graph import BUILD, LEARN, run_assets

        if any(own.is_revised for own in outcomes):
            learn = LEARN if self.inbox.files(self.key, "corrections") else ()
            run_assets(session, self.key, [*BUILD, *learn, *GROWTH])
        elif outcomes:
            run_assets(session, self.key, GROWTH)

    def candidates(self, *, include_skipped: bool = False) -> list[dict[str, Any]]:
        """Rows of `growth.candidates`."""
        rows = self.outputs.read("growth.candidates", self.key).to_pylist()
        return [row for row in rows if include_skipped or row["status"] == "pending"]

    def candidate(self, key: str, label: str) -> dict[str, Any]:
        """The candidate with this key.

        Raises:
            Fault: `invalid_input`, naming those that there are.
        """
        rows = self.candidates(include_skipped=True)
        found = next((row for row in rows if row["key"] == key), None)
        if found is None:
            allowed = ", ".join(row["label"] for row in rows[:20]) or "there are no candidates"
            raise Fault("invalid_input", f"There is no candidate {label!r}.", value=label, allowed=allowed)
        return found

    def history(self) -> list[dict[str, Any]]:
        """All decisions, the latest first, as they stand now."""
        from taxomind_assets.growth.decisions import decisions_table, read_decisions
        from taxomind_assets.growth.review import versions_in_force

        tree = self.review(None).tree()
        versions = versions_in_force(self.inbox, self.outputs, self.key, tree.version)
        rows: list[dict[str, Any]] = decisions_table(read_decisions(self.inbox, self.key), tree.position, versions).to_pylist()
        return rows[::-1]

    def figures(self) -> dict[str, Any]:
        """How growth has gone so far."""
        from taxomind_assets.growth.figures import growth_figures

        return growth_figures(self.key, self.settings, self.inbox, self.outputs)

    def trial(self, row: dict[str, Any]) -> Trial:
        """What would change if a candidate were added."""
        from taxomind_assets.classification.classifier import Classifier
        from taxomind_assets.growth.file_edits import NewNode
        from taxomind_assets.growth.trial import try_node
        from taxomind_assets.growth.usage import probe_of

        classifier = Classifier.load(self.key, self.settings)
        tree, parent = classifier.tree, row["parent_code"]
        level = 1 if parent is None else tree.nodes[tree.position[parent]].level + 1
        node = NewNode(row["code"], parent, row["label"], level, language=tree.languages[0])
        return try_node(classifier, node, row["texts"], probe_of(self.outputs, self.key))

    def answer_to(self, text: str) -> tuple[str | None, str]:
        """(code, label) that a text gets now; (None, '') when it gets none."""
        from taxomind_assets.classification.classifier import Classifier

        row = Classifier.load(self.key, self.settings).classify(text).to_pylist()[0]
        return row["code"], row["label"] or ""

    def unused(self, since: datetime | None) -> tuple[list[dict[str, Any]], int]:
        """(nodes that no stored answer uses, answers that were counted)."""
        from taxomind_assets.growth.usage import used_nodes
        from taxomind_assets.taxonomy.stored import stored_taxonomy

        tree = stored_taxonomy(self.outputs, self.key)
        used, answers = used_nodes(self.outputs, self.key, tree, since)
        nodes = [node for node, is_used in zip(tree.nodes, used.tolist(), strict=True) if answers and not is_used]
        return [{"code": node.code, "label": node.label} for node in sorted(nodes, key=lambda node: node.code)], answers

    def thresholds(self) -> str:
        """What a candidate needs, in a sentence."""
        own = self.settings.for_taxonomy(self.key).growth
        long = f", or over {own.long_min_days} days within {own.long_window_days}" if own.long_window_days else ""
        return (
            f"A candidate needs {own.min_count} texts over {own.min_days} days within {own.window_days}{long} "
            "(settings growth.*)."
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may run as a number without a name
        return "unknown"
