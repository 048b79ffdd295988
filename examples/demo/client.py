"""A client: requests as values, signed by the relay's own reference client, sent as they stand."""

import http.client
import json
from dataclasses import dataclass, field, replace

from stack import output_of


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    body: bytes = b""
    host: str = "bank.example"
    headers: "dict[str, str]" = field(default_factory=dict)

    def adding(self, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})

    def with_signature_of(self, other):
        both = {name: f"{self.headers[name]}, {other.headers[name]}" for name in ("signature-input", "signature")}
        return replace(self, headers={**self.headers, **both})


class Signer:
    """Somebody with a private key."""

    def __init__(self, binary, folder, name, trust_store, *options):
        """Makes the key, unless there is one. `options` are those of the `keys new` command."""
        self._binary = binary
        self.key = folder / f"{name}.jwk.json"
        if not self.key.exists():
            output_of(
                *(binary, "keys", "new", "--subject", name, "--private", self.key),
                *("--trust-store", folder / trust_store, *options),
            )

    def sign(self, request, *options):
        """The request with one signature more. `options` are those of the `sign` command."""
        headers = [part for name, value in request.headers.items() for part in ("-H", f"{name}: {value}")]
        added = output_of(
            *(self._binary, "sign", "--output", "json", "--key", self.key, "--method", request.method),
            *("--url", f"http://{request.host}{request.target}", *headers, *options),
            *(("--body-file", "/dev/stdin") if request.body else ()),
            stdin=request.body,
        )
        return replace(request, headers={**request.headers, **json.loads(added)})


@dataclass(frozen=True)
class Answer:
    status: int
    code: str  # the relay's, from its problem details (RFC 9457); empty where somebody else answered


def send(address, request):
    """`address` is a host and a port."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        try:
            headers = {"host": request.host, **request.headers}
            connection.request(request.method, request.target, request.body or None, headers)
        except (BrokenPipeError, ConnectionResetError):
            pass  # Envoy may refuse a body before it has read all of it. Its answer can be read all the same.
        answer = connection.getresponse()
        body = answer.read()
        is_problem = answer.getheader("content-type") == "application/problem+json"
        return Answer(answer.status, json.loads(body)["code"] if is_problem else "")
    finally:
        connection.close()
