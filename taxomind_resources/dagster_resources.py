"""What assets, checks and sensors are given: each resource opens one part of the data root.

The data root is the one thing to configure: `settings.data`, else `TAXOMIND_DATA`, else the folder `data`. Everything else
comes from `<data root>/settings.toml` and the environment (`settings.py`), read anew for each run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import ConfigurableResource
from dagster_duckdb import DuckDBResource
from pydantic import Field

from taxomind_resources.catalogue import CONNECTION_CONFIG, Catalogue
from taxomind_resources.inbox import Inbox
from taxomind_resources.index_store import IndexStore
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from taxomind_resources.embedding import Embedder
    from taxomind_resources.engine import Engine
    from taxomind_resources.vector_store import VectorStore


class SettingsResource(ConfigurableResource[Any]):
    """The settings of the data root."""

    data: str = Field("", description="data root; '' = TAXOMIND_DATA, else the folder data")

    def load(self) -> Settings:
        """All settings, read now.

        Raises:
            Fault: `unknown_setting`, `invalid_setting` or `unreadable_file`.
        """
        return load_settings(self.data or None)

    @property
    def root(self) -> Path:
        """The data root."""
        return self.load().data


class InboxResource(ConfigurableResource[Any]):
    """Input files as people put them there."""

    settings: SettingsResource

    def open(self) -> Inbox:
        """The inbox of the data root."""
        settings = self.settings.load()
        return Inbox(settings.data, settings.limits.settle_s)


class OutputsResource(ConfigurableResource[Any]):
    """Parquet outputs, and the door to them: DuckDB views, for people in a file, for assets and checks as `query`.

    Queries use connections in memory with the same views, so no run ever holds the file that people open.
    """

    settings: SettingsResource
    duckdb: DuckDBResource

    def open(self) -> Outputs:
        """The outputs of the data root."""
        return Outputs(self.settings.root)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Answer one `SELECT` over the views, for example `SELECT * FROM taxonomy.nodes WHERE taxonomy_key = $key`.

        Raises:
            Fault: as `Catalogue.query`.
        """
        return Catalogue(self.settings.root, self.duckdb.get_connection).query(sql, parameters)

    def publish(self) -> None:
        """Give every table its schema and bring the DuckDB file up to date when the set of views changed."""
        Catalogue(self.settings.root).publish()


class VectorStoreResource(ConfigurableResource[Any]):
    """LanceDB: the vectors of all views."""

    settings: SettingsResource
    uri: str = Field("", description="LanceDB address, also s3://...; '' = the folder vectors of the data root")

    def open(self) -> VectorStore:
        """The vector store."""
        from taxomind_resources.vector_store import VectorStore

        return VectorStore(self.uri or self.settings.root / "vectors")


class IndexStoreResource(ConfigurableResource[Any]):
    """Published node indexes."""

    settings: SettingsResource

    def open(self) -> IndexStore:
        """The index store of the data root."""
        return IndexStore(self.settings.root)


class EmbeddingResource(ConfigurableResource[Any]):
    """The embedding model that the settings name, also per taxonomy."""

    settings: SettingsResource

    def embedder(self, key: str) -> Embedder:
        """The embedder of one taxonomy, shared by the process.

        Raises:
            Fault: `model_unavailable`, `model_untrusted`, `missing_extra`, `provider_failed` or `invalid_setting`.
        """
        from taxomind_resources import embedding

        settings = self.settings.load()
        return embedding.load_embedder(settings.for_taxonomy(key).embedding, settings.data)


class EngineResource(ConfigurableResource[Any]):
    """Who runs the work that is split into shards."""

    settings: SettingsResource

    def open(self) -> Engine:
        """The engine that the settings name.

        Raises:
            Fault: `missing_extra`.
        """
        from taxomind_resources.engine import open_engine

        return open_engine(self.settings.load().engine)


def resources(data: str = "") -> dict[str, Any]:
    """All resources over one data root, by the names that assets ask for.

    Args:
        data: data root; '' = as `SettingsResource` says.
    """
    settings = SettingsResource(data=data)
    duckdb = DuckDBResource(database=":memory:", connection_config=dict(CONNECTION_CONFIG))
    return {
        "settings": settings,
        "inbox": InboxResource(settings=settings),
        "outputs": OutputsResource(settings=settings, duckdb=duckdb),
        "vectors": VectorStoreResource(settings=settings, uri=""),
        "indexes": IndexStoreResource(settings=settings),
        "embedding": EmbeddingResource(settings=settings),
        "engine": EngineResource(settings=settings),
    }
