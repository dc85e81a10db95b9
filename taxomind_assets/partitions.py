"""The one way in which assets are partitioned: by taxonomy."""

from __future__ import annotations

from typing import Final

from dagster import DynamicPartitionsDefinition

#: Tag of every run that concerns one taxonomy; `dagster.yaml` lets one run per value go at a time.
KEY_TAG: Final = "taxomind/taxonomy_key"

taxonomy_keys = DynamicPartitionsDefinition(name="taxonomy_key")
