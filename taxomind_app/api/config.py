"""Settings of the service, with the environment variables that the older service was set by."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault
from taxomind_resources.settings import ServiceSettings
from taxomind_resources.token_store import SCOPES, Token, check_tenants, token_hash

if TYPE_CHECKING:
    from taxomind_resources.settings import Settings

_TRUE: Final = {"1", "true", "yes", "on"}
_FALSE: Final = {"0", "false", "no", "off"}


def service_settings(settings: Settings, environment: Mapping[str, str] | None = None) -> ServiceSettings:
    """The group `service` with API_AUTH_ENABLED, PORT and LEARN_URL_ALLOWED_HOSTS laid over it.

    Raises:
        Fault: `invalid_setting` when one of them cannot be read.
    """
    from pydantic import ValidationError

    variables = os.environ if environment is None else environment
    changed: dict[str, Any] = {}
    if auth := variables.get("API_AUTH_ENABLED", "").strip().lower():
        if auth not in _TRUE | _FALSE:
            raise Fault("invalid_setting", "API_AUTH_ENABLED is neither true nor false.", value=auth, allowed="true or false")
        changed["auth_enabled"] = auth in _TRUE
    if port := variables.get("PORT", "").strip():
        changed["port"] = port
    if hosts := variables.get("LEARN_URL_ALLOWED_HOSTS", ""):
        named = tuple(host.strip() for host in hosts.split(",") if host.strip())
        changed["training_hosts"] = (*settings.service.training_hosts, *named)
    try:
        return ServiceSettings.model_validate({**settings.service.model_dump(), **changed})
    except ValidationError as error:
        found = error.errors()[0]
        raise Fault("invalid_setting", f"service.{found['loc'][0]}: {found['msg']}.", value=found.get("input")) from error


def environment_tokens(service: ServiceSettings, environment: Mapping[str, str] | None = None) -> list[Token]:
    """The tokens of API_TOKENS (separated by commas), API_TOKEN and the file of API_TOKENS_FILE (one in each line).

    They have all scopes, for the tenants of `service.tenants`.

    Raises:
        Fault: `invalid_input` (the tenants) or `invalid_setting` (the file).
    """
    variables = os.environ if environment is None else environment
    given = [*variables.get("API_TOKENS", "").split(","), variables.get("API_TOKEN", "")]
    if file := variables.get("API_TOKENS_FILE", ""):
        given += _lines(Path(file))
    tenants = check_tenants(service.tenants)
    found = {}
    for secret in filter(None, (text.strip() for text in given)):
        digest = token_hash(secret)
        found[digest] = Token(f"env-{digest[:8]}", f"env-{digest[:8]}", digest, tenants, tuple(SCOPES), 0.0)
    return list(found.values())


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        what = f"API_TOKENS_FILE cannot be read: {error}."
        raise Fault("invalid_setting", what, value=str(file), allowed="a file with one token in each line") from error
