"""Pages from templates: what all of them know, and the headers that they are sent with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from fastapi.responses import HTMLResponse

if TYPE_CHECKING:
    from jinja2 import Environment

    from taxomind_app.api.sessions import Session
    from taxomind_app.api.v1.deps import Called

PREFIX: Final = "/review"
#: Nothing but what this service serves: no inline script or style, no other site, no frame.
POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_TEMPLATES: Final = Path(__file__).with_name("templates")
_PAGES: Final[Mapping[str, str]] = {
    "classify": "Classify",
    "queue": "Queue",
    "growth": "Growth",
    "contradictions": "Contradictions",
    "report": "Report",
}


@dataclass(frozen=True)
class Page:
    """Where a page stands.

    Attributes:
        called: the request; None before somebody is known.
        session: its session.
        key: the taxonomy that it is about, '' = none.
    """

    called: Called | None
    session: Session | None
    key: str = ""

    @property
    def tenant(self) -> str:
        """The tenant that the address names, '' = none."""
        return self.called.tenant if self.called else ""

    @property
    def csrf(self) -> str:
        """What the header of requests that change something must say."""
        return self.session.csrf if self.session else ""

    @property
    def can_log_out(self) -> bool:
        """Whether there is a session that can end."""
        return bool(self.csrf)

    @property
    def names(self) -> Mapping[str, str]:
        """The pages of a taxonomy and their titles."""
        return _PAGES

    def can(self, scope: str) -> bool:
        """Whether the token allows it."""
        return self.session is not None and scope in self.session.caller.scopes

    def link(self, name: str = "") -> str:
        """Address of a page of this taxonomy; '' = the list of taxonomies."""
        query = f"?tenant={quote(self.tenant, safe='')}" if self.tenant else ""
        if not name:
            return PREFIX + query
        return f"{PREFIX}/{quote(self.key, safe='')}{'' if name == 'classify' else f'/{name}'}{query}"

    @property
    def dagster(self) -> str:
        """Address of Dagster's interface, which listens on this machine alone; '' when the page is seen from elsewhere."""
        if self.called is None:
            return ""
        host = self.called.request.url.hostname or ""
        own = self.called.service.service
        return f"http://{host}:{own.ui_port}" if host in {"localhost", "127.0.0.1"} else ""


def render(page: Page, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page as an answer."""
    html = _environment().get_template(template).render(page=page, prefix=PREFIX, **values)
    return HTMLResponse(html, status, {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"})


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from taxomind_app.cli.showing import REASONS

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["per_cent"] = per_cent
    made.filters["count"] = lambda number: f"{number:,}"
    made.filters["moment"] = lambda moment: moment.strftime("%Y-%m-%d %H:%M") if moment else "-"
    made.filters["reason"] = lambda reason: REASONS.get(reason, reason.replace("_", " "))
    made.filters["view"] = view_name
    return made


def per_cent(value: float | None) -> str:
    """A share for people."""
    return "-" if value is None else f"{100 * value:.0f} %"


def view_name(name: str | None) -> str:
    """What decided, in words."""
    if name is None:
        return "-"
    kind, _, rest = name.partition("_")
    words = {"evidence": "corrections", "voter": "learned voters"}.get(kind)
    return f"{words}: {rest.replace('_', ' ')}" if words else name.replace("_", " ")
