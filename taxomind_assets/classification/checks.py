"""Checks of the stage CLASSIFICATION."""

from typing import Final

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check

from taxomind_assets.by_key import Checked, check_each_key
from taxomind_assets.classification.assets import classification_results
from taxomind_assets.partitions import taxonomy_keys
from taxomind_resources.dagster_resources import OutputsResource

# What each batch claims against what the results hold; rows are numbered from 1, refused ones counted too.
_COUNTS: Final = """
    WITH answered AS (
        SELECT batch_id, count(*) AS rows, count(DISTINCT "row") AS numbers, max("row") AS last
        FROM classification.results WHERE taxonomy_key = $key GROUP BY batch_id
    )
    SELECT batches.batch_id, source_file, batches.rows AS claimed, rejected,
           coalesce(answered.rows, 0) AS found, coalesce(numbers, 0) AS numbers, coalesce(last, 0) AS last
    FROM classification.batches AS batches LEFT JOIN answered USING (batch_id)
    WHERE batches.taxonomy_key = $key
"""
_REFUSED: Final = "SELECT count(*) AS found FROM classification.rejected_rows WHERE taxonomy_key = $key"


@asset_check(
    asset=classification_results,
    partitions_def=taxonomy_keys,
    description="Of every batch, each row is there exactly once: as an answer or as a refused row.",
)
def results_are_complete(context: AssetCheckExecutionContext, outputs: OutputsResource) -> AssetCheckResult:
    """Asks the same views that people query."""
    return check_each_key(context, lambda key: _completeness(key, outputs))


def _completeness(key: str, outputs: OutputsResource) -> Checked:
    batches = outputs.query(_COUNTS, {"key": key}).to_pylist()
    refused = outputs.query(_REFUSED, {"key": key}).to_pylist()[0]["found"]
    problems = []
    for batch in batches:
        where = f"{batch['source_file']} (batch {batch['batch_id']})"
        if batch["found"] != batch["claimed"]:
            problems.append(f"{where}: {batch['claimed']:,} answers were written, {batch['found']:,} are there")
        if batch["numbers"] != batch["found"]:
            problems.append(f"{where}: {batch['found'] - batch['numbers']:,} rows are answered twice")
        if batch["last"] > batch["claimed"] + batch["rejected"]:
            problems.append(f"{where}: row {batch['last']:,} of {batch['claimed'] + batch['rejected']:,} is answered")
    claimed = sum(batch["rejected"] for batch in batches)
    if refused < claimed:
        problems.append(f"{claimed:,} rows were refused, {refused:,} are noted")
    metadata = {"batches": len(batches), "answers": sum(batch["found"] for batch in batches), "refused rows": refused}
    return Checked(tuple(problems), metadata)
