"""Checks receipts of the relay as a backend in Python does. It needs PyJWT[crypto].

    check_receipt.py --jwks http://relay:8001/.well-known/jwks.json --issuer https://relay.bank.example --audience payments

reads one request a line, as JSON: `{"method", "url", "body", "receipt"}`. Take the class; the rest is for trying it.
"""

import argparse
import base64
import hashlib
import hmac
import json
import sys
import time

import jwt

DIGESTS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


class Refused(Exception):
    """The receipt is none for this request."""


class ReceiptChecker:
    """Checks receipts by one issuer, for one audience: this backend's own name."""

    def __init__(self, jwks_url, issuer, audience):
        # It keeps the keys, and fetches them again when a receipt names one that it does not know.
        self.keys = jwt.PyJWKClient(jwks_url, lifespan=300)
        self.issuer = issuer
        self.audience = audience
        self.seen = {}  # jti -> exp. Where several processes serve, they share it: in a database, say.

    def check(self, receipt, method, url, body):
        """The claims of the receipt, if it is one for this request. `url` is what clients call the resource."""
        try:
            header = jwt.get_unverified_header(receipt)
            if header.get("typ") != "proof-receipt+jwt":
                raise Refused("typ is not that of a receipt")
            claims = jwt.decode(
                receipt,
                self.keys.get_signing_key_from_jwt(receipt),
                algorithms=["EdDSA"],  # never the one that the receipt asks for
                issuer=self.issuer,
                audience=self.audience,
                leeway=5,  # seconds by which clocks may differ
                options={"require": ["iss", "aud", "sub", "iat", "exp", "jti"], "strict_aud": True},
            )
        except jwt.PyJWTError as error:
            raise Refused(str(error)) from error
        if claims.get("htm") != method:
            raise Refused("htm is another method")
        if claims.get("htu") != url:
            raise Refused("htu is another URL")
        self._check_body(claims.get("content_digest"), body)
        self._use_up(claims["jti"], claims["exp"])
        return claims

    @staticmethod
    def _check_body(content_digest, body):
        """Every digest must be that of the body. Without one there is no body."""
        if content_digest is None:
            if body:
                raise Refused("the receipt is for a request without body")
            return
        for digest in content_digest.split(", "):
            algorithm, _, value = digest.partition("=")
            if algorithm not in DIGESTS:
                raise Refused("content_digest has an unknown algorithm")
            expected = f":{base64.b64encode(DIGESTS[algorithm](body).digest()).decode()}:"
            if not hmac.compare_digest(value, expected):
                raise Refused("content_digest is that of another body")

    def _use_up(self, jti, exp):
        """Each receipt counts once. It is remembered until it is over."""
        now = time.time()
        self.seen = {known: until for known, until in self.seen.items() if until > now}
        if jti in self.seen:
            raise Refused("the receipt was used before")
        self.seen[jti] = exp + 5  # the leeway


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ["--jwks", "--issuer", "--audience"]:
        parser.add_argument(option, required=True)
    args = parser.parse_args()
    checker = ReceiptChecker(args.jwks, args.issuer, args.audience)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            claims = checker.check(
                request["receipt"], request["method"], request["url"], request["body"].encode()
            )
            print(f"accepted: {claims['sub']}")
        except Refused as reason:
            print(f"refused: {reason}")


if __name__ == "__main__":
    main()
