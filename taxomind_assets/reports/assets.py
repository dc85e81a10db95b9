"""REPORTS: how good the answers are, on texts whose codes are known."""

from typing import TYPE_CHECKING, Any, Final

from dagster import AssetExecutionContext, AssetSpec, Config, MaterializeResult, MetadataValue, asset
from pydantic import Field

from taxomind_assets.by_key import Written, for_each_key
from taxomind_assets.classification.assets import stop_calibration
from taxomind_assets.metadata import bullet_list, table_metadata
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.pending import report_digest
from taxomind_assets.taxonomy.assets import OWNERS
from taxomind_assets.views.assets import node_index
from taxomind_resources.dagster_resources import InboxResource, OutputsResource, SettingsResource
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.inputs import RejectedRow
    from taxomind_assets.reports.report import Report
    from taxomind_assets.reports.sources import Labelled
    from taxomind_assets.taxonomy.revision import Translation
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox, InboxFile
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

#: Measures that the UI charts over time.
CHARTED: Final = ("exact", "safe", "kept_accuracy", "abstained", "leaf_accuracy", "recall_5", "hF1", "safe_ece", "safe_aurc")
_NO_TEXTS: Final = "There are no texts with known codes; put files with the columns text and code into inbox/{key}/labelled."

_REJECTED: Final = "reports.rejected_rows"
#: The table that says what a report was made from, written last; and the others.
_LAST: Final = "reports.metrics"
_OTHERS: Final = ("reports.errors", "reports.calibration", "reports.coverage")

labelled_files = AssetSpec(
    "labelled_files",
    description="Texts with their known codes: `inbox/<key>/labelled/*.csv`, `.jsonl`, `.json` or `.parquet`.",
    group_name="inbox",
    kinds={"file"},
    owners=OWNERS,
    tags={"taxomind/stage": "inbox"},
    partitions_def=taxonomy_keys,
)


class ReportConfig(Config):
    """What the served answers are compared with."""

    strategies: list[str] = Field(
        # Written out, since the comparison itself is only imported by runs; a test compares both.
        default=[
            *("served", "gate", "best_leaf", "rules", "routed", "nearest_label"),
            *("flat", "topdown", "bottomup", "hybrid", "consensus"),
        ],
        description="strategies answered on the same texts, by name; `all` for all of them, none for no comparison",
    )
    compared_texts: int = Field(2_000, ge=1, description="texts compared at most; the choice is by a seeded hash of the text")


@asset(
    deps=[labelled_files, node_index, stop_calibration],
    partitions_def=taxonomy_keys,
    group_name="reports",
    kinds={"python", "parquet", "matplotlib"},
    owners=OWNERS,
    tags={"taxomind/stage": "reports"},
    code_version="2",
    metadata=table_metadata(
        "reports.errors",
        {
            **{name: [("labelled_files", name)] for name in ("text_id", "text", "language")},
            "target_code": [("labelled_files", "code")],
            "code": [("node_index", "code")],
        },
    ),
)
def error_report(
    context: AssetExecutionContext,
    config: ReportConfig,
    *,
    settings: SettingsResource,
    inbox: InboxResource,
    outputs: OutputsResource,
) -> MaterializeResult[Any]:
    """Answers against known codes: hierarchical measures per level, language and file, wrong branches, and figures.

    The texts go through the classifier that serves, each unique text once. Measures compare codes, never labels, and carry 95 %
    intervals. Other strategies answer the same texts, side by side. Rows that cannot be used are in `reports.rejected_rows`.
    """
    opened = settings.load(), inbox.open(), outputs.open()
    result = for_each_key(context, lambda key: _report(key, config, *opened))
    outputs.publish()
    return result


def _report(key: str, config: ReportConfig, settings: "Settings", inbox: "Inbox", outputs: "Outputs") -> Written:
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.reports.report import draw_figures, make_report
    from taxomind_assets.taxonomy.versions import current_translation

    labelled_digest = inbox.digest(key, "labelled")
    files = inbox.files(key, "labelled")
    if not files:
        if outputs.exists(_LAST, key):
            _clear(key, outputs, report_digest("", "", settings, key))
        return Written("none", 0, {"note": _NO_TEXTS.format(key=key)})
    classifier = Classifier.load(key, settings)
    learned = outputs.digest("learning.centroids", key)
    digest = report_digest(labelled_digest, classifier.index.version, settings, key, learned)
    translation = current_translation(inbox, outputs, key, classifier.tree.version)
    labelled = _read(files, classifier.tree, classifier.settings, outputs, digest=digest, translation=translation)
    labelled, left_out = _without_trained(key, classifier, labelled)
    if not labelled.targets.num_rows:
        _clear(key, outputs, digest, keep=[_REJECTED])
        return Written("none", 0, {"note": _NO_TEXTS.format(key=key), **_input(labelled)})
    report = make_report(classifier, labelled.targets, config.strategies, compared_texts=config.compared_texts)
    for table, rows in report.tables().items():
        outputs.write(table, key, rows, digest=digest)
    drawn = _save_figures(key, outputs, draw_figures(classifier.tree, report))
    metadata = {
        **_promise(report),
        **_headline(classifier.tree, report),
        **_comparison(report),
        **_input(labelled),
        **left_out,
        **drawn,
    }
    return Written(report.report_id, report.errors.num_rows, metadata)


def _without_trained(key: str, classifier: "Classifier", labelled: "Labelled") -> tuple["Labelled", dict[str, Any]]:
    """Without the texts that the model which votes was trained on or chosen by: it would be measured against itself."""
    from dataclasses import replace

    import pyarrow as pa

    from taxomind_assets.models.splits import identity
    from taxomind_assets.models.training import trained_texts
    from taxomind_resources.model_store import ModelStore

    if classifier.model is None:
        return labelled, {}
    number = classifier.model.view.number
    known = trained_texts(ModelStore(classifier.settings.data).folder(key, number))
    unseen = [f"{identity(text):016x}" not in known for text in labelled.targets["text"].to_pylist()]
    left_out = len(unseen) - sum(unseen)
    targets = labelled.targets.filter(pa.array(unseen, pa.bool_()))
    return replace(labelled, targets=targets), {
        "model that votes": number,
        "texts left out, since it was trained on them": left_out,
    }


def _clear(key: str, outputs: "Outputs", digest: str, keep: "Sequence[str]" = ()) -> None:
    """Leave nothing of an earlier report, whose texts are gone or can no longer be used."""
    from taxomind_resources.files import remove_tree
    from taxomind_resources.outputs import no_rows

    remove_tree(_figures(key, outputs))
    for table in (*_OTHERS, _REJECTED, _LAST):
        if table not in keep:
            outputs.write(table, key, no_rows(BY_NAME[table].arrow), digest=digest)


def _figures(key: str, outputs: "Outputs") -> "Path":
    from taxomind_resources.files import folder_name

    return outputs.root / "reports" / "figures" / f"taxonomy_key={folder_name(key)}"


def _read(
    files: "list[InboxFile]",
    tree: "Taxonomy",
    settings: "Settings",
    outputs: "Outputs",
    *,
    digest: str,
    translation: "Translation",
) -> "Labelled":
    from taxomind_assets.reports.sources import read_labelled
    from taxomind_assets.taxonomy.stored import rejected_table

    with outputs.writer(_REJECTED, tree.key, "part", digest) as rejected:

        def refuse(rows: "Sequence[RejectedRow]") -> None:
            rejected.write(rejected_table(_REJECTED, rows))

        return read_labelled(tree, files, settings, refuse, translation=translation)


def _input(labelled: "Labelled") -> dict[str, Any]:
    """What was read, file by file, and what was refused."""
    from taxomind_assets.reports.summary import markdown_table

    refused = [f"{reason}: {count:,} rows" for reason, count in sorted(labelled.refused.items())]
    examples = [f"{row.source_file}, line {row.line}: {row.reason}" for row in labelled.examples]
    rows = labelled.targets["rows"].to_pylist()
    files = [
        {
            "file": file.name,
            "rows used": f"{file.used:,}",
            "refused": f"{file.refused.total():,}",
            "with an upper code": f"{file.upper_code_used:,}",
            "columns": file.columns or "-",
            "problem": file.problem or "-",
        }
        for file in labelled.files
    ]
    return {
        "rows with a known code": sum(rows),
        "rows that repeat a text": sum(rows) - len(rows),
        "texts with several codes": sum(len(codes) > 1 for codes in labelled.targets["codes"].to_pylist()),
        "labelled files": MetadataValue.md(markdown_table(files)),
        "rows refused": labelled.refused.total(),
        "refused": bullet_list([*labelled.problems, *refused]),
        "first refused rows": bullet_list(examples),
    }


def _promise(report: "Report") -> dict[str, Any]:
    """Promised against reached, first in figures, then in words."""
    promise = report.promise
    figures = {
        "promised accuracy": promise.promised,
        "reached accuracy": promise.reached,
        "reached accuracy, low end": promise.low,
        "reached accuracy, high end": promise.high,
        "share answered": promise.share_answered,
        "mean depth of answers": promise.depth,
        "information kept": promise.information,
    }
    return {
        "promise": MetadataValue.md(promise.sentence()),
        "promise kept": promise.verdict or "-",
        "threshold": promise.threshold(),
        **{name: value for name, value in figures.items() if value is not None},
    }


def _comparison(report: "Report") -> dict[str, Any]:
    from taxomind_assets.reports.comparison import SEED, SUMMARIES, compared_size, shown
    from taxomind_assets.reports.summary import markdown_table, side_by_side

    if not report.comparison.num_rows:
        return {}
    texts, total = compared_size(report.comparison), report.errors.num_rows
    which = f"all {total:,} texts" if texts == total else f"{texts:,} of {total:,} texts, chosen by a hash with seed {SEED}"
    names = dict.fromkeys(report.comparison["strategy"].to_pylist())
    meanings = "\n".join(f"- `{name}`: {SUMMARIES[name]}" for name in names)
    signs = "\\* = best; + or - = clearly different from `served` (95 %)"
    table = markdown_table(side_by_side(shown(report.comparison)))
    return {
        "texts compared": texts,
        "strategies": MetadataValue.md(f"{which}; {signs}.\n\n{table}\n\n{meanings}"),
    }


def _headline(tree: "Taxonomy", report: "Report") -> dict[str, Any]:
    from taxomind_assets.reports.metrics import value_of
    from taxomind_assets.reports.summary import as_markdown

    figures = {name: value_of(report.metrics, name) for name in CHARTED}
    charted = {name: row["value"] for name, row in figures.items() if row is not None and row["value"] is not None}
    return {
        "texts": report.errors.num_rows,
        **charted,
        "index version": report.errors["index_version"][0].as_py(),
        "report": MetadataValue.md(as_markdown(tree, report.errors, report.metrics)),
    }


def _save_figures(key: str, outputs: "Outputs", drawn: dict[str, bytes]) -> dict[str, Any]:
    from taxomind_assets.reports.figures import as_markdown_image
    from taxomind_resources.files import replace_bytes

    folder = _figures(key, outputs)
    metadata: dict[str, Any] = {"figure files": MetadataValue.path(str(folder))}
    for title, png in drawn.items():
        replace_bytes(folder / f"{title.replace(' ', '_')}.png", png)
        metadata[title] = MetadataValue.md(as_markdown_image(png, title))
    return metadata
