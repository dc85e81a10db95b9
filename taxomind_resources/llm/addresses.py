"""Where texts may be sent: the default address, this machine, and what the settings name. Nothing else is ever asked."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from taxomind_resources.faults import Fault
from taxomind_resources.settings import LlmSettings

DEFAULT_ADDRESS: Final[str] = LlmSettings.model_fields["base_url"].default
_PORTS: Final = {"http": 80, "https": 443}


def checked_address(settings: LlmSettings) -> str:
    """`llm.base_url` in its normal form.

    Raises:
        Fault: `invalid_setting` when it is no address, or none that may be asked.
    """
    address = _normal(settings.base_url, "llm.base_url")
    allowed = {_normal(url, "llm.allowed_urls") for url in settings.allowed_urls}
    if address != DEFAULT_ADDRESS and address not in allowed and not is_loopback(address):
        raise Fault(
            "invalid_setting",
            "Texts may not be sent to this address.",
            value=f"llm.base_url = {address}",
            allowed=", ".join((DEFAULT_ADDRESS, *sorted(allowed), "an address of this machine")),
            next_step="If you trust it with your texts, name it in llm.allowed_urls.",
        )
    return address


def is_loopback(address: str) -> bool:
    """Whether an address is one of this machine: `localhost`, 127.0.0.0/8 or ::1, written out."""
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _normal(url: str, setting: str) -> str:
    """Lower-case host, no default port, no slash at the end."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _no_address(url, setting) from error
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in _PORTS or not parts.hostname or not plain or not url.isprintable() or "\\" in url:
        raise _no_address(url, setting)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = f":{port}" if port not in {None, _PORTS[parts.scheme]} else ""
    return f"{parts.scheme}://{host}{shown}{parts.path.rstrip('/')}"


def _no_address(url: str, setting: str) -> Fault:
    allowed = "http:// or https://, a host, perhaps a port and a path; no user name, query or fragment"
    # What stands before an @ may be a password.
    return Fault("invalid_setting", "This is no address.", value=f"{setting} = {url.rpartition('@')[2]}", allowed=allowed)
