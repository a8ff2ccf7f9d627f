"""A web server on this machine that breaks off, goes on, and answers with pages."""

from __future__ import annotations

import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar


class Site:
    """Files by address, and what goes wrong with them.

    Attributes:
        files: Content by path, such as ``"/a/b.csv"``.
        cuts: After how many bytes of an answer the connection breaks, one cut an
            answer, by path.
        ranges: Whether a transfer can go on in the midst of a file.
        asked: Path and first byte of each request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: dict[str, list[int]] = {}
        self.ranges = True
        self.asked: list[tuple[str, int]] = []

        class Handler(_Handler):
            site = self

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: ClassVar[Site]

    def do_GET(self) -> None:
        content = self.site.files.get(self.path)
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.site.asked.append((self.path, start))
        if content is None:
            self.send_error(404)
            return
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        if self.headers.get("If-Range") not in (None, tag) or not self.site.ranges:
            start = 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        if self.site.ranges:
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", tag)
        rest = content[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        cuts = self.site.cuts.get(self.path)
        self.wfile.write(rest[: cuts.pop(0)] if cuts else rest)

    def log_message(self, *args: object) -> None:
        pass
