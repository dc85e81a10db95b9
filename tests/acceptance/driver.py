"""A headless Chromium that is driven by keys: pages, screenshots, dark mode and phones, by its own debugging protocol.

`browser.look` is enough to see a page; this is for what a person does on it.
"""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import ClientConnection, connect

from tests.acceptance.browser import _FLAGS, _ends_with_this_process, _kill_group, find_browser

#: Key codes of keys that write nothing.
_NAMED: Final = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowUp": 38, "ArrowDown": 40, "Backspace": 8}


class Tab:
    """The one page of a browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        #: What the page logged or threw, for tests that want none of it.
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        """A command and its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            found = json.loads(self._socket.recv(timeout=30))
            if found.get("id") == self._number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                return found.get("result", {})
            self._note(found)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(event["params"]["exceptionDetails"])[:500])
        elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.complaints.append(str(event["params"]["entry"].get("text")))

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript comes to."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:500])
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 20) -> Any:
        """Wait until an expression holds; returns its value.

        Raises:
            TimeoutError: it did not.
        """
        end = time.monotonic() + seconds
        while not (found := self.value(expression)):
            if time.monotonic() > end:
                page = "[document.title, document.querySelector('#status')?.textContent, document.activeElement.outerHTML]"
                said = self.value(page)
                raise TimeoutError(f"it never came to pass: {expression}; {said}; {self.complaints}")
            time.sleep(0.03)
        return found

    def open(self, url: str) -> None:
        """Load a page, its script included."""
        self.value("window.isFormerPage = true")
        self.send("Page.navigate", url=url)
        self.wait("!window.isFormerPage && document.readyState === 'complete'")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            code = _NAMED.get(key, ord(key[0].upper()))
            text = {"Enter": "\r"}.get(key, key if key not in _NAMED else "")
            own = {"key": key, "windowsVirtualKeyCode": code}
            self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **own)
            self.send("Input.dispatchKeyEvent", type="keyUp", **own)

    def type(self, text: str) -> None:
        """Type a text."""
        self.press(*text)

    def dress(self, width: int, height: int, *, dark: bool = False, scale: float = 1, phone: bool = False) -> None:
        """The window in CSS pixels, and whether it is dark."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def shoot(self, target: Path) -> None:
        """A screenshot of the window as PNG."""
        target.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def driven(seconds: float = 30) -> Iterator[Tab]:
    """A browser with one empty page.

    Raises:
        RuntimeError: it did not start within `seconds`.
    """
    browser = find_browser()
    assert browser is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, _ends_with_this_process():
        command = [browser, *_FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            port = _port(Path(profile) / "DevToolsActivePort", time.monotonic() + seconds)
            with connect(_page(port, time.monotonic() + seconds), max_size=None, proxy=None) as socket:
                yield Tab(socket)
        finally:
            _kill_group(process)


def _port(file: Path, end: float) -> int:
    while time.monotonic() < end:
        if file.is_file() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise RuntimeError("The browser does not start.")


def _page(port: int, end: float) -> str:
    from urllib.request import urlopen

    while time.monotonic() < end:
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            pages = [page for page in json.load(answer) if page["type"] == "page"]
        if pages:
            return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise RuntimeError("The browser has no page.")
