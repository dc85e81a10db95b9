"""A real HTTP server that speaks the chat protocol, with a model that is a plain function and faults on demand."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Model = Callable[[dict[str, Any]], str]


class ChatServer(ThreadingHTTPServer):
    """Answers /v1/chat/completions by `model`, which sees the parsed user message.

    Attributes:
        faults: what to do wrong, one entry per request: "429", "500", "slow", "refusal", "cut", ...; then all is well.
        always: a fault for every request.
        requests: bodies as they came; `keys` the keys that came with them; `times` when.
        most_at_once: most requests that were under way at a time.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, model: Model) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model
        self.faults: list[str] = []
        self.always = ""
        self.delay_s = 0.0
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.times: list[float] = []
        self.most_at_once = 0
        self.under_way = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.requests.append(body)
            server.keys.append(self.headers["Authorization"])
            server.times.append(time.monotonic())
            server.under_way += 1
            server.most_at_once = max(server.most_at_once, server.under_way)
            fault = server.faults.pop(0) if server.faults else server.always
        time.sleep(server.delay_s)
        with server.lock:
            server.under_way -= 1
        with contextlib.suppress(ConnectionError):  # the client did not wait
            self.respond(body, fault)

    def respond(self, body: dict[str, Any], fault: str) -> None:
        if self.path != "/v1/chat/completions":
            self.send(404, {"error": {"message": f"no such path {self.path}"}})
        elif fault.startswith("429"):
            code = "insufficient_quota" if fault == "429 no credit" else "rate_limit_exceeded"
            self.send(
                429, {"error": {"message": "slow down", "code": code}}, {"Retry-After": fault.partition(" after ")[2] or "1"}
            )
        elif fault.isdigit():
            # Some servers repeat what they were sent, the key included.
            self.send(int(fault), {"error": {"message": f"bad \x1b[31m {self.headers['Authorization']}"}})
        elif fault == "redirect":
            self.send(307, {}, {"Location": f"http://localhost:{self.server.server_port}/v1/chat/completions"})
        elif fault == "no schema" and "response_format" in body:
            self.send(400, {"error": {"message": "response_format is not supported"}})
        elif fault == "drops":
            self.close_connection = True
        elif fault == "dribbles":
            self.dribble()
        elif fault == "html":
            self.send(200, None)
        else:
            if fault == "slow":
                time.sleep(2)
            self.send(200, self.completion(body, fault))

    def completion(self, body: dict[str, Any], fault: str) -> dict[str, Any]:
        content = self.server.model(json.loads(body["messages"][-1]["content"]))
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        reason = "stop"
        if fault == "refusal":
            message.update(content=None, refusal="I cannot \x1b[2J help with that.")
        elif fault == "cut":
            message["content"], reason = content[: len(content) // 2], "length"
        elif fault == "malformed":
            message["content"] = content[:-1] + ",,}"
        elif fault == "wrong schema":
            message["content"] = '{"other": "thing"}'
        elif fault == "fenced":
            message["content"] = f"Here you are:\n```json\n{content}\n```\nAnything else?"
        choices = [] if fault == "no choices" else [{"index": 0, "message": message, "finish_reason": reason}]
        whole = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": choices}
        if fault != "no usage":
            whole["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return whole

    def dribble(self) -> None:
        """Always a byte more, never an end."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(40):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.05)
        self.close_connection = True

    def send(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        raw = b"<html>" if body is None else json.dumps(body).encode()
        kind = "text/html" if body is None else "application/json"
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(model: Model) -> Iterator[ChatServer]:
    """A server that runs until the block ends."""
    server = ChatServer(model)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
