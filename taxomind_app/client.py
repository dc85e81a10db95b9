"""A small typed client of /v1, synchronous and asynchronous.

    from taxomind_app.client import Client

    with Client("http://127.0.0.1:8000", token="tmx_...") as client:
        answer = client.classify("isco08", ["nurse on a children's ward"]).answers[0]
        client.correct("isco08", "chief happiness officer", "1212")

Every method returns a model of `taxomind_app.api.v1.models`; what the service refuses is a `Fault` with the service's own code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar
from urllib.parse import quote

import httpx2

from taxomind_app.api.v1 import growth_models, models, report_models
from taxomind_resources.faults import FAULTS, Fault

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class Call(Generic[M]):
    """One request, and the model of its answer."""

    method: str
    path: str
    answer: type[M]
    query: Mapping[str, str | int | bool] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


def _below(taxonomy: str, path: str) -> str:
    return f"/v1/taxonomies/{quote(taxonomy, safe='')}/{path}"


def _classify(taxonomy: str, texts: Sequence[str], explain: bool) -> Call[models.ClassifyAnswer]:
    body = {"taxonomy": taxonomy, "texts": list(texts), "explain": explain}
    return Call("POST", "/v1/classify", models.ClassifyAnswer, body=body)


def _search(taxonomy: str, query: str, limit: int) -> Call[models.SearchAnswer]:
    return Call("GET", _below(taxonomy, "search"), models.SearchAnswer, {"q": query, "limit": limit})


def _node(taxonomy: str, code: str) -> Call[models.NodeDetails]:
    return Call("GET", _below(taxonomy, f"nodes/{quote(code, safe='')}"), models.NodeDetails)


def _learn(taxonomy: str, text: str, code: str, action: str, annotator: str | None) -> Call[models.LearnAnswer]:
    body: dict[str, Any] = {"corrections": [{"text": text, "code": code, "action": action}]}
    if annotator is not None:
        body["annotator"] = annotator
    return Call("POST", _below(taxonomy, "corrections"), models.LearnAnswer, body=body)


def _withdraw(taxonomy: str, correction_id: str) -> Call[models.LearnAnswer]:
    return Call("DELETE", _below(taxonomy, f"corrections/{quote(correction_id, safe='')}"), models.LearnAnswer)


def _listed(taxonomy: str, name: str, answer: type[M], limit: int | None = None) -> Call[M]:
    return Call("GET", _below(taxonomy, name), answer, {} if limit is None else {"limit": limit})


def _jobs(taxonomy: str, limit: int) -> Call[report_models.JobRows]:
    return Call("GET", "/v1/jobs", report_models.JobRows, {"taxonomy": taxonomy, "limit": limit})


def _decide(taxonomy: str, key: str, action: str, more: Mapping[str, Any]) -> Call[growth_models.DecisionAnswer]:
    body = {"key": key, "action": action, **more}
    return Call("POST", _below(taxonomy, "decisions"), growth_models.DecisionAnswer, body=body)


def _arguments(call: Call[Any], tenant: str) -> dict[str, Any]:
    query = {**call.query, **({"tenant": tenant} if tenant else {})}
    return {"method": call.method, "url": call.path, "params": query, "json": call.body}


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _read(call: Call[M], response: httpx2.Response) -> M:
    if response.is_success:
        return call.answer.model_validate_json(response.content)
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    code, detail = problem.get("code"), problem.get("detail", f"The service answered {response.status_code}.")
    if code not in FAULTS:
        code = "provider_failed" if response.status_code >= 500 else "invalid_input"
    fault = Fault(code, str(detail), allowed=problem.get("allowed"), next_step=problem.get("next_step"))
    fault.value = problem.get("value")
    raise fault


def _unreachable(error: httpx2.HTTPError, address: str) -> Fault:
    what = f"The service cannot be reached: {error or type(error).__name__}."
    return Fault("provider_failed", what, value=address, next_step="`taxomind serve` starts it; check the address.")


class Client:
    """Calls a service and waits for its answers. Safe to share between threads; close it, or use it in a `with`.

    Args:
        address: of the service.
        token: a token of `taxomind token create`; None where the service asks for none.
        tenant: tenant to speak for, '' = the first of the token.
        timeout_s: seconds to wait for an answer.
        transport: of httpx, for tests.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        token: str | None = None,
        *,
        tenant: str = "",
        timeout_s: float = _TIMEOUT_S,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._tenant = tenant
        self._http = httpx2.Client(base_url=address, headers=_headers(token), timeout=timeout_s, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def send(self, call: Call[M]) -> M:
        """Send any request.

        Raises:
            Fault: the service's own code; `provider_failed` when it cannot be reached.
        """
        try:
            return _read(call, self._http.request(**_arguments(call, self._tenant)))
        except httpx2.HTTPError as error:
            raise _unreachable(error, str(self._http.base_url)) from error

    def taxonomies(self) -> models.Taxonomies:
        """The taxonomies of the tenant."""
        return self.send(Call("GET", "/v1/taxonomies", models.Taxonomies))

    def classify(self, taxonomy: str, texts: Sequence[str], *, explain: bool = False) -> models.ClassifyAnswer:
        """Answer some texts at once, on request with the reasons."""
        return self.send(_classify(taxonomy, texts, explain))

    def search(self, taxonomy: str, query: str, limit: int = 10) -> models.SearchAnswer:
        """Nodes whose code, label or alias fits what was typed."""
        return self.send(_search(taxonomy, query, limit))

    def node(self, taxonomy: str, code: str) -> models.NodeDetails:
        """A node with its texts, what is above it and what is below."""
        return self.send(_node(taxonomy, code))

    def correct(self, taxonomy: str, text: str, code: str, *, annotator: str | None = None) -> models.LearnAnswer:
        """Say where a text belongs; in effect when this returns."""
        return self.send(_learn(taxonomy, text, code, "correct", annotator))

    def confirm(self, taxonomy: str, text: str, code: str, *, annotator: str | None = None) -> models.LearnAnswer:
        """Say that an answer was right."""
        return self.send(_learn(taxonomy, text, code, "confirm", annotator))

    def withdraw(self, taxonomy: str, correction_id: str) -> models.LearnAnswer:
        """Take a correction back."""
        return self.send(_withdraw(taxonomy, correction_id))

    def corrections(self, taxonomy: str, limit: int = 100) -> models.CorrectionRows:
        """Corrections as they stand, the latest first."""
        return self.send(_listed(taxonomy, "corrections", models.CorrectionRows, limit))

    def queue(self, taxonomy: str, limit: int = 50) -> models.QueueAnswer:
        """Unsure answers in the order in which labels are worth most."""
        return self.send(_listed(taxonomy, "queue", models.QueueAnswer, limit))

    def contradictions(self, taxonomy: str) -> models.Contradictions:
        """Corrections that disagree or look out of place."""
        return self.send(_listed(taxonomy, "contradictions", models.Contradictions))

    def candidates(self, taxonomy: str) -> growth_models.Candidates:
        """Nodes that the texts ask for."""
        return self.send(_listed(taxonomy, "candidates", growth_models.Candidates))

    def decide(self, taxonomy: str, key: str, action: str, **more: Any) -> growth_models.DecisionAnswer:
        """Decide about a candidate; `more` as in `growth_models.DecisionBody`."""
        return self.send(_decide(taxonomy, key, action, more))

    def report(self, taxonomy: str) -> report_models.Report:
        """What was measured, and whether the texts change."""
        return self.send(_listed(taxonomy, "report", report_models.Report))

    def jobs(self, taxonomy: str = "", limit: int = 50) -> report_models.JobRows:
        """Jobs and runs of a taxonomy, or of all of the tenant, the latest first."""
        return self.send(_jobs(taxonomy, limit))


class AsyncClient:
    """As `Client`, for asyncio: every method is awaited; close it with `aclose`, or use it in an `async with`.

    Args:
        address, token, tenant, timeout_s, transport: as in `Client`.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        token: str | None = None,
        *,
        tenant: str = "",
        timeout_s: float = _TIMEOUT_S,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._tenant = tenant
        self._http = httpx2.AsyncClient(base_url=address, headers=_headers(token), timeout=timeout_s, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def send(self, call: Call[M]) -> M:
        """As `Client.send`.

        Raises:
            Fault: the service's own code; `provider_failed` when it cannot be reached.
        """
        try:
            return _read(call, await self._http.request(**_arguments(call, self._tenant)))
        except httpx2.HTTPError as error:
            raise _unreachable(error, str(self._http.base_url)) from error

    async def taxonomies(self) -> models.Taxonomies:
        """As `Client.taxonomies`."""
        return await self.send(Call("GET", "/v1/taxonomies", models.Taxonomies))

    async def classify(self, taxonomy: str, texts: Sequence[str], *, explain: bool = False) -> models.ClassifyAnswer:
        """As `Client.classify`."""
        return await self.send(_classify(taxonomy, texts, explain))

    async def search(self, taxonomy: str, query: str, limit: int = 10) -> models.SearchAnswer:
        """As `Client.search`."""
        return await self.send(_search(taxonomy, query, limit))

    async def node(self, taxonomy: str, code: str) -> models.NodeDetails:
        """As `Client.node`."""
        return await self.send(_node(taxonomy, code))

    async def correct(self, taxonomy: str, text: str, code: str, *, annotator: str | None = None) -> models.LearnAnswer:
        """As `Client.correct`."""
        return await self.send(_learn(taxonomy, text, code, "correct", annotator))

    async def confirm(self, taxonomy: str, text: str, code: str, *, annotator: str | None = None) -> models.LearnAnswer:
        """As `Client.confirm`."""
        return await self.send(_learn(taxonomy, text, code, "confirm", annotator))

    async def withdraw(self, taxonomy: str, correction_id: str) -> models.LearnAnswer:
        """As `Client.withdraw`."""
        return await self.send(_withdraw(taxonomy, correction_id))

    async def corrections(self, taxonomy: str, limit: int = 100) -> models.CorrectionRows:
        """As `Client.corrections`."""
        return await self.send(_listed(taxonomy, "corrections", models.CorrectionRows, limit))

    async def queue(self, taxonomy: str, limit: int = 50) -> models.QueueAnswer:
        """As `Client.queue`."""
        return await self.send(_listed(taxonomy, "queue", models.QueueAnswer, limit))

    async def contradictions(self, taxonomy: str) -> models.Contradictions:
        """As `Client.contradictions`."""
        return await self.send(_listed(taxonomy, "contradictions", models.Contradictions))

    async def candidates(self, taxonomy: str) -> growth_models.Candidates:
        """As `Client.candidates`."""
        return await self.send(_listed(taxonomy, "candidates", growth_models.Candidates))

    async def decide(self, taxonomy: str, key: str, action: str, **more: Any) -> growth_models.DecisionAnswer:
        """As `Client.decide`."""
        return await self.send(_decide(taxonomy, key, action, more))

    async def report(self, taxonomy: str) -> report_models.Report:
        """As `Client.report`."""
        return await self.send(_listed(taxonomy, "report", report_models.Report))

    async def jobs(self, taxonomy: str = "", limit: int = 50) -> report_models.JobRows:
        """As `Client.jobs`."""
        return await self.send(_jobs(taxonomy, limit))
