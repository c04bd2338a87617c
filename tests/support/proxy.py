"""A JSON-RPC endpoint that stands between us and anvil, and misbehaves on demand."""

import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Request = dict[str, Any]
Answer = dict[str, Any]


class Proxy:
    """Forwards to a real node; tests set the hooks.

    Attributes
    ----------
    before : Callable[[Request], Answer | None]
        Answers instead of the node, where it returns something.
    after : Callable[[Request, Answer], Answer | None]
        Changes the node's answer; None closes the connection without one.
    drip : float
        Seconds between the bytes of an answer.
    methods : list[str]
        What was asked, in order.
    """

    def __init__(
        self, target: str, port: int = 0, certificate: tuple[Path, Path] | None = None
    ) -> None:
        self.target = target
        self.before: Callable[[Request], Answer | None] = lambda request: None
        self.after: Callable[[Request, Answer], Answer | None] = lambda request, answer: answer
        self.drip = 0.0
        self.methods: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                answer = proxy.answer(json.loads(body))
                if answer is None:
                    self.close_connection = True
                    return
                content = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                if not proxy.drip:
                    self.wfile.write(content)
                    return
                for byte in content:
                    try:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                    except OSError:
                        return
                    time.sleep(proxy.drip)

            def log_message(self, format: str, *args: object) -> None:
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, request: Request) -> Answer | None:
        """Answer one request."""
        self.methods.append(request["method"])
        early = self.before(request)
        if early is not None:
            return {"jsonrpc": "2.0", "id": request["id"], **early}
        return self.after(request, self.forward(request))

    def forward(self, request: Request) -> Answer:
        """Ask the real node."""
        call = urllib.request.Request(
            self.target,
            json.dumps(request).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(call, timeout=10) as reply:
            answer: Answer = json.loads(reply.read())
        return answer

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def proxy_to(target: str, certificate: tuple[Path, Path] | None = None) -> Iterator[Proxy]:
    """Run a proxy in front of a node; by HTTPS with a certificate and its key."""
    proxy = Proxy(target, certificate=certificate)
    try:
        yield proxy
    finally:
        proxy.close()
