"""Chromium without a window, driven through its DevTools protocol over a pipe: no library, no port, no driver."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
SECONDS = 60.0  # for one answer; a busy machine takes long to start a browser

_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
_WHOLE = "document.readyState === 'complete' && document.documentElement.classList.contains('scripted')"

# DevTools speaks on descriptors 3 and 4, whatever ours are
_WIRED = """
import fcntl, os, sys
here, ours = (fcntl.fcntl(int(n), fcntl.F_DUPFD_CLOEXEC, 10) for n in sys.argv[1:3])
os.dup2(here, 3)
os.dup2(ours, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Refused(Exception):
    """What the browser would not do."""


class Browser:
    """One tab. problems: what it logged as warnings or errors, requests: the addresses it asked for."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, back: int) -> None:
        self._process, self._to, self._back, self._read, self._count = process, to, back, b"", 0
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._session = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One call of the protocol, and its result. Raises Refused."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            met = self._next()
            if met.get("id") == self._count:
                if "error" in met:
                    raise Refused(f"{method}: {met['error']}")
                return met["result"]
            self._event(met)

    def open(self, file: Path, width: int = 1280, height: int = 900) -> None:
        """Show a file in a window of this size, whole."""
        phone = width < 600
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.ask("Page.navigate", url=file.absolute().as_uri())
        self.until(_WHOLE)

    def eval(self, script: str) -> Any:
        """The value of an expression in the page."""
        made = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in made, made["exceptionDetails"]
        return made["result"].get("value")

    def until(self, script: str) -> None:
        """Wait for an expression to become true."""
        end = time.monotonic() + SECONDS
        while True:
            with suppress(Refused):  # the page is just being left
                if self.eval(script):
                    return
            assert time.monotonic() < end, f"never came true: {script}"
            time.sleep(0.02)

    def reload(self) -> None:
        """The page anew."""
        self.eval("window.stale = true")
        self.ask("Page.reload")
        self.until(f"!window.stale && {_WHOLE}")

    def press(self, key: str) -> None:
        """A key, as a person presses it."""
        text = {"Enter": "\r", " ": " "}.get(key)
        code = {"Enter": 13, "Tab": 9, " ": 32, "Escape": 27, "ArrowRight": 39, "ArrowLeft": 37}[key]
        common = {"key": key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, file: Path, whole: bool = True) -> None:
        """A screenshot as PNG; of the whole page or of what is in sight."""
        made = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(made["data"]))

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._back], [], [], max(0.0, end - time.monotonic()))
            met = os.read(self._back, 1 << 20) if ready else b""
            assert met, f"the browser says nothing any more (exit code {self._process.poll()})"
            self._read += met
        message, self._read = self._read.split(b"\0", 1)
        return json.loads(message)

    def _event(self, met: dict[str, Any]) -> None:
        said = met.get("params", {})
        if met.get("method") == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        if met.get("method") == "Log.entryAdded":
            self.problems.append(said["entry"]["text"])
        if met.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(said["exceptionDetails"]))
        if met.get("method") == "Runtime.consoleAPICalled":
            self.problems.append(json.dumps(said["args"]))


@contextmanager
def started(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `folder`, gone afterwards."""
    assert CHROMIUM
    (here, there), (theirs, ours) = os.pipe(), os.pipe()
    wired = [sys.executable, "-c", _WIRED, str(here), str(ours), CHROMIUM, *_QUIET, "--remote-debugging-pipe"]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen([*wired, f"--user-data-dir={folder}"], pass_fds=(here, ours), stderr=log, stdout=log)
    os.close(here)
    os.close(ours)
    try:
        yield Browser(process, there, theirs)
    finally:
        process.terminate()
        process.wait(30)
        os.close(there)
        os.close(theirs)
