"""What the Python clients share: the arguments, and the answer as one line of JSON.

Each client takes the same arguments, and leaves the signature and the Content-Digest to its library.
"""

import argparse
import base64
import datetime
import json
import pathlib

import requests
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

session = requests.Session()
session.trust_env = False  # no proxy, and no Authorization from a .netrc


def arguments() -> argparse.Namespace:
    return parser().parse_args()


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Signs one request, sends it and prints the answer.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--method", required=True)
    parser.add_argument("--key", required=True, type=private_key, help="file of a private JWK")
    parser.add_argument("--kid", required=True)
    parser.add_argument("--body", type=lambda file: pathlib.Path(file).read_bytes(), help="file of the body")
    parser.add_argument("--tag")
    parser.add_argument("--created", type=time, help="seconds since 1970, instead of now")
    return parser


def private_key(file: str) -> ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey:
    jwk = json.loads(pathlib.Path(file).read_text())
    secret = base64.urlsafe_b64decode(jwk["d"] + "==")
    match jwk["crv"]:
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.from_private_bytes(secret)
        case "P-256":
            return ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())
        case curve:
            raise SystemExit(f"expected a key on Ed25519 or P-256, but found {curve}")


def time(seconds: str) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)


def prepare(args: argparse.Namespace, auth: requests.auth.AuthBase | None = None) -> requests.PreparedRequest:
    headers = dict(header.split(": ", 1) for header in getattr(args, "header", []))
    return session.prepare_request(requests.Request(args.method, args.url, headers, data=args.body, auth=auth))


def send(request: requests.PreparedRequest, proxy: str | None = None) -> None:
    proxies = {"http": proxy} if proxy else {}
    response = session.send(request, allow_redirects=False, timeout=30, proxies=proxies)
    print(json.dumps({"status": response.status_code, "body": response.content.decode(errors="replace")}))
