"""A small HTTP server that can give a part of a file, as rauc asks for. Imports nothing of here."""

import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(False)

    def do_GET(self):
        self._answer(True)

    def _answer(self, content):
        path = os.path.join(self.server.folder, os.path.basename(self.path))
        if not os.path.isfile(path):
            self.send_error(404)
            return
        size = os.path.getsize(path)
        first, last = 0, size - 1
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or last), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        if content:
            self.server.asked_for_parts += bool(asked)
            with open(path, "rb") as file:
                file.seek(first)
                left = last - first + 1
                while left > 0:
                    block = file.read(min(left, 1 << 16))
                    self.wfile.write(block)
                    left -= len(block)

    def log_message(self, *_):
        pass


def serve(folder):
    """A server of the files in `folder`, for this computer and its emulated machines."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.folder, server.asked_for_parts = folder, 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
