"""What the outputs hold of models: labelled texts, versions, figures and answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from taxomind_assets.models.comparison import Verdict, compare_answers, gate
from taxomind_assets.models.evaluation import Evaluation, data_digest
from taxomind_assets.models.exports.report import export_rows
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from taxomind_assets.models.exports.report import Exported
    from taxomind_assets.models.tuning.study import Tuned
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.model_store import ModelStore, VersionState
    from taxomind_resources.outputs import Outputs

LABELLED: Final = "models.labelled_texts"
VERSIONS: Final = "models.versions"
EVALUATIONS: Final = "models.evaluations"
ANSWERS: Final = "models.answers"
TRIALS: Final = "models.trials"
EXPORTS: Final = "models.exports"
_CLASSES: Final = "models.class_scores"
_CONFUSIONS: Final = "models.confusions"
_OF_VERSION: Final = (_CLASSES, _CONFUSIONS, ANSWERS, EVALUATIONS)  # the figures come last: with them all is there


def labelled_texts(outputs: Outputs, key: str, tree: Taxonomy) -> pa.Table:
    """The labelled texts of a taxonomy whose codes it still has.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    import pyarrow.compute as pc

    found = outputs.read(LABELLED, key)
    known = pc.is_in(found["code"], value_set=pa.array(tree.codes, pa.string()))
    return found.filter(known)


def write_versions(outputs: Outputs, store: ModelStore, key: str) -> pa.Table:
    """Bring `models.versions` up to date; returns it, the latest first.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    rows = [_version_row(store, key, state) for state in store.versions(key)]
    table = pa.Table.from_pylist(rows, schema=BY_NAME[VERSIONS].arrow)
    outputs.write(VERSIONS, key, table)
    return table


def _version_row(store: ModelStore, key: str, state: VersionState) -> dict[str, Any]:
    manifest: dict[str, Any] = {}
    if state.state == "ready":
        manifest = store.manifest(key, state.number)
    record, data = state.record, manifest.get("data", {})
    metrics = manifest.get("validation", {})
    return {
        "version": state.number,
        "state": state.state,
        "promoted": state.promoted,
        "name": manifest.get("name") or record.get("what", ""),
        "started_at": _moment(record.get("started")),
        "finished_at": _moment(record.get("finished")),
        "reason": record.get("reason", "") if state.state == "failed" else "",
        "taxonomy_version": manifest.get("taxonomy_version"),
        "data_digest": data.get("digest"),
        "training_texts": data.get("train"),
        "validation_texts": data.get("validation"),
        "codes": len(manifest["codes"]) if manifest else None,
        **{name: metrics.get(name) for name in ("accuracy", "macro_f1", "hF1", "ece")},
        "training_seconds": manifest.get("seconds", {}).get("training"),
        "size_bytes": manifest.get("size_bytes"),
        "manifest": json.dumps(manifest, ensure_ascii=False, sort_keys=True) if manifest else "",
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def part_of(version: int, split: str) -> str:
    """Part of the tables of figures that holds a version's."""
    return f"v{version}-{split}"


def write_evaluation(
    outputs: Outputs, key: str, version: int, split: str, *, tree: Taxonomy, rows: pa.Table, found: Evaluation
) -> str:
    """Keep figures, scores of codes, confusions and answers of a version; returns the digest of the rows.

    Args:
        outputs: where they go.
        key: taxonomy key.
        version: the version.
        split: validation or test.
        tree: the taxonomy.
        rows: the rows of `models.labelled_texts` that it was judged on, in their order.
        found: what came out.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    digest = data_digest(zip(rows["text_hash"].to_pylist(), rows["code"].to_pylist(), strict=True))
    shared = {"version": version, "split": split}
    moment = datetime.now(UTC)
    measures = [
        {
            "metric": m.metric,
            "value": m.value,
            "n": m.n,
            "interval_low": m.low,
            "interval_high": m.high,
            "data_digest": digest,
            "evaluated_at": moment,
        }
        for m in found.measures.values()
    ]
    answers = [None if node < 0 else tree.codes[node] for node in found.answers.tolist()]
    n = rows.num_rows
    columns = {
        "version": [version] * n,
        "split": [split] * n,
        "text_id": rows["text_id"],
        "text_hash": rows["text_hash"],
        "target_code": rows["code"],
        "code": pa.array(answers, pa.string()),
        "confidence": found.confidence,
    }
    tables = {
        _CLASSES: found.classes,
        _CONFUSIONS: found.confusions,
        ANSWERS: pa.table(columns, schema=BY_NAME[ANSWERS].arrow),
        EVALUATIONS: measures,
    }
    for table in _OF_VERSION:
        own = tables[table]
        if isinstance(own, list):
            own = pa.Table.from_pylist([row | shared for row in own], schema=BY_NAME[table].arrow)
        outputs.write(table, key, own, digest=digest, part=part_of(version, split))
    return digest


def stored_figures(outputs: Outputs, key: str, version: int, split: str) -> dict[str, float | None]:
    """Figures of a version by name; empty when it was not judged on that split.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    rows = outputs.read(EVALUATIONS, key, columns=["metric", "value"], parts=[part_of(version, split)])
    return dict(zip(rows["metric"].to_pylist(), rows["value"].to_pylist(), strict=True))


def write_export(outputs: Outputs, key: str, exported: Exported) -> pa.Table:
    """Keep what an export of a version has come to; returns its rows.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    table = pa.Table.from_pylist(export_rows(exported), schema=BY_NAME[EXPORTS].arrow)
    outputs.write(EXPORTS, key, table, part=f"v{exported.number}")
    return table


def write_trials(outputs: Outputs, key: str, found: Tuned) -> pa.Table:
    """Keep what a study has come to; returns its rows.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    rows = [
        {
            **row.__dict__,
            "metric": found.metric,
            "best": row.trial == found.best_trial,
            "parameters": json.dumps(row.parameters, ensure_ascii=False, sort_keys=True),
            "spec": json.dumps(row.spec, ensure_ascii=False, sort_keys=True) if row.spec else "",
        }
        for row in found.rows
    ]
    table = pa.Table.from_pylist(rows, schema=BY_NAME[TRIALS].arrow)
    outputs.write(TRIALS, key, table)
    return table


def drop_evaluations(outputs: Outputs, key: str, kept: set[int]) -> None:
    """Remove figures and answers of versions that are gone.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    for table in (*_OF_VERSION, EXPORTS):
        for part in outputs.parts(table, key):
            if int(part.partition("-")[0].removeprefix("v")) not in kept:
                outputs.delete_part(table, key, part)


def verdict_on(outputs: Outputs, store: ModelStore, key: str, version: int) -> Verdict:
    """What the promotion gate says of a version, by its test rows.

    Raises:
        Fault: `no_model`; `invalid_input` when it, or the version in use, was not judged on these rows.
    """
    store.folder(key, version)
    new = stored_figures(outputs, key, version, "test")
    if not new:
        next_step = f"taxomind models evaluate --taxonomy {key} --version {version}"
        raise Fault("invalid_input", f"Version {version} was not judged on test rows yet.", next_step=next_step)
    used = store.promoted(key)
    if used is None or used == version:
        return gate(new, None, None)
    old = stored_figures(outputs, key, used, "test")
    if not old:
        next_step = f"taxomind models evaluate --taxonomy {key} --version {used}"
        raise Fault("invalid_input", f"Version {used}, which is in use, was not judged on test rows yet.", next_step=next_step)
    answers = [outputs.read(ANSWERS, key, parts=[part_of(own, "test")]) for own in (version, used)]
    return gate(new, old, compare_answers(*answers))
