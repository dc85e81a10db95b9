"""Observations: what each answer, correction and remark says about the fit of the taxonomy.

An observation holds the node that a text was given and, where one is known, the label it should have had. Such a label is
proposed by a person, a language model or a model with more labels. Where nobody does, a text may still not fit: no answer, an
improbable one, one above the leaves, or one at a node that takes whatever is left.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from taxomind_assets.growth.normalise import comparison_key, is_generic

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_assets.taxonomy.tree import Taxonomy

Source = Literal["llm", "user", "model", "cluster", ""]
#: Sources that a line of an input file may name.
SOURCES: Final = ("llm", "user", "model")
Misfit = Literal["abstained", "low_confidence", "above_leaves", "catch_all", "outlier", ""]
MISFITS: Final[tuple[Misfit, ...]] = get_args(Misfit)
TITLE_CHARACTERS: Final = 120
#: Raised when an observation is made of an answer in another way.
OBSERVATIONS_VERSION: Final = "2"
#: Ends of a path that are not above a leaf because the text said too little.
_AT_THE_END: Final = ("leaf_node_reached", "forced_to_leaf", "exact_evidence", "max_depth_reached")
_LONGEST_LABEL: Final = 200
#: Other names of the parts of a line.
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "observed_at": ("observed_at", "ts", "time"),
    "proposed_label": ("proposed_label", "proposedLabel", "proposed_x_ideal"),
    "primary_code": ("primary_code", "primary_x", "code"),
}


@dataclass(frozen=True, slots=True)
class Observation:
    """A row of `growth.observations`; see there."""

    text_id: str
    title: str = ""
    text: str = ""
    primary_code: str | None = None
    primary_label: str = ""
    proposed_label: str = ""
    source: str = ""
    misfit: str = ""
    observed_at: datetime | None = None
    confidence: float | None = None
    language: str = ""
    taxonomy_version: str = ""
    rerun: bool = False

    @property
    def is_divergent(self) -> bool:
        """Whether another label than that of the node is proposed, letter by letter."""
        wanted = self.proposed_label.strip()
        return bool(wanted) and wanted != self.primary_label


def text_identity(text: str) -> str:
    """16 hex digits of a text, whatever its case and spaces: NFKC, case-folded, single spaces; never empty."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def title_of(text: str) -> str:
    """The first line that is not empty, at most 120 characters."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:TITLE_CHARACTERS]


def observations_of_results(results: pa.Table, low_confidence: float, *, store_titles: bool, rerun: bool = False) -> pa.Table:
    """One observation for each stored answer; texts that could not be classified are left out.

    Args:
        results: rows of `classification.results`.
        low_confidence: probability under which an answer does not fit.
        store_titles: keep titles and texts.
        rerun: the answers are those of a retag run.

    Returns:
        Rows of `growth.observations`.
    """
    kept = [row for row in results.select(_RESULT_COLUMNS).to_pylist() if row["error_code"] is None]
    return observations_table(_of_result(row, low_confidence, store_titles, rerun) for row in kept)


_RESULT_COLUMNS: Final = [
    *("row", "text_id", "text", "language", "code", "label", "confidence", "stop_reason", "leaf_confidence", "error_code"),
    *("taxonomy_version", "classified_at"),
]


def _of_result(row: Mapping[str, Any], low_confidence: float, store_titles: bool, rerun: bool) -> Observation:
    misfit = misfit_of(row, low_confidence)
    label = row["label"] or ""
    # A row number is no id: it means another text in another file.
    given = row["text_id"] if row["text_id"] != str(row["row"]) else ""
    return Observation(
        text_id=given or text_identity(row["text"]),
        title=title_of(row["text"]) if store_titles else "",
        text=row["text"] if store_titles else "",
        primary_code=row["code"],
        primary_label=label,
        proposed_label="" if misfit else label,
        misfit=misfit,
        observed_at=row["classified_at"],
        confidence=row["confidence"],
        language=row["language"],
        taxonomy_version=row["taxonomy_version"],
        rerun=rerun,
    )


def misfit_of(row: Mapping[str, Any], low_confidence: float) -> Misfit:
    """Why an answer (a row of `classification.results`) does not fit its text; '' when it does."""
    if row["code"] is None:
        return "abstained"
    if is_catch_all(row["label"] or ""):
        return "catch_all"
    if row["confidence"] < low_confidence:
        return "low_confidence"
    if row["stop_reason"] not in _AT_THE_END and row["leaf_confidence"] < low_confidence:
        return "above_leaves"
    return ""


@lru_cache(maxsize=65_536)
def is_catch_all(label: str) -> bool:
    """Whether a node of this label takes what belongs nowhere else (Misc, Other, General ...)."""
    segments = comparison_key(label).split("/")
    return is_generic("/".join(segments)) or (len(segments) > 1 and segments[0] in {"misc", "miscellaneou", "miscellaneous"})


def observations_of_corrections(
    corrections: pa.Table, tree: Taxonomy, *, store_titles: bool, outliers: Collection[str] = ()
) -> pa.Table:
    """What the corrections say.

    One that counts speaks for its node, or for the label that it proposes beside it; one whose code nobody knows asks for a
    label. A person who stops at a node above the leaves, or at a catch-all, finds no better one: that text does not
    fit. Nor does one that lies far from all else at its node. Evidence that growth itself has written is left out.

    Args:
        corrections: rows of `learning.corrections`.
        tree: the taxonomy in force.
        store_titles: keep titles and texts.
        outliers: ids of corrections that are nearer to the evidence of another node than to that of their own.
    """
    rows = [row for row in corrections.to_pylist() if row["source"] != "growth"]
    telling = [row for row in rows if row["status"] in {"applied", "unknown_code"}]
    found = [_of_correction(row, tree, store_titles, row["correction_id"] in outliers) for row in telling]
    return observations_table(observation for observation in found if observation is not None)


def _of_correction(row: Mapping[str, Any], tree: Taxonomy, store_titles: bool, is_outlier: bool) -> Observation | None:
    shared: dict[str, Any] = {
        "text_id": row["text_id"] or text_identity(row["text"]),
        "title": title_of(row["text"]) if store_titles else "",
        "observed_at": row["corrected_at"],
        "language": row["language"],
        "source": "user",
    }
    text = row["text"] if store_titles else ""
    if row["status"] == "unknown_code":
        # What a revision has split or removed is no wish for a new label.
        wish = row["proposed_label"]
        if not wish and not row["reason"].startswith("a revision") and any(sign.isalpha() for sign in row["given_codes"][-1]):
            wish = row["given_codes"][-1]
        return Observation(**shared, text=text, proposed_label=wish) if wish else None
    place = tree.position.get(row["code"])
    if place is None:
        return None
    label = tree.nodes[place].label
    misfit: Misfit = "outlier" if is_outlier else "" if tree.is_leaf[place] else "above_leaves"
    misfit = "catch_all" if is_catch_all(label) else misfit
    given = {"primary_code": row["code"], "primary_label": label, "taxonomy_version": tree.version}
    return Observation(**shared, **given, text=text, proposed_label=row["proposed_label"] or label, misfit=misfit)


@dataclass
class ReadLines:
    """Lines of files of observations. `skipped`: lines that are no observation, `untimed`: rows without a time."""

    rows: list[Observation] = field(default_factory=list)
    skipped: int = 0
    untimed: int = 0


def read_lines(lines: Iterable[str], into: ReadLines | None = None, *, store_titles: bool = True) -> ReadLines:
    """Observations as JSON lines: `ts`, `text_id`, `title`, `text`, `primary_code`, `primary_label`, `proposed_label`, ...

    Blank lines are passed over. A line that is no JSON object, has a time that cannot be read, or names neither an id nor a
    text nor a title is skipped and counted. A line without a time counts, and adds nothing to the span.
    """
    found = into or ReadLines()
    for line in lines:
        if not line.strip():
            continue
        observation = _of_line(line, store_titles)
        if observation is None:
            found.skipped += 1
            continue
        found.untimed += observation.observed_at is None
        found.rows.append(observation)
    return found


def _of_line(line: str, store_titles: bool) -> Observation | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    moment = _given(value, "observed_at")
    time = _moment(moment) if moment not in (None, "") else None
    text, title = _string(value.get("text")), _string(value.get("title"))
    text_id = _string(value.get("text_id")) or (text_identity(text or title) if text or title else "")
    label = " ".join(_string(_given(value, "proposed_label")).split())
    if (time is None and moment not in (None, "")) or not text_id or len(label) > _LONGEST_LABEL:
        return None
    source = _string(value.get("source")) or "user"
    confidence = value.get("confidence")
    primary = _string(value.get("primary_label")) or _string(_given(value, "primary_code"))
    return Observation(
        text_id=text_id,
        title=(title or title_of(text))[:TITLE_CHARACTERS] if store_titles else "",
        text=text if store_titles else "",
        primary_code=_string(_given(value, "primary_code")) or None,
        primary_label=primary,
        proposed_label=label or primary,
        source=source if source in SOURCES else "user",
        observed_at=time,
        confidence=float(confidence) if isinstance(confidence, int | float) and not isinstance(confidence, bool) else None,
        language=_string(value.get("language")),
        taxonomy_version=_string(value.get("taxonomy_version")),
        rerun=value.get("rerun") is True,
    )


def _given(value: Mapping[str, Any], part: str) -> Any:
    return next((value[name] for name in _NAMES[part] if value.get(name) is not None), None)


def _string(value: object) -> str:
    """A value as text without halves of character pairs; '' for what is no text or number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).encode("utf-8", "replace").decode("utf-8").strip()


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def proposal_line(text: str, label: str, *, text_id: str, primary_code: str | None, primary_label: str, source: str) -> str:
    """A proposal of a person or a program as a line for the inbox, stamped with the time (UTC, whole seconds)."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    value = {
        "ts": now,
        "text_id": text_id or text_identity(text),
        "title": title_of(text),
        "text": text,
        "primary_code": primary_code,
        "primary_label": primary_label,
        "proposed_label": label,
        "source": source,
    }
    return json.dumps(value, ensure_ascii=False) + "\n"


def observations_table(observations: Iterable[Observation]) -> pa.Table:
    """Observations with the schema of `growth.observations`."""
    import pyarrow as pa

    from taxomind_resources.tables import BY_NAME

    rows = list(observations)
    schema = BY_NAME["growth.observations"].arrow
    return pa.table(
        [pa.array([getattr(row, name) for row in rows], schema.field(name).type) for name in schema.names], schema=schema
    )


def observations_from(table: pa.Table) -> Iterator[Observation]:
    """The inverse of `observations_table`."""
    names = [part.name for part in fields(Observation)]
    columns = [table[name].to_pylist() for name in names]
    for values in zip(*columns, strict=True):
        yield Observation(*values)
