"""Messages about what failed, to a webhook and by e-mail, where the settings name them."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_resources.settings import AlertSettings

_TIMEOUT_S: Final = 8.0
#: Sensors that deliver have a minute for all.
_TRIES: Final = 2


@dataclass(frozen=True)
class Alert:
    """One message.

    Attributes:
        title: a line.
        lines: what failed, a line each.
        details: the same for programs; strings, numbers and lists of them.
    """

    title: str
    lines: tuple[str, ...]
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Title and lines."""
        return "\n".join((self.title, *self.lines))


def deliver(alert: Alert, settings: AlertSettings) -> dict[str, str]:
    """Send a message to all that the settings name.

    Args:
        alert: the message. The webhook gets it as JSON with `title`, `text` (which chats show) and the details.
        settings: where to.

    Returns:
        What became of it: `webhook`, `email` -> '' when it was delivered, else why not; nothing when nobody is named.
    """
    channels: dict[str, Callable[[Alert, AlertSettings], None]] = {}
    if settings.webhook_url:
        channels["webhook"] = _call
    if settings.email_to:
        channels["email"] = _mail
    return {name: _tried(send, alert, settings) for name, send in channels.items()}


def _tried(send: Callable[[Alert, AlertSettings], None], alert: Alert, settings: AlertSettings) -> str:
    why = ""
    for _ in range(_TRIES):
        try:
            send(alert, settings)
        except (OSError, smtplib.SMTPException, Fault) as error:
            # Without the address: that of a webhook is a secret.
            why = f"{type(error).__name__}: {error.what if isinstance(error, Fault) else error}"
        else:
            return ""
    return why


def _call(alert: Alert, settings: AlertSettings) -> None:
    import httpx2

    content = {"title": alert.title, "text": alert.text, **alert.details}
    try:
        answer = httpx2.post(str(settings.webhook_url), json=content, timeout=_TIMEOUT_S, follow_redirects=False)
    except httpx2.HTTPError as error:
        raise Fault("alert_failed", f"The webhook cannot be reached: {type(error).__name__}.") from error
    if not answer.is_success:
        raise Fault("alert_failed", f"The webhook answered {answer.status_code}.")


def _mail(alert: Alert, settings: AlertSettings) -> None:
    message = EmailMessage()
    message["Subject"] = f"[taxomind] {' '.join(alert.title.split())[:200]}"
    message["From"] = settings.email_from
    message["To"] = ", ".join(settings.email_to)
    message.set_content(alert.text)
    trusted = ssl.create_default_context()
    if settings.smtp_encryption == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(settings.smtp_host, settings.smtp_port, timeout=_TIMEOUT_S, context=trusted)
    else:
        server = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_TIMEOUT_S)
    with server:
        if settings.smtp_encryption == "starttls":
            server.starttls(context=trusted)
        if settings.smtp_user is not None:
            server.login(settings.smtp_user, settings.smtp_password or "")
        server.send_message(message)
