"""All settings, read and checked. Names, types and defaults are in `setting_groups.py`; no default is written twice.

Sources, the later wins: those defaults; `<data root>/settings.toml`; environment variables `TAXOMIND_<GROUP>__<NAME>`;
`[taxonomy.<key>]` in the same file for one taxonomy. An unknown name is an error that proposes the nearest known one.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, ValidationError

from taxomind_resources.faults import Fault
from taxomind_resources.setting_groups import (
    AlertSettings,
    DatabaseSettings,
    EmbeddingSettings,
    EngineSettings,
    EnrichmentSettings,
    Group,
    GrowthSettings,
    JudgeSettings,
    LimitSettings,
    LlmSettings,
    ModelsSettings,
    ReportSettings,
    RerankerSettings,
    RetrievalSettings,
    RoutingSettings,
    ScoringSettings,
    ServiceSettings,
    TextSettings,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "DATA_VARIABLE",
    "ENV_PREFIX",
    "AlertSettings",
    "DatabaseSettings",
    "EmbeddingSettings",
    "EngineSettings",
    "EnrichmentSettings",
    "GrowthSettings",
    "JudgeSettings",
    "LimitSettings",
    "LlmSettings",
    "ModelsSettings",
    "ReportSettings",
    "RerankerSettings",
    "RetrievalSettings",
    "RoutingSettings",
    "ScoringSettings",
    "ServiceSettings",
    "Settings",
    "TextSettings",
    "cached_settings",
    "known_settings",
    "load_settings",
    "usable_settings",
]

ENV_PREFIX = "TAXOMIND_"
DATA_VARIABLE = "TAXOMIND_DATA"


class Settings(Group):
    """All settings. `data` is the root below which everything is written."""

    data: Path = Field(Path("data"), description="root of everything that is read from the inbox and written")
    embedding: EmbeddingSettings = EmbeddingSettings()  # type: ignore[call-arg]
    text: TextSettings = TextSettings()  # type: ignore[call-arg]
    retrieval: RetrievalSettings = RetrievalSettings()  # type: ignore[call-arg]
    scoring: ScoringSettings = ScoringSettings()  # type: ignore[call-arg]
    routing: RoutingSettings = RoutingSettings()  # type: ignore[call-arg]
    report: ReportSettings = ReportSettings()  # type: ignore[call-arg]
    models: ModelsSettings = ModelsSettings()  # type: ignore[call-arg]
    llm: LlmSettings = LlmSettings()  # type: ignore[call-arg]
    enrichment: EnrichmentSettings = EnrichmentSettings()  # type: ignore[call-arg]
    judge: JudgeSettings = JudgeSettings()  # type: ignore[call-arg]
    reranker: RerankerSettings = RerankerSettings()  # type: ignore[call-arg]
    engine: EngineSettings = EngineSettings()  # type: ignore[call-arg]
    growth: GrowthSettings = GrowthSettings()  # type: ignore[call-arg]
    limits: LimitSettings = LimitSettings()  # type: ignore[call-arg]
    service: ServiceSettings = ServiceSettings()  # type: ignore[call-arg]
    database: DatabaseSettings = DatabaseSettings()  # type: ignore[call-arg]
    alerts: AlertSettings = AlertSettings()  # type: ignore[call-arg]
    taxonomy: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict, description="groups of one taxonomy")

    def for_taxonomy(self, key: str) -> Settings:
        """The settings of one taxonomy: the shared ones with its own groups laid over them.

        Raises:
            Fault: `unknown_setting` or `invalid_setting`.
        """
        return _checked(self.merged_for(key)) if self.taxonomy.get(key) else self

    def merged_for(self, key: str) -> dict[str, Any]:
        """The values of `for_taxonomy`, unchecked."""
        merged = self.model_dump()
        for group, values in self.taxonomy.get(key, {}).items():
            merged[group] = {**merged.get(group, {}), **values} if isinstance(merged.get(group, {}), dict) else values
        return merged

    def deciding_version(self) -> str:
        """12 hex digits over the settings that change an answer."""
        groups = {"text", "retrieval", "scoring", "routing", "judge", "reranker"}
        values = self.model_dump(mode="json", include=groups)
        if self.judge.enabled:
            values["llm"] = self.llm.model_dump(mode="json", include={"model", "base_url"})
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_settings(data: Path | str | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from file and environment.

    Args:
        data: data root; else `TAXOMIND_DATA`, else `data` in the working directory. Made absolute.
        environment: variables to read (default: the process environment).

    Raises:
        Fault: `unknown_setting`, `invalid_setting` or `unreadable_file`.
    """
    return _checked(_given(data, os.environ if environment is None else environment))


def usable_settings(data: Path | str | None = None, key: str | None = None) -> tuple[Settings, dict[str, Fault]]:
    """Settings as far as they can be used, and what is wrong with the others, which keep their defaults.

    Args:
        data: as `load_settings`.
        key: taxonomy whose own settings are laid over the shared ones; None = the shared ones.

    Returns:
        The settings; dotted name -> fault, for each name or value that cannot be used.

    Raises:
        Fault: `unreadable_file`.
    """
    faults: dict[str, Fault] = {}
    settings = _usable(_given(data, os.environ), faults)
    return (settings if key is None else _usable(settings.merged_for(key), faults)), faults


def _usable(values: dict[str, Any], faults: dict[str, Fault]) -> Settings:
    while True:
        try:
            return Settings.model_validate(values)
        except ValidationError as error:
            for found in error.errors():
                place = [str(part) for part in found["loc"][:2]]
                faults.setdefault(".".join(place), _fault(found))
                group = values.get(place[0])
                if len(place) == 2 and isinstance(group, Mapping):
                    values[place[0]] = {name: value for name, value in group.items() if name != place[1]}
                else:
                    values.pop(place[0], None)


def _given(data: Path | str | None, variables: Mapping[str, str]) -> dict[str, Any]:
    """Values of file and environment, unchecked."""
    root = Path(data or variables.get(DATA_VARIABLE) or "data").expanduser().absolute()
    values = _read_file(root / "settings.toml")
    for name, value in variables.items():
        if name.startswith(ENV_PREFIX) and "__" in name:
            group, _, field = name.removeprefix(ENV_PREFIX).lower().partition("__")
            own = values.setdefault(group, {})
            if isinstance(own, dict):
                own[field] = _from_text(value)
    return {**values, "data": root}


@lru_cache(maxsize=8)
def cached_settings(data: Path | str | None = None) -> Settings:
    """`load_settings`, read once per process and root."""
    return load_settings(data)


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Fault("unreadable_file", f"settings.toml: {error}", value=str(path), allowed="TOML 1.0 in UTF-8") from error


def _from_text(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _checked(values: Mapping[str, Any]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _fault(error.errors()[0]) from error


def _fault(found: ErrorDetails) -> Fault:
    where = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        near = difflib.get_close_matches(where, known_settings(), 1, 0.0)
        return Fault("unknown_setting", f"There is no setting {where!r}.", value=where, allowed=f"did you mean {near[0]!r}?")
    return Fault("invalid_setting", f"{where}: {found['msg']}.", value=found.get("input"))


def known_settings() -> list[str]:
    """Dotted names of all settings."""
    names = ["data"]
    for group, field in Settings.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            names += [f"{group}.{name}" for name in model.model_fields]
    return names
