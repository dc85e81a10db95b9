"""Checks of the stage REPORTS."""

from typing import TYPE_CHECKING, Any, Final

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, asset_check

from taxomind_assets.by_key import Checked, check_each_key
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.reports.assets import error_report
from taxomind_resources.dagster_resources import OutputsResource

if TYPE_CHECKING:
    import pyarrow as pa

#: Calibration error from which confidences should not be used as probabilities.
_MOST_ERROR: Final = 0.10
#: Texts below which a calibration error is mostly chance.
_FEWEST_TEXTS: Final = 100


@asset_check(
    asset=error_report,
    partitions_def=taxonomy_keys,
    description="Confidences can be read as probabilities: the calibration error is small. Warns, and never stops anything.",
)
def confidence_is_true(context: AssetCheckExecutionContext, outputs: OutputsResource) -> AssetCheckResult:
    """Shows the error for answers and for best leaves; judges it from 100 texts on."""
    written = outputs.open()
    return check_each_key(context, lambda key: _calibration(written.read("reports.metrics", key)), AssetCheckSeverity.WARN)


def _calibration(metrics: "pa.Table") -> Checked:
    from taxomind_assets.reports.metrics import value_of

    if not metrics.num_rows:
        return Checked((), {"note": "There is no report."})
    metadata: dict[str, Any] = {}
    problems = []
    for name, what in (("safe_ece", "answers"), ("leaf_ece", "best leaves")):
        row = value_of(metrics, name)
        if row is None or row["value"] is None:
            continue
        metadata[f"calibration error of {what}"] = row["value"]
        metadata[f"{what} judged"] = row["n"]
        if row["n"] >= _FEWEST_TEXTS and row["value"] > _MOST_ERROR:
            problems.append(f"the confidences of {what} are off by {row['value']:.2f} on average ({row['n']:,} texts)")
    return Checked(tuple(problems), metadata)
