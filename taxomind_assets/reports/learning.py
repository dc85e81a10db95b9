"""REPORTS: what corrections have taught."""

from typing import TYPE_CHECKING, Any

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, asset

from taxomind_assets.by_key import Written, for_each_key
from taxomind_assets.classification.assets import stop_calibration
from taxomind_assets.learning.assets import evidence_centroids
from taxomind_assets.metadata import preview, table_metadata
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.taxonomy.assets import OWNERS
from taxomind_resources.dagster_resources import OutputsResource, SettingsResource

if TYPE_CHECKING:
    from taxomind_assets.reports.learned import Learned
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

_NOTE = "No correction counts; put some into inbox/{key}/corrections, or use `taxomind learn`."


@asset(
    deps=[evidence_centroids, stop_calibration],
    partitions_def=taxonomy_keys,
    group_name="reports",
    kinds={"python", "parquet", "matplotlib"},
    owners=OWNERS,
    tags={"taxomind/stage": "reports"},
    code_version="1",
    metadata=table_metadata("reports.learning"),
)
def learning_report(
    context: AssetExecutionContext, settings: SettingsResource, outputs: OutputsResource
) -> MaterializeResult[Any]:
    """What corrections have taught: accuracy before and after, confusions repaired, promised and reached accuracy over time.

    Each corrected text is answered by the corrections of all other texts, so none of them helps itself. One part for each
    evidence version and index keeps the course of time; the same state measured again replaces its part.
    """
    opened = settings.load(), outputs.open()
    result = for_each_key(context, lambda key: _report(key, *opened))
    outputs.publish()
    return result


def _report(key: str, settings: "Settings", outputs: "Outputs") -> Written:
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.learning.gathering import stored_corrections
    from taxomind_assets.reports.learned import CONFUSIONS, LEARNING, learned
    from taxomind_resources.tables import BY_NAME

    corrections = stored_corrections(outputs, key, status="applied")
    classifier = Classifier.load(key, settings) if corrections else None
    found = learned(classifier, corrections) if classifier and classifier.scorer.evidence else None
    if classifier is None or found is None:
        outputs.write(CONFUSIONS, key, BY_NAME[CONFUSIONS].arrow.empty_table())
        return Written("none", 0, {"note": _NOTE.format(key=key)})
    versions = classifier.versions
    part = f"{versions['evidence_version']}-{versions['index_version']}"
    outputs.write(CONFUSIONS, key, found.confusions, digest=part)
    outputs.write(LEARNING, key, found.metrics, digest=part, part=part)
    history = outputs.read(LEARNING, key)
    reviews = outputs.read("learning.reviews", key)
    metadata: dict[str, Any] = {
        "result": MetadataValue.md(found.sentence()),
        "promise": MetadataValue.md(found.promise.sentence()),
        "evidence version": versions["evidence_version"],
        "to review": preview(reviews, ["kind", "text", "code", "other_codes", "annotator", "reason"]),
        **_figures_of(found),
        **_drawn(key, outputs, history),
    }
    return Written(part, history.num_rows, metadata)


def _figures_of(found: "Learned") -> dict[str, Any]:
    """What the UI charts over time, and the confusions as a table."""
    from taxomind_assets.reports.learned import shown
    from taxomind_assets.reports.summary import markdown_table

    values = {f"{row['metric']} {row['stage']}": row["value"] for row in found.metrics.to_pylist() if row["value"] is not None}
    values |= {"gain in right leaves": found.gain[0], "gain, low end": found.gain[1], "gain, high end": found.gain[2]}
    if found.agreement is not None:
        values["agreement of annotators (alpha)"] = found.agreement
    confusions = markdown_table(shown(found.confusions)) or "*none changed*"
    return {"corrected texts": found.after.num_rows, **values, "confusions": MetadataValue.md(confusions)}


def _drawn(key: str, outputs: "Outputs", history: "Any") -> dict[str, Any]:
    from taxomind_assets.reports.figures import as_markdown_image
    from taxomind_assets.reports.learned_figures import learning_over_time, promise_over_time
    from taxomind_resources.files import folder_name, replace_bytes

    folder = outputs.root / "reports" / "figures" / f"taxonomy_key={folder_name(key)}"
    drawn = {"learned over time": learning_over_time(history), "promise over time": promise_over_time(history)}
    for title, png in drawn.items():
        replace_bytes(folder / f"{title.replace(' ', '_')}.png", png)
    return {title: MetadataValue.md(as_markdown_image(png, title)) for title, png in drawn.items()}
