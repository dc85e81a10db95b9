"""What the tests of /v1 and of the review page share: a service over a copy of the built data root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from taxomind_app.api.app import create_app
from taxomind_resources.settings import DATA_VARIABLE, Settings, load_settings

SECRET = "a-secret-for-v1"
PATH = "/v1/taxonomies/living"


@dataclass
class Answering:
    """A service in this process."""

    app: FastAPI
    http: TestClient
    data: Path

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """GET; the answer must have this status."""
        return self._json(self.http.get(path, params=query), status)

    def post(self, path: str, body: Any, status: int = 200, **headers: str) -> Any:
        """POST; the answer must have this status."""
        return self._json(self.http.post(path, json=body, headers=headers), status)

    def delete(self, path: str, status: int = 200) -> Any:
        """DELETE; the answer must have this status."""
        return self._json(self.http.delete(path), status)

    def _json(self, answer: Any, status: int) -> Any:
        assert answer.status_code == status, answer.text
        kind = "application/json" if status < 400 else "application/problem+json"
        assert answer.headers["content-type"] == kind
        return answer.json()

    def code_of(self, text: str) -> str | None:
        """The code that a text is answered with."""
        found = self.post("/v1/classify", {"taxonomy": "living", "texts": [text]})
        code: str | None = found["answers"][0]["code"]
        return code

    def teach(self, text: str, code: str, **more: Any) -> Any:
        """A correction, accepted."""
        return self.post(f"{PATH}/corrections", {"corrections": [{"text": text, "code": code}], **more})

    def problem(self, answer: Any) -> tuple[int, str]:
        """(status, code) of a refusal."""
        found = answer.json()
        assert found["status"] == answer.status_code
        return answer.status_code, found["code"]


def answering(data: Path, patch: Any, **service: Any) -> Answering:
    """A service over a data root; with tokens unless `auth_enabled` says otherwise."""
    patch.setenv(DATA_VARIABLE, str(data))
    patch.setenv("API_TOKENS", SECRET)
    values = load_settings(data).model_dump()
    settings = Settings.model_validate({**values, "service": {**values["service"], **service}, "data": data})
    app = create_app(settings)
    http = TestClient(app, base_url="http://localhost", raise_server_exceptions=False, follow_redirects=False)
    if settings.service.auth_enabled:
        http.headers["Authorization"] = f"Bearer {SECRET}"
    return Answering(app, http, data)
