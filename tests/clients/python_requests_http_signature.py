"""Signs with PyPI's requests-http-signature, with the library's own choice of what to cover.

That is `@method`, `@authority`, `@target-uri`, the `Date` that it adds, and always a `content-digest`: of the
empty body, when there is none.
"""

import datetime

import client
import requests
from cryptography.hazmat.primitives.asymmetric import ed25519
from requests_http_signature import HTTPSignatureAuth, MappingKeyResolver, algorithms

args = client.arguments()


class Auth(HTTPSignatureAuth):
    def get_created(self, request: requests.PreparedRequest) -> datetime.datetime:
        if args.created is None:
            return super().get_created(request)
        self.add_date(request, int(args.created.timestamp()))
        return args.created


auth = Auth(
    signature_algorithm=(
        algorithms.ED25519 if isinstance(args.key, ed25519.Ed25519PrivateKey) else algorithms.ECDSA_P256_SHA256
    ),
    key_id=args.kid,
    key_resolver=MappingKeyResolver(private_keys={args.kid: args.key}, public_keys={}),
    tag=args.tag,
    use_nonce=True,
)
client.send(client.prepare(args, auth))
