"""The one way in which assets are partitioned: by taxonomy."""

from __future__ import annotations

import warnings
from typing import Final

from dagster import BetaWarning, DynamicPartitionsDefinition, PreviewWarning

#: Tag of every run that concerns one taxonomy; `dagster.yaml` lets one run per value go at a time.
KEY_TAG: Final = "taxomind/taxonomy_key"

# Backfill policies and checks per partition are marked as young by Dagster; saying so at each start helps nobody.
for category in (BetaWarning, PreviewWarning):
    warnings.filterwarnings("ignore", category=category)

taxonomy_keys = DynamicPartitionsDefinition(name="taxonomy_key")
