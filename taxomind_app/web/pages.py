"""The pages below /review. They show what /v1 tells, and their script changes things through /v1 alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from taxomind_app.api.deps import CurrentService
from taxomind_app.api.sessions import COOKIE, Session, Sessions, check_csrf, session_of
from taxomind_app.api.v1.deps import Called
from taxomind_app.web.rendering import PREFIX, Page, render
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from fastapi import FastAPI

    from taxomind_app.api.jobs import Place

_STATIC: Final = Path(__file__).with_name("static")
_LOGIN: Final = f"{PREFIX}/login"
_QUEUED: Final = 50
_LONGEST_FORM: Final = 4096
#: Characters of a text in an address; longer ones are for /v1.
_LONGEST_TEXT: Final = 10_000
_SEE_OTHER: Final = 303


class PageRoute(APIRoute):
    """A route whose faults are pages as well."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """As `APIRoute.get_route_handler`."""
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                answer: Response = await handler(request)
            except RequestValidationError as error:
                found = error.errors()[0]
                fault = Fault("invalid_input", f"{found['loc'][-1]}: {found['msg']}.")
            except Fault as own:
                if own.code == "storage_failed":
                    raise  # it speaks of our storage, and goes to the log
                fault = own
            else:
                return answer
            return render(Page(None, None), "fault.html", status=fault.kind.http_status, fault=fault)

        return answered


router = APIRouter(prefix=PREFIX, include_in_schema=False, route_class=PageRoute)


class LoginNeededError(Exception):
    """The page needs a session. `here`: where to go on after it."""

    def __init__(self, here: str) -> None:
        super().__init__(here)
        self.here = here


def add_pages(app: FastAPI) -> None:
    """Add the review page to an application that has /v1."""
    app.mount(f"{PREFIX}/static", StaticFiles(directory=_STATIC), name="review-static")
    app.include_router(router)

    @app.exception_handler(LoginNeededError)
    def log_in(request: Request, error: LoginNeededError) -> RedirectResponse:
        return RedirectResponse(f"{_LOGIN}?next={quote(error.here, safe='')}", _SEE_OTHER)


def visiting(
    request: Request, service: CurrentService, tenant: Annotated[str, Query(max_length=1000)] = ""
) -> tuple[Called, Session]:
    """Dependency: who looks at a page.

    Raises:
        LoginNeededError: there is no session.
        Fault: `rate_limited` or `scope_forbidden`.
    """
    session = session_of(request)
    if session is None:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        raise LoginNeededError(here)
    request.state.token = session.caller.token
    request.app.state.rates.check(session.caller.token, reads=True)
    session.caller.check("read")
    return Called(session.caller, service, request, tenant), session


Visit = Annotated[tuple[Called, Session], Depends(visiting)]


@router.get("")
def home(visit: Visit) -> Response:
    """The taxonomies; of a single one its first page."""
    from taxomind_app.api.v1.taxonomies import taxonomies

    called, session = visit
    found = taxonomies(called)
    ready = [row for row in found["taxonomies"] if row["is_ready"]]
    if len(ready) == 1 == len(found["taxonomies"]):
        return RedirectResponse(Page(called, session, ready[0]["key"]).link("classify"), _SEE_OTHER)
    return render(Page(called, session), "home.html", **found)


@router.get("/login")
def login(request: Request, next: str = PREFIX) -> Response:
    """Ask for a token; without tokens there is nothing to ask for."""
    if not request.app.state.gate.service.auth_enabled:
        return RedirectResponse(PREFIX, _SEE_OTHER)
    return render(Page(None, None), "login.html", here=_own_path(next))


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Open a session for a valid token."""
    check_login(request)
    form = await _form(request)
    here = _own_path(form.get("next", ""))
    sessions: Sessions = request.app.state.sessions
    request.app.state.rates.check(f"login {request.client.host if request.client else ''}", reads=False)
    try:
        cookie = sessions.open(form.get("token", "").strip())
    except Fault as fault:
        return render(Page(None, None), "login.html", here=here, problem=fault.what, status=fault.kind.http_status)
    answer = RedirectResponse(here, _SEE_OTHER)
    is_https = request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").lower() == "https"
    answer.set_cookie(COOKIE, cookie, max_age=sessions.seconds, httponly=True, samesite="strict", secure=is_https, path="/")
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End the session in this browser."""
    session = session_of(request)
    if session is not None:
        form = await _form(request)
        check_csrf(request, session, form.get("csrf", ""))
    answer = RedirectResponse(_LOGIN, _SEE_OTHER)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


@router.get("/{key}")
def classify_page(key: str, visit: Visit, text: Annotated[str, Query(max_length=_LONGEST_TEXT)] = "") -> Response:
    """Answer one text and say why."""
    page, called, place = _opened(key, visit)
    explained = None
    if text.strip():
        from taxomind_app.api.v1.classifying import check_texts
        from taxomind_app.api.v1.shapes import answer_of

        called.caller.check("classify")
        check_texts([text], called.service, explain=True)
        classifier = called.resident(place).ready().classifier
        row = classifier.explain(text)
        explained = answer_of(classifier.tree, row, row)
    return render(page, "classify.html", at="classify", text=text, answer=explained)


@router.get("/{key}/queue")
def queue_page(key: str, visit: Visit) -> Response:
    """The unsure answers, to be labelled with the keyboard."""
    from taxomind_app.api.v1.correcting import queue

    page, called, _ = _opened(key, visit)
    return render(page, "queue.html", at="queue", items=queue(key, called, _QUEUED)["items"])


@router.get("/{key}/growth")
def growth_page(key: str, visit: Visit, include_skipped: bool = False) -> Response:
    """What the texts ask for."""
    from taxomind_app.api.v1.growing import candidates, decisions

    page, called, _ = _opened(key, visit)
    found = candidates(key, called, include_skipped)
    made = decisions(key, called, 20)["decisions"]
    return render(page, "growth.html", at="growth", **found, decisions=made, include_skipped=include_skipped)


@router.get("/{key}/contradictions")
def contradictions_page(key: str, visit: Visit) -> Response:
    """Corrections that disagree, by their text."""
    from taxomind_app.api.v1.correcting import contradictions

    page, called, _ = _opened(key, visit)
    by_text: dict[str, list[Mapping[str, Any]]] = {}
    for row in contradictions(key, called)["contradictions"]:
        by_text.setdefault(row["text"], []).append(row)
    return render(page, "contradictions.html", at="contradictions", by_text=by_text)


@router.get("/{key}/report")
def report_page(key: str, visit: Visit) -> Response:
    """The figures of the report, drawn."""
    import pyarrow.compute as pc

    from taxomind_app.api.v1.reporting import report_of
    from taxomind_app.web import charts
    from taxomind_assets.reports.summary import headline

    page, called, place = _opened(key, visit)
    found = report_of(called, place)
    metrics = called.service.outputs.read("reports.metrics", place.stored)
    served = metrics.filter(pc.equal(metrics["strategy"], "served"))
    drawn = {
        "coverage": charts.coverage_accuracy(found["coverage"]),
        "reliability": charts.reliability(found["reliability"]),
        "confusion": charts.confusion(found["confusion"]),
        "drift": charts.drift(found["drift"]),
    }
    return render(page, "report.html", at="report", report=found, headline=headline(served), drawn=drawn)


def check_login(request: Request) -> None:
    """A form of another site must not log anybody in as somebody else."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in {None, "same-origin", "none"}:
        raise Fault("unauthorized", "The form comes from another site.", value=origin or site)


def _opened(key: str, visit: tuple[Called, Session]) -> tuple[Page, Called, Place]:
    called, session = visit
    return Page(called, session, key), called, called.place(key)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form."""
    from urllib.parse import parse_qsl

    body = await request.body()
    if len(body) > _LONGEST_FORM:
        raise Fault("too_large", "The form is too long.", allowed=f"at most {_LONGEST_FORM:,} bytes")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _own_path(here: str) -> str:
    """A path below the review page; anything else becomes its first page."""
    is_own = here == PREFIX or here.startswith((f"{PREFIX}/", f"{PREFIX}?"))
    return here if is_own and not here.startswith(_LOGIN) and "\\" not in here and here.isprintable() else PREFIX
