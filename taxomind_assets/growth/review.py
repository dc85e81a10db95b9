"""Carrying out what a person decided: a line in the log, evidence, and a revision of the taxonomy, in this order.

The taxonomy file is replaced last, by one rename; until then a new node is nowhere, its evidence waits for a code that does not
exist, and the log shows a decision that was not carried out. So a process may end at any point, and deciding again is safe.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.growth.decisions import WRITING, Decision, Standing, new_id, read_decisions, write_decisions
from taxomind_assets.growth.detector import Rules
from taxomind_assets.growth.file_edits import Edited, NewNode, with_alias, with_node, without_alias, without_node
from taxomind_assets.growth.known_forms import KnownForms
from taxomind_assets.growth.normalise import comparison_key
from taxomind_assets.growth.placing import proposed_code
from taxomind_assets.growth.proposals import KEPT_TEXTS, Outcome, Proposal
from taxomind_assets.inputs import has_unstorable
from taxomind_assets.learning.corrections import CorrectionRow
from taxomind_assets.learning.decisions import as_lines, now_moment
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_assets.taxonomy.revision_log import Author, carry_out, plan_revision, plan_undo
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_assets.taxonomy.versions import HISTORY, read_log
from taxomind_resources.faults import Fault
from taxomind_resources.files import folder_name, locked

if TYPE_CHECKING:
    from taxomind_assets.growth.decisions import Action
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

__all__ = ["LONGEST_LABEL", "SOURCE", "Outcome", "Proposal", "Review", "versions_in_force"]

LONGEST_LABEL: Final = 200
#: Source of the evidence that a new node begins with.
SOURCE: Final = "growth"
_EXAMPLES: Final = 7


class Review:
    """The decisions of one person about one taxonomy. Every method writes, and only what it says.

    Args:
        key: taxonomy key.
        settings: the shared settings.
        inbox: where the taxonomy file and the log are.
        outputs: knows former versions and codes.
        by: who decides.
        clock: the time, for tests.
    """

    def __init__(
        self,
        key: str,
        settings: Settings,
        inbox: Inbox,
        outputs: Outputs,
        *,
        by: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.key = key
        self._settings = settings.for_taxonomy(key)
        self._inbox = inbox
        self._outputs = outputs
        self._by = by
        self._clock = clock
        self._words = Rules.of(self._settings.growth).words

    def tree(self) -> Taxonomy:
        """The taxonomy as its file has it now.

        Raises:
            Fault: `unknown_taxonomy`, or as `read_taxonomy`.
        """
        return read_taxonomy(self._file(), self.key, self._settings.limits).taxonomy

    def key_of(self, label: str) -> str:
        """The comparison key of a label."""
        return comparison_key(label, "", self._words)

    def standing(self) -> Standing:
        """What stands of all decisions.

        Raises:
            Fault: `unreadable_file`.
        """
        versions = versions_in_force(self._inbox, self._outputs, self.key, self.tree().version)
        return Standing.of(read_decisions(self._inbox, self.key), versions)

    def code_for(self, proposal: Proposal, parent_code: str | None, tree: Taxonomy | None = None) -> str:
        """A code for the node of a proposal under a parent."""
        return proposed_code(self.key_of(proposal.label), parent_code, tree or self.tree(), self._used_codes())

    def add(
        self,
        proposal: Proposal,
        *,
        parent_code: str | None,
        code: str | None = None,
        evidence: bool = True,
        seen_version: str | None = None,
    ) -> Outcome:
        """Add the node. A label that the parent has a child for already changes nothing, and is logged.

        Args:
            proposal: the candidate.
            parent_code: its parent, None = at the top.
            code: its code; None = the next one that was never used.
            evidence: its texts become evidence of the node.
            seen_version: taxonomy version that the person saw.

        Raises:
            Fault: `revision_conflict` when the taxonomy has moved on, `invalid_input` for a label, parent or code that cannot
                be, and as `plan_revision`.
        """
        return self._add(proposal, "add", parent_code=parent_code, code=code, evidence=evidence, seen_version=seen_version)

    def name(self, proposal: Proposal, preferred: str, *, parent_code: str | None, evidence: bool = True) -> Outcome:
        """Give the candidate another name.

        The name of an existing node makes the original an alias of that node. The candidate's own key makes a plain addition
        with the new spelling. Any other name adds a node and rejects the original.

        Raises:
            Fault: `invalid_input` when the name is none, too long, or was rejected; and as `add`.
        """
        wanted = self.checked_label(preferred)
        key, tree = self.key_of(wanted), self.tree()
        if key in self.standing().rejected:
            raise Fault(
                "invalid_input", f"{wanted!r} was rejected.", value=wanted, next_step="Give another name, or unreject it."
            )
        place = KnownForms.of(tree, self._words).names.get(key)
        if place is not None:
            return self.alias(proposal, tree.codes[place])
        renamed = replace(proposal, label=wanted, key=key, code=None)
        if key == proposal.key:
            return self._add(renamed, "add", parent_code=parent_code, code=None, evidence=evidence)
        return self._add(renamed, "name_as_different", parent_code=parent_code, code=None, evidence=evidence, original=proposal)

    def alias(self, proposal: Proposal, code: str) -> Outcome:
        """Make the candidate's label an alias of an existing node.

        Raises:
            Fault: `invalid_input` when there is no such node; and as `plan_revision`.
        """
        with self._locked():
            tree = self.tree()
            if code not in tree.position:
                raise Fault("invalid_input", f"There is no node {code!r}.", value=code, allowed=f"a code of {self.key}")
            decision = self._decision("alias", proposal, tree, code=code, alias=proposal.label)
            return self._revise(decision, with_alias(self._file(), tree, code, proposal.label), f"an alias of {code}")

    def reject(self, proposal: Proposal, *, reason: str = "", unattended: bool = False) -> Outcome:
        """Never propose this label again, nor a group of texts like this one.

        Raises:
            Fault: `invalid_input` when nothing is left of the label.
        """
        with self._locked():
            if not proposal.key:
                raise Fault("invalid_input", "Nothing of the label is left to compare.", value=proposal.label, allowed="a word")
            action: Action = "reject_unattended" if unattended else "reject"
            is_new = proposal.key not in self.standing().rejected
            decision = self._decision(action, proposal, self.tree(), reason=reason, unchanged=not is_new)
            write_decisions(self._inbox, self.key, [decision])
            done = "is rejected" if is_new else "was rejected already"
            return Outcome(decision, f"{proposal.label} {done}")

    def skip(self, proposal: Proposal) -> Outcome:
        """Hide the candidate until its cool-down is over or it has grown by half."""
        with self._locked():
            decision = self._decision("skip", proposal, self.tree())
            write_decisions(self._inbox, self.key, [decision])
            return Outcome(decision, f"{proposal.label} is skipped for {self._settings.growth.skip_cooldown_days} days")

    def unreject(self, label: str) -> Outcome:
        """Let a rejected label be proposed again.

        Raises:
            Fault: `invalid_input` when it was not rejected.
        """
        with self._locked():
            key = self.key_of(label)
            if key not in self.standing().rejected:
                raise Fault("invalid_input", f"{label!r} is not rejected.", value=label, next_step="taxomind growth history")
            decision = self._decision("unreject", Proposal(label, key), self.tree())
            write_decisions(self._inbox, self.key, [decision])
            return Outcome(decision, f"{label} may be proposed again")

    def undo(self, decision_id: str) -> Outcome:
        """Take a decision back.

        A node that was added goes again, with the evidence it began with: byte for byte when the taxonomy was not changed
        since, else its rows alone are taken out. Stored answers keep it, in the version they were made with.

        Raises:
            Fault: `invalid_input` when there is no such decision or it was taken back, `revision_conflict` when nodes were
                added below the node.
        """
        with self._locked():
            undone = self._chosen(decision_id)
            tree = self.tree()
            about = Proposal(undone.label, undone.key)
            decision = replace(
                self._decision("undo", about, tree, of=undone.action), undoes=undone.decision_id, code=undone.code
            )
            if undone.action not in WRITING or undone.code not in tree.position or undone.details.get("unchanged"):
                write_decisions(self._inbox, self.key, [decision])
                return Outcome(decision, f"{undone.action} of {undone.label} is taken back")
            return self._take_back(undone, decision, tree)

    def checked_label(self, label: str) -> str:
        """A label without needless spaces.

        Raises:
            Fault: `invalid_input`.
        """
        wanted = " ".join(label.split())
        if not self.key_of(wanted) or len(wanted) > LONGEST_LABEL or has_unstorable(wanted) or not wanted.isprintable():
            allowed = f"1 to {LONGEST_LABEL} characters with at least one word, no control characters"
            raise Fault("invalid_input", "This is no label.", value=label, allowed=allowed)
        return wanted

    def _add(
        self,
        proposal: Proposal,
        action: Action,
        *,
        parent_code: str | None,
        code: str | None,
        evidence: bool,
        seen_version: str | None = None,
        original: Proposal | None = None,
    ) -> Outcome:
        label = self.checked_label(proposal.label)
        with self._locked():
            tree = self.tree()
            if seen_version is not None and seen_version != tree.version:
                raise Fault("revision_conflict", f"{self.key!r} has moved on.", value=seen_version, allowed=tree.version)
            if parent_code is not None and parent_code not in tree.position:
                raise Fault(
                    "invalid_input", f"There is no node {parent_code!r}.", value=parent_code, allowed=f"a code of {self.key}"
                )
            shown = original or proposal
            there = self._child_named(tree, parent_code, proposal.key)
            if there is not None:
                decision = self._decision(action, shown, tree, code=there, unchanged=True)
                write_decisions(self._inbox, self.key, [decision])
                return Outcome(decision, f"{label} was there already: {there}")
            own_code = self._checked_code(code or self.code_for(proposal, parent_code, tree), tree)
            parent = ROOT if parent_code is None else tree.position[parent_code]
            node = NewNode(
                code=own_code,
                parent_code=parent_code,
                label=label,
                level=1 if parent == ROOT else tree.nodes[parent].level + 1,
                examples=tuple(text[:LONGEST_LABEL] for text in proposal.texts[:_EXAMPLES]),
                language=proposal.language or tree.languages[0],
            )
            decision = self._decision(action, shown, tree, code=own_code, parent_code=parent_code, added_label=label)
            taught = proposal.texts[:KEPT_TEXTS] if evidence else ()
            # Ids of their own: evidence that was withdrawn by an undo must not stand in the way of the next decision.
            ids = [f"growth-{decision.decision_id}-{number}" for number in range(len(taught))]
            decision = replace(decision, details={**decision.details, "evidence": ids})
            return self._revise(decision, with_node(self._file(), tree, node), f"{own_code} {label}", taught)

    def _revise(self, decision: Decision, edited: Edited, what: str, texts: Sequence[str] = ()) -> Outcome:
        """Log, evidence, revision; the plan is made first, so that what cannot be is refused before anything is written."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / f"taxonomy{edited.suffix}"
            source.write_bytes(edited.content)
            author = Author(self._by, f"growth: {decision.action} {decision.label}")
            plan = plan_revision(
                self._inbox, self._outputs, self.key, self._settings.limits, author, source=source, crosswalk=None
            )
            done = replace(decision, after_version=plan.after.version)
            write_decisions(self._inbox, self.key, [done])
            self._teach(done, texts)
            carry_out(self._inbox, plan)
        return Outcome(done, what, is_revised=True)

    def _teach(self, decision: Decision, texts: Sequence[str]) -> None:
        ids = decision.details.get("evidence", ())
        now = now_moment()
        rows = [
            CorrectionRow(own_id, "correct", text, (decision.code or "",), self._by, now, "", "", SOURCE, "")
            for own_id, text in zip(ids, texts, strict=False)
        ]
        if rows:
            self._inbox.put(self.key, "corrections", as_lines(rows), f"growth-{decision.decision_id}.jsonl")

    def _take_back(self, undone: Decision, decision: Decision, tree: Taxonomy) -> Outcome:
        code = undone.code or ""
        author = Author(self._by, f"growth: undo {undone.action} {undone.label}")
        limits = self._settings.limits
        with tempfile.TemporaryDirectory() as folder:
            if tree.version == undone.after_version:
                plan = plan_undo(self._inbox, self._outputs, self.key, limits, author)
            else:
                if undone.action == "alias":
                    edited = without_alias(self._file(), tree, code, str(undone.details.get("alias", undone.label)))
                else:
                    _check_childless(tree, code)
                    edited = without_node(self._file(), tree, code)
                source = Path(folder) / f"taxonomy{edited.suffix}"
                source.write_bytes(edited.content)
                plan = plan_revision(self._inbox, self._outputs, self.key, limits, author, source=source, crosswalk=None)
            done = replace(decision, after_version=plan.after.version)
            write_decisions(self._inbox, self.key, [done])
            self._unteach(undone)
            carry_out(self._inbox, plan)
        return Outcome(done, f"{undone.action} of {undone.label} is taken back", is_revised=True)

    def _unteach(self, undone: Decision) -> None:
        now = now_moment()
        ids = undone.details.get("evidence", ())
        rows = [CorrectionRow(own_id, "withdraw", "", (), self._by, now, "", "", SOURCE, "") for own_id in ids]
        if rows:
            self._inbox.put(self.key, "corrections", as_lines(rows), f"growth-undo-{undone.decision_id}.jsonl")

    def _chosen(self, decision_id: str) -> Decision:
        decisions = read_decisions(self._inbox, self.key)
        found = [own for own in decisions if own.decision_id == decision_id and own.action != "undo"]
        if not found:
            allowed = ", ".join(own.decision_id for own in decisions[-10:] if own.action != "undo") or "there is none"
            raise Fault("invalid_input", f"There is no decision {decision_id!r}.", value=decision_id, allowed=allowed)
        if decision_id in Standing.of(decisions).undone:
            raise Fault("invalid_input", f"The decision {decision_id!r} was taken back already.", value=decision_id)
        return found[0]

    def _decision(self, action: Action, proposal: Proposal, tree: Taxonomy, code: str | None = None, **more: Any) -> Decision:
        at = self._clock()
        return Decision(
            decision_id=new_id(self.key, action, proposal.label, at, self._by),
            at=at,
            by=self._by,
            action=action,
            label=proposal.label,
            key=proposal.key,
            code=code,
            before_version=tree.version,
            after_version=tree.version,
            details={**proposal.details(), **more},
        )

    def _child_named(self, tree: Taxonomy, parent_code: str | None, key: str) -> str | None:
        parent = ROOT if parent_code is None else tree.position[parent_code]
        for child in tree.children_of(parent).tolist():
            names = (name for text in tree.nodes[child].texts for name in (text.label, *text.aliases))
            if any(self.key_of(name) == key for name in names):
                return str(tree.codes[child])
        return None

    def _checked_code(self, code: str, tree: Taxonomy) -> str:
        wanted = code.strip()
        if not wanted or wanted in tree.position or wanted in self._used_codes() or not wanted.isprintable():
            what = f"The code {code!r} cannot be given: it was used before." if wanted else "A node needs a code."
            raise Fault("invalid_input", what, value=code, allowed="a code that the taxonomy never had")
        return wanted

    def _used_codes(self) -> frozenset[str]:
        return frozenset(self._outputs.read(HISTORY, self.key, columns=["code"])["code"].to_pylist())

    def _file(self) -> Path:
        file = self._inbox.taxonomy_file(self.key)
        if file is None:
            raise Fault("unknown_taxonomy", f"The inbox folder of {self.key!r} holds no taxonomy file.", value=self.key)
        return file.path

    def _locked(self) -> Any:
        return locked(self._inbox.root / f".growth-{folder_name(self.key)}.lock")


def versions_in_force(inbox: Inbox, outputs: Outputs, key: str, current: str) -> frozenset[str]:
    """Versions that a taxonomy ever had: the current one, those that were built, and those that a revision followed.

    Raises:
        Fault: `unreadable_file` when a record of a revision is damaged.
    """
    followed = (record.before.version for record in read_log(inbox, key))
    return frozenset({current, *outputs.parts(HISTORY, key), *followed})


def _check_childless(tree: Taxonomy, code: str) -> None:
    if not tree.is_leaf[tree.position[code]]:
        next_step = "Take the additions below it back first."
        raise Fault("revision_conflict", f"There are nodes below {code!r}.", value=code, next_step=next_step)
