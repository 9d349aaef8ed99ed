"""A real Chromium without a screen, driven by its own protocol over a WebSocket: no driver program, no library."""

from __future__ import annotations

import asyncio
import base64
import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.parts import programs
from tests.parts.loopback import HOST, Ports, answers
from tests.parts.process import Part, Program
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.parts.guard import Guard

CALL_SECONDS = 120.0
MESSAGE_MAX_BYTES = 64 * 1024 * 1024
KEYS = {"Enter": 13, "Escape": 27, "PageDown": 34, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowDown": 40, "Tab": 9}
"""Windows' codes of keys, which the protocol asks for."""


class PageError(AssertionError):
    """The page threw, or a script on it did."""


@dataclass
class Page:
    """One tab."""

    socket: aiohttp.ClientWebSocketResponse
    problems: list[str] = field(default_factory=list)
    """What was thrown and not caught, what the page's own policy refused, and what could not be loaded."""
    expected: str = ""
    """A problem that says this is what a test is about."""
    _waiting: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol. Raises `PageError` where the browser refuses it."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(CALL_SECONDS):
            answer = await self._waiting[number]
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def listen(self) -> None:
        """Take in what the browser says, until it is gone."""
        async for message in self.socket:
            said = message.json()
            if (waiting := self._waiting.pop(said.get("id", -1), None)) and not waiting.done():
                waiting.set_result(said)
            elif said.get("method") == "Runtime.exceptionThrown":
                self.problems.append(str(said["params"]["exceptionDetails"]))
            elif said.get("method") == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.problems.append(str(said["params"]["entry"]["text"]))

    async def go(self, url: str) -> None:
        """Open a page anew, and return once its script has run."""
        await self.call("Page.navigate", url="about:blank")
        await self.call("Page.navigate", url=url)

    async def js(self, expression: str) -> Any:
        """Return the value of an expression on the page, awaited. Raises `PageError` with what it threw."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise PageError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def until(self, expression: str, what: str) -> Any:
        """Return an expression's value once it is true."""

        async def check() -> Any:
            return await self.js(expression)

        return await until(check, what)

    async def press(self, key: str) -> None:
        """Press a key and let it go, where the focus is."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = KEYS.get(key, ord(key[0].upper()))
        about = {"key": key, "code": key if len(key) > 1 else f"Key{key.upper()}", "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    async def click(self, x: float, y: float) -> None:
        """Click at a place of the window, in CSS pixels."""
        at = {"x": x, "y": y, "button": "left", "clickCount": 1}
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, **at)

    async def shape(self, width: int, height: int, scale: float = 1) -> None:
        """Have the window be of a size."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    async def prefer(self, **features: str) -> None:
        """Set media features, such as `prefers_color_scheme="dark"`."""
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", features=told)

    async def tree(self) -> list[dict[str, Any]]:
        """Return what a screen reader is told of the page: nodes with role, name and properties."""
        await self.call("Accessibility.enable")
        found = (await self.call("Accessibility.getFullAXTree"))["nodes"]
        return [node for node in found if not node.get("ignored")]

    async def picture(self) -> bytes:
        """Return the window as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])


class Chromium:
    """A browser process with a profile of its own, on loopback."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        self.port = Ports().take()
        self._url = f"http://{HOST}:{self.port}/json"
        argv: list[str | Path] = [
            programs.find("chromium"),
            "--headless=new",
            "--no-sandbox",  # tests run as root, in containers too
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--disable-sync",
            "--no-first-run",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            "--remote-allow-origins=*",
            f"--remote-debugging-port={self.port}",
            f"--user-data-dir={folder / 'profile'}",
            "about:blank",
        ]
        self.part = Part(Program("chromium", argv, folder / "chromium.log", answers(f"{self._url}/version")), guard)

    @asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """Open a tab. Raises `PageError` at the end where the page had a problem."""
        async with aiohttp.ClientSession() as session:
            async with session.put(f"{self._url}/new?about:blank") as answer:
                tab = await answer.json(content_type=None)
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=MESSAGE_MAX_BYTES) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                try:
                    for domain in ("Page", "Runtime", "Log"):
                        await page.call(f"{domain}.enable")
                    await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
                    yield page
                finally:
                    await page.call("Page.close")
                    listening.cancel()
                    await asyncio.gather(listening, return_exceptions=True)
        if found := [each for each in page.problems if not (page.expected and page.expected in each)]:
            raise PageError("; ".join(found))
