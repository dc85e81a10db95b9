"""REPORTS: how good the answers are, on texts whose codes are known."""

from typing import TYPE_CHECKING, Any, Final

from dagster import AssetExecutionContext, AssetSpec, MaterializeResult, MetadataValue, asset

from taxomind_assets.by_key import Written, for_each_key
from taxomind_assets.metadata import bullet_list, table_metadata
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.pending import report_digest
from taxomind_assets.taxonomy.assets import OWNERS
from taxomind_assets.views.assets import node_index
from taxomind_resources.dagster_resources import InboxResource, OutputsResource, SettingsResource

if TYPE_CHECKING:
    from taxomind_assets.reports.report import Labelled, Report
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

#: Measures that the UI charts over time.
CHARTED: Final = ("exact", "safe", "kept_accuracy", "abstained", "leaf_accuracy", "recall_5", "hF1", "safe_ece", "safe_aurc")
_NO_TEXTS: Final = "There are no texts with known codes; put files with the columns text and code into inbox/{key}/labelled."

labelled_files = AssetSpec(
    "labelled_files",
    description="Texts with their known codes: `inbox/<key>/labelled/*.csv`, `.jsonl` or `.parquet`.",
    group_name="inbox",
    kinds={"file"},
    owners=OWNERS,
    tags={"taxomind/stage": "inbox"},
    partitions_def=taxonomy_keys,
)


@asset(
    deps=[labelled_files, node_index],
    partitions_def=taxonomy_keys,
    group_name="reports",
    kinds={"python", "parquet", "matplotlib"},
    owners=OWNERS,
    tags={"taxomind/stage": "reports"},
    code_version="1",
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
    context: AssetExecutionContext, settings: SettingsResource, inbox: InboxResource, outputs: OutputsResource
) -> MaterializeResult[Any]:
    """Answers against known codes: hierarchical measures per level, language and file, wrong branches, and figures.

    The texts go through the classifier that serves. Measures compare codes, never labels, and carry 95 % intervals.
    """
    opened = settings.load(), inbox.open(), outputs.open()
    result = for_each_key(context, lambda key: _report(key, *opened))
    outputs.publish()
    return result


def _report(key: str, settings: "Settings", inbox: "Inbox", outputs: "Outputs") -> Written:
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.reports.report import draw_figures, make_report, read_labelled

    labelled_digest = inbox.digest(key, "labelled")
    files = inbox.files(key, "labelled")
    if not files:
        return Written("none", 0, {"note": _NO_TEXTS.format(key=key)})
    classifier = Classifier.load(key, settings)
    labelled = read_labelled(classifier.tree, files, settings.for_taxonomy(key))
    digest = report_digest(labelled_digest, classifier.index.version, settings, key)
    if not labelled.targets.num_rows:
        return Written("none", 0, {"note": _NO_TEXTS.format(key=key), **_refusals(labelled)})
    report = make_report(classifier, labelled.targets)
    for table, rows in report.tables().items():
        outputs.write(table, key, rows, digest=digest)
    drawn = _save_figures(key, outputs, draw_figures(classifier.tree, report))
    metadata = {**_headline(classifier.tree, report), **_refusals(labelled), **drawn}
    return Written(report.metrics["report_id"][0].as_py(), report.errors.num_rows, metadata)


def _refusals(labelled: "Labelled") -> dict[str, Any]:
    refused = [f"{reason}: {count:,} rows" for reason, count in sorted(labelled.refused.items())]
    return {
        "rows refused": sum(labelled.refused.values()),
        "refused": bullet_list([*labelled.problems, *refused]),
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
    from taxomind_resources.files import folder_name, replace_bytes

    folder = outputs.root / "reports" / "figures" / f"taxonomy_key={folder_name(key)}"
    metadata: dict[str, Any] = {"figure files": MetadataValue.path(str(folder))}
    for title, png in drawn.items():
        replace_bytes(folder / f"{title.replace(' ', '_')}.png", png)
        metadata[title] = MetadataValue.md(as_markdown_image(png, title))
    return metadata
