"""The openai provider against a real HTTP server that speaks the protocol, with and without faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from taxomind_resources.embedding import embedding_spec, load_embedder
from taxomind_resources.embedding.endpoint import EndpointEncoder, RateLimit
from taxomind_resources.faults import Fault

WIDTH = 12


def vector_of(text: str) -> list[float]:
    """Not of unit length, and different for different texts."""
    return [float(len(text)), *(float(sum(map(ord, text[i::11]))) for i in range(WIDTH - 1))]


class EmbeddingServer(ThreadingHTTPServer):
    """Answers /v1/embeddings. `faults` holds what to do wrong, one entry per request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: list[str] = []
        self.requests: list[list[str]] = []
        self.bodies: list[dict[str, object]] = []
        self.times: list[float] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        server.times.append(time.monotonic())
        server.requests.append(body["input"])
        server.bodies.append(body)
        fault = server.faults.pop(0) if server.faults else ""
        if fault == "429":
            self.answer(429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})
        elif fault in {"500", "401"}:
            self.answer(int(fault), {"error": {"message": "broken"}}, {})
        elif fault == "not json":
            self.answer(200, None, {})
        else:
            if fault == "slow":
                time.sleep(1.5)
            self.answer(200, self.embeddings(body["input"], fault), {})

    def embeddings(self, texts: list[str], fault: str) -> dict[str, object]:
        items = [{"object": "embedding", "index": i, "embedding": vector_of(text)} for i, text in enumerate(texts)]
        if fault == "shuffled":
            items.reverse()
        elif fault == "one short":
            items.pop()
        elif fault == "twice the same":
            items[-1] = items[0]
        elif fault == "other width":
            for item in items:
                item["embedding"] = item["embedding"][:-1]
        elif fault == "ragged":
            items[0]["embedding"] = items[0]["embedding"][:-1]
        elif fault == "empty":
            items = [{**item, "embedding": []} for item in items]
        elif fault == "no numbers":
            items[0]["embedding"][0] = float("nan")
        return {"object": "list", "data": items, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}

    def answer(self, status: int, body: object, headers: dict[str, str]) -> None:
        raw = b"<html>" if body is None else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)
        except ConnectionError:
            pass  # the client did not wait

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    subject = EmbeddingServer()
    thread = threading.Thread(target=subject.serve_forever, daemon=True)
    thread.start()
    yield subject
    subject.shutdown()
    subject.server_close()


@pytest.fixture
def endpoint(server, settings):
    values = {"provider": "openai", "model": "m", "base_url": server.url, "api_key": "k", "dimensions": WIDTH, "timeout_s": 5}
    return lambda **changes: EndpointEncoder(settings(**(values | {"max_retries": 2, "requests_per_minute": 60_000} | changes)))


def expected(texts: list[str]) -> np.ndarray:
    rows = np.array([vector_of(text) for text in texts], dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


TEXTS = [f"text number {'x' * i}" for i in range(7)]


def test_vectors_come_in_order_over_several_requests(server, endpoint):
    vectors = endpoint(request_texts=3).encode(TEXTS, "query")
    np.testing.assert_allclose(vectors, expected(TEXTS), rtol=1e-6)
    assert [len(request) for request in server.requests] == [3, 3, 1]


def test_the_order_is_restored_by_index(server, endpoint):
    server.faults = ["shuffled"]
    np.testing.assert_allclose(endpoint().encode(TEXTS, "query"), expected(TEXTS), rtol=1e-6)


def test_prompts_are_put_before_the_texts_of_their_kind(server, endpoint):
    subject = endpoint(query_prompt="query: ", document_prompt="passage: ")
    subject.encode(["a"], "query")
    subject.encode(["a"], "document")
    assert server.requests == [["query: a"], ["passage: a"]]


def test_a_busy_server_is_given_the_time_that_it_asks_for(server, endpoint):
    server.faults = ["429"]
    np.testing.assert_allclose(endpoint().encode(TEXTS, "query"), expected(TEXTS), rtol=1e-6)
    assert server.times[1] - server.times[0] >= 1


def test_a_failing_server_is_asked_again(server, endpoint):
    server.faults = ["500", "500"]
    np.testing.assert_allclose(endpoint().encode(TEXTS, "query"), expected(TEXTS), rtol=1e-6)
    assert len(server.requests) == 3


def test_a_slow_answer_is_asked_for_again(server, endpoint):
    server.faults = ["slow"]
    np.testing.assert_allclose(endpoint(timeout_s=0.5).encode(TEXTS, "query"), expected(TEXTS), rtol=1e-6)
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["500", "slow"])
def test_lasting_failure_is_a_fault_after_the_last_try(server, endpoint, fault):
    server.faults = [fault] * 2
    with pytest.raises(Fault) as caught:
        endpoint(max_retries=1, timeout_s=0.5).encode(TEXTS, "query")
    assert caught.value.code == "provider_failed"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "fault", ["401", "not json", "one short", "twice the same", "other width", "ragged", "empty", "no numbers"]
)
def test_a_wrong_answer_is_a_fault_and_not_asked_for_again(server, endpoint, fault):
    server.faults = [fault]
    with pytest.raises(Fault) as caught:
        endpoint().encode(TEXTS, "query")
    assert caught.value.code == "provider_failed"
    assert server.url in caught.value.what
    assert len(server.requests) == 1


def test_no_server_is_a_fault(server, endpoint):
    with pytest.raises(Fault) as caught:
        endpoint(base_url="http://127.0.0.1:9/v1", max_retries=0).encode(TEXTS, "query")
    assert caught.value.code == "provider_failed"


def test_a_wider_vector_is_cut_only_when_dimensions_are_set(server, endpoint):
    short = endpoint(dimensions=8).encode(TEXTS, "query")
    rows = expected(TEXTS)[:, :8]
    np.testing.assert_allclose(short, rows / np.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-5)
    asked = endpoint(dimensions=None)
    assert asked.spec.dimensions == WIDTH
    server.faults = ["other width"]
    with pytest.raises(Fault) as caught:
        asked.encode(TEXTS, "query")
    assert caught.value.code == "provider_failed"


def test_long_texts_are_sent_in_parts(server, endpoint):
    text = " ".join(["word"] * 100)
    vectors = endpoint(max_tokens=40).encode(["short", text], "query")
    sent = server.requests[0]
    assert len(sent) > 3
    assert max(len(part.encode()) for part in sent) <= 120
    parts = expected(sent)[1:].mean(axis=0)
    np.testing.assert_allclose(vectors[1], parts / np.linalg.norm(parts), rtol=1e-5)


def test_requests_keep_the_rate(server, endpoint):
    endpoint(request_texts=1, requests_per_minute=1200).encode(TEXTS, "query")
    assert server.times[-1] - server.times[0] >= 0.05 * (len(TEXTS) - 1) - 0.1  # the first may arrive late


def test_the_rate_holds_over_threads():
    rate = RateLimit(3000)
    begin = time.monotonic()
    threads = [threading.Thread(target=lambda: [rate.wait() for _ in range(5)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begin >= 14 * 0.02


def test_pieces_are_estimated_from_bytes(endpoint):
    assert endpoint().word_pieces(["nurse", "", "é"]).tolist() == [2, 0, 1]


def test_openai_itself_wants_a_key(settings, monkeypatch, tmp_path: Path):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(Fault) as caught:
        load_embedder(settings(provider="openai", model="text-embedding-3-small"), tmp_path)
    assert caught.value.code == "invalid_setting"


def test_addresses_and_models_have_vectors_of_their_own(endpoint, server):
    one = endpoint().spec
    assert one.vector_class == endpoint(base_url=server.url + "/").spec.vector_class
    assert one.vector_class != endpoint(model="other").spec.vector_class
    assert one.vector_class != endpoint(base_url="http://127.0.0.1:9/v1").spec.vector_class


def test_answers_are_cached_like_those_of_any_model(server, settings, tmp_path: Path):
    chosen = settings(provider="openai", model="m", base_url=server.url, dimensions=WIDTH, cache=True)
    first = load_embedder(chosen, tmp_path).embed(TEXTS, "query")
    again = load_embedder(chosen, tmp_path).embed(TEXTS, "query")
    np.testing.assert_array_equal(first, again)
    assert len(server.requests) == 1
    assert embedding_spec(chosen, tmp_path).dimensions == WIDTH
