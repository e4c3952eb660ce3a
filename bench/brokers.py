"""What carries the messages of a fleet: nats-server, or moto behind a proxy that counts what SQS and SNS are asked."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from pathlib import Path
from urllib.parse import parse_qs

import measure

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS = 30
BILLED_BYTES = 64 * 1024
"""SQS bills a request once for each 64 KiB of its payload."""


class Broker:
    """A program that carries messages, with all that it needs below `home`."""

    def __init__(self, home: Path, argv: list[str]) -> None:
        home.mkdir(parents=True, exist_ok=True)
        with open(home / "broker.log", "wb") as log:
            env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONUNBUFFERED": "1"}
            self._process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self._process.pid

    def cpu(self) -> float:
        """CPU seconds so far."""
        return measure.process_seconds(self.pid)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _await(self, is_ready) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self._process.args[0]} did not get ready")
            time.sleep(0.02)


class Nats(Broker):
    """nats-server with JetStream, its streams on the disk."""

    transport = "nats"

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        program = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin") or "nats-server"
        address = ["-a", "127.0.0.1", "-p", str(self.port)]
        super().__init__(home, [program, *address, "-js", "-sd", str(home / "streams")])
        self._await(lambda: accepts(self.port))

    def flags(self) -> list[str]:
        return ["--transport", "nats", "--nats-url", f"nats://127.0.0.1:{self.port}"]

    def env(self) -> dict[str, str]:
        return {}

    def requests(self) -> "Requests | None":
        return None

    @staticmethod
    def problem() -> str | None:
        found = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin")
        return None if found else "not installed: scripts/setup-test-tools"


class Moto(Broker):
    """moto's SQS and SNS, and before it the proxy that counts."""

    transport = "aws"
    program = ROOT / ".venv/bin/moto_server"

    def __init__(self, home: Path) -> None:
        port = free_port()
        super().__init__(home, [str(self.program), "-H", "127.0.0.1", "-p", str(port)])
        self._await(lambda: answers(f"http://127.0.0.1:{port}/moto-api/"))
        self.proxy = CountingProxy(port)

    def flags(self) -> list[str]:
        return ["--transport", "aws"]

    def env(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL_SQS": self.proxy.url, "AWS_ENDPOINT_URL_SNS": self.proxy.url}

    def requests(self) -> "Requests | None":
        return Requests(list(self.proxy.seen))

    def stop(self) -> None:
        if hasattr(self, "proxy"):
            self.proxy.stop()
        super().stop()

    @classmethod
    def problem(cls) -> str | None:
        return None if cls.program.exists() else "not installed: scripts/setup-test-tools"


BROKERS = {"nats": Nats, "sqs": Moto}


@dataclass(frozen=True)
class Seen:
    """A request as it came to the server."""

    unix: float
    operation: str
    """`sqs:ReceiveMessage`, `sns:Publish`."""
    bytes: int
    """The larger of its two bodies."""


class Requests:
    """What a server was asked."""

    def __init__(self, seen: list[Seen]) -> None:
        self._seen = seen

    def between(self, begin: float, end: float) -> "Requests":
        return Requests([one for one in self._seen if begin <= one.unix < end])

    def count(self, service: str) -> int:
        return sum(1 for one in self._seen if one.operation.startswith(service))

    def billed(self) -> int:
        """Requests as SQS bills them, by the size of the larger body."""
        sizes = [one.bytes for one in self._seen if one.operation.startswith("sqs:")]
        return sum(max(1, ceil(size / BILLED_BYTES)) for size in sizes)

    def by_operation(self) -> dict[str, int]:
        return dict(sorted(Counter(one.operation for one in self._seen).items()))


class CountingProxy:
    """Passes HTTP requests on to a server of this machine, unchanged, and notes each."""

    def __init__(self, port: int) -> None:
        self.seen: list[Seen] = []
        handler = type("Handler", (PassingOn,), {"target": port, "seen": self.seen})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class PassingOn(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    # Head and body of a reply are two writes: without this, the second waits for the first's acknowledgement.
    disable_nagle_algorithm = True
    target: int
    seen: list[Seen]

    def do_POST(self) -> None:
        unix = time.time()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = HTTPConnection("127.0.0.1", self.target)
        content = b""
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            reply = connection.getresponse()
            content = reply.read()
        except (OSError, HTTPException):
            # The server has gone, or the client while it waited: the one that is left sees a closed connection.
            self.close_connection = True
            return
        finally:
            connection.close()
            # A request without an answer is one too. list.append is atomic: connections need no lock.
            self.seen.append(Seen(unix, operation(self.headers, body), max(len(body), len(content))))
        try:
            self._answer(reply.status, reply.getheaders(), content)
        except OSError:
            # The client waits no longer.
            self.close_connection = True

    do_GET = do_POST

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args) -> None:
        """Says nothing: the requests are noted."""


def operation(headers, body: bytes) -> str:
    """The service and the operation: SQS names it in a header, SNS in a form."""
    target = headers.get("X-Amz-Target", "")
    if target.startswith("AmazonSQS."):
        return f"sqs:{target.partition('.')[2]}"
    action = parse_qs(body.decode(errors="replace")).get("Action", ["unknown"])[0]
    is_sqs = "/sqs/aws4_request" in headers.get("Authorization", "")
    return f"{'sqs' if is_sqs else 'sns'}:{action}"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def stats_of(endpoint: str) -> dict:
    """What a null server has counted so far."""
    with urllib.request.urlopen(f"{endpoint}/-/stats", timeout=10) as reply:
        return json.load(reply)
