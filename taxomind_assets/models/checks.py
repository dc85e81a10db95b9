"""Checks of the stage MODELS."""

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, asset_check

from taxomind_assets.by_key import Checked, check_each_key
from taxomind_assets.models.assets import labelled_texts
from taxomind_assets.partitions import taxonomy_keys
from taxomind_resources.dagster_resources import OutputsResource


@asset_check(
    asset=labelled_texts,
    partitions_def=taxonomy_keys,
    description="Labelled texts are for training, validation and test, have codes that training shows, even and not too long.",
)
def texts_can_teach(context: AssetCheckExecutionContext, outputs: OutputsResource) -> AssetCheckResult:
    """Shows the outcome of every rule; warns, and never stops anything."""
    from taxomind_assets.models.data_checks import judge_texts, problems
    from taxomind_assets.models.stored import LABELLED

    written = outputs.open()

    def check(key: str) -> Checked:
        texts = written.read(LABELLED, key)
        if not texts.num_rows:
            return Checked((), {"note": "There are no labelled texts."})
        rules = judge_texts(texts, written.read("models.rejected_rows", key, columns=["line"]).num_rows)
        return Checked(tuple(problems(rules)), {rule.name: f"{rule.outcome}: {rule.detail}" for rule in rules})

    return check_each_key(context, check, AssetCheckSeverity.WARN)
