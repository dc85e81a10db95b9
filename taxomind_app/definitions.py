"""The one place where assets, checks, jobs, sensors, schedules and resources come together."""

from __future__ import annotations

from dagster import Definitions, in_process_executor

from taxomind_assets.classification.assets import classification_results, stop_calibration, text_files
from taxomind_assets.classification.checks import results_are_complete
from taxomind_assets.growth.assets import decision_files, growth_candidates, growth_observations, observation_files
from taxomind_assets.learning.assets import correction_files, corrections, evidence_centroids
from taxomind_assets.models.assets import exported_model, labelled_texts, model_evaluation, model_study, trained_model
from taxomind_assets.models.checks import texts_can_teach
from taxomind_assets.reports.assets import error_report, labelled_files
from taxomind_assets.reports.checks import confidence_is_true
from taxomind_assets.reports.learning import learning_report
from taxomind_assets.taxonomy.assets import enriched_definitions, raw_taxonomy, taxonomy_file
from taxomind_assets.taxonomy.checks import nodes_form_a_tree
from taxomind_assets.views.assets import definition_view, example_view, label_view, node_index
from taxomind_assets.views.checks import index_is_current, views_cover_the_nodes
from taxomind_resources.dagster_resources import resources
from taxomind_sensors.alerts import failure_alerts, job_alerts
from taxomind_sensors.corrections import corrections_inbox
from taxomind_sensors.growth import growth_watch
from taxomind_sensors.inbox import labelled_inbox, taxonomy_inbox, texts_inbox
from taxomind_sensors.jobs import ASSET_JOBS
from taxomind_sensors.maintenance import maintenance
from taxomind_sensors.removal import remove_taxonomy, removed_taxonomies
from taxomind_sensors.schedules import nightly_error_reports, weekly_maintenance
from taxomind_sensors.stranded import stranded_runs

defs = Definitions(
    assets=[
        taxonomy_file,
        raw_taxonomy,
        enriched_definitions,
        label_view,
        definition_view,
        example_view,
        node_index,
        correction_files,
        corrections,
        evidence_centroids,
        text_files,
        classification_results,
        observation_files,
        decision_files,
        growth_observations,
        growth_candidates,
        labelled_files,
        stop_calibration,
        error_report,
        learning_report,
        labelled_texts,
        model_study,
        trained_model,
        model_evaluation,
        exported_model,
    ],
    asset_checks=[
        nodes_form_a_tree,
        views_cover_the_nodes,
        index_is_current,
        results_are_complete,
        confidence_is_true,
        texts_can_teach,
    ],
    jobs=[*ASSET_JOBS, remove_taxonomy, maintenance],
    sensors=[
        taxonomy_inbox,
        corrections_inbox,
        texts_inbox,
        labelled_inbox,
        growth_watch,
        removed_taxonomies,
        failure_alerts,
        job_alerts,
        stranded_runs,
    ],
    schedules=[nightly_error_reports, weekly_maintenance],
    resources=resources(),
    # A process per step costs two seconds each and loads the model again; the assets of one taxonomy follow one another anyway.
    executor=in_process_executor,
)
