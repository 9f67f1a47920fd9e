"""A server on 127.0.0.1 that gives files from the byte on that is asked for, fails as it is told to, and counts."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


class Web(ThreadingHTTPServer):
    """`files` by path; `status` of paths that fail; `breaks`: how many answers of a path end in their middle.

    `said` is the Content-Range of a path's pieces in the place of the true one; `most`, how many bytes a piece has.
    `hold` makes answers of a path wait for `released`, once half of them is sent. `asked` counts requests by path.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.status: dict[str, int] = {}
        self.breaks: Counter[str] = Counter()
        self.said: dict[str, str] = {}
        self.most: dict[str, int] = {}
        self.hold: set[str] = set()
        self.holding, self.released = threading.Event(), threading.Event()
        self.asked: Counter[str] = Counter()
        self.ranges: list[str | None] = []
        self.cookies: list[str | None] = []
        self.agents: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Web:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent: a client was killed."""


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_HEAD(self) -> None:  # yt-dlp asks so first
        self.do_GET()

    def do_GET(self) -> None:
        web, path = self.server, self.path
        if self.command == "GET":
            web.asked[path] += 1
            web.ranges.append(self.headers["Range"])
            web.cookies.append(self.headers["Cookie"])
            web.agents.append(self.headers["User-Agent"])
        if path in web.status or path not in web.files:
            return self.send_error(web.status.get(path, 404))
        content = web.files[path]
        first = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
        if first >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = content[first:]
        if self.headers["Range"]:
            body = body[: web.most.get(path)]
        self.send_response(206 if self.headers["Range"] else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(body)))
        if self.headers["Range"]:
            piece = f"bytes {first}-{first + len(body) - 1}/{len(content)}"
            self.send_header("Content-Range", web.said.get(path, piece))
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(body) // 2
        self.wfile.write(body[:half])
        if path in web.hold:
            web.holding.set()
            web.released.wait(60)
        if web.breaks[path]:
            web.breaks[path] -= 1
            return
        self.wfile.write(body[half:])

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""
