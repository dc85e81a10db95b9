"""The jobs: the parts of the asset graph that people and sensors start."""

from __future__ import annotations

import warnings
from typing import Any, Final

from dagster import AssetSelection, RunRequest, define_asset_job

from taxomind_assets.partitions import KEY_TAG

# A backfill of `whole_job` takes one run per taxonomy, which is what its most expensive assets ask for.
warnings.filterwarnings("ignore", message=".*varying BackfillPolicies")

#: Assets that build a taxonomy, and those that deal with its texts.
BUILD_ASSETS: Final = ("raw_taxonomy", "enriched_definitions", "label_view", "definition_view", "example_view", "node_index")
#: Assets that learn from corrections. The calibration follows, since evidence changes what a confidence means.
LEARN_ASSETS: Final = ("corrections", "evidence_centroids", "stop_calibration", "learning_report")
TEXT_ASSETS: Final = ("stop_calibration", "classification_results", "error_report")
LABEL_ASSETS: Final = ("stop_calibration", "error_report")
GROWTH_ASSETS: Final = ("growth_observations", "growth_candidates")
_TRAIN_ASSETS: Final = ("labelled_texts", "trained_model", "model_evaluation")
MODEL_ASSETS: Final = (*_TRAIN_ASSETS, "model_study", "exported_model")
_STAGES: Final = ("taxonomy", "views", "learning", "classification", "growth", "reports")

build_taxonomy = define_asset_job(
    "build_taxonomy",
    AssetSelection.groups("taxonomy", "views"),
    description="Reads a taxonomy file, checks it, embeds its texts and publishes its index.",
)

inference = define_asset_job(
    "inference",
    AssetSelection.assets("classification_results"),
    description="Answers the text files that are new.",
)

inference_batch = define_asset_job(
    "inference_batch",
    AssetSelection.assets("classification_results"),
    description="As `inference`, started by the HTTP interface for a file that it put into the inbox.",
)

learning_pipe = define_asset_job(
    "learning_pipe",
    AssetSelection.assets(*LEARN_ASSETS),
    description="Learns from corrections: settles them, makes their evidence, calibrates the stop, measures what changed.",
)

growth_pipe = define_asset_job(
    "growth_pipe",
    AssetSelection.assets(*GROWTH_ASSETS),
    description="Observes what does not fit, and finds candidates for growth; a person decides about them.",
)

error_analysis = define_asset_job(
    "error_analysis",
    AssetSelection.assets(*LABEL_ASSETS),
    description="Calibrates the stop with texts whose codes are known, and measures the answers on them.",
)

train_models = define_asset_job(
    "train_models",
    AssetSelection.assets(*_TRAIN_ASSETS),
    description="Gathers labelled texts, trains a model on them and judges it; a person promotes it.",
)

whole_job = define_asset_job(
    "whole_job",
    AssetSelection.groups(*_STAGES),
    description="Everything for one taxonomy but models, which people train: build it, learn, answer its texts, report.",
)

ASSET_JOBS: Final = (
    build_taxonomy,
    inference,
    inference_batch,
    learning_pipe,
    growth_pipe,
    error_analysis,
    train_models,
    whole_job,
)


def key_request(key: str, run_key: str | None, **arguments: Any) -> RunRequest:
    """A request for a run of one taxonomy, tagged so that no two runs of one taxonomy go at the same time."""
    return RunRequest(run_key=run_key, partition_key=key, tags={KEY_TAG: key}, **arguments)
