"""The application behind Envoy. It changes nothing for the relay: it reads headers, and says what it read.

By itself, `backend.py --port 8080` answers every request with what it saw. With `--record FILE` it writes that down as well,
for a demo in another container.
"""

import argparse
import json
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Seen:
    """A request that reached the backend."""

    method: str
    target: str
    host: str
    headers: "dict[str, str]"  # names in lower case
    body: bytes

    def told(self, sent):
        """What the relay told of the signer, if this is what the client sent."""
        here, there = ((one.method, one.host, one.target, one.body) for one in (self, sent))
        if here != there:
            return "another request"
        status = self.headers.get("x-proof-status", "no word from the relay")
        return f"{self.headers.get('x-proof-subject', 'nobody')} ({status})"


class Kept:
    """Keeps every request until the demo asks for it."""

    def __init__(self):
        self._seen = []
        self._lock = threading.Lock()

    def record(self, seen):
        with self._lock:
            self._seen.append(seen)

    def take(self):
        """The requests that came since the last call."""
        with self._lock:
            seen, self._seen = self._seen, []
        return seen


class Recorded:
    """The same in a file, a line for each request: the backend writes it, and the demo reads what is new."""

    def __init__(self, file):
        self._file = file
        self._lock = threading.Lock()

    def record(self, seen):
        line = json.dumps({**asdict(seen), "body": seen.body.decode("latin-1")})
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def take(self):
        return [Seen(**{**line, "body": line["body"].encode("latin-1")}) for line in map(json.loads, self._file)]


@dataclass(frozen=True)
class Backend:
    port: int
    requests: "Kept | Recorded"


@contextmanager
def serving(requests, port=0, address="127.0.0.1"):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            seen = Seen(self.command, self.path, headers.get("host", ""), headers, body)
            # Before the answer: when the client has it, the demo asks what was seen.
            requests.record(seen)
            told = {name: value for name, value in headers.items() if name.startswith("x-proof-")}
            request = {"method": seen.method, "target": seen.target, "body": body.decode("utf-8", "replace")}
            text = json.dumps({"the backend saw": {**request, **told}}, indent=2).encode() + b"\n"
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *_):
            pass  # the table shows what came

    with ThreadingHTTPServer((address, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Backend(server.server_address[1], requests)
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", default="127.0.0.1", help="where it listens (127.0.0.1)")
    parser.add_argument("--record", type=argparse.FileType("a"), metavar="FILE", help="write down what it saw")
    arguments = parser.parse_args()
    requests = Recorded(arguments.record) if arguments.record else Kept()
    with serving(requests, arguments.port, arguments.address):
        threading.Event().wait()
