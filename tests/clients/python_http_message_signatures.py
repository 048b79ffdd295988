"""Signs with PyPI's http-message-signatures: only what is asked for, no `alg` parameter.

Several people sign one request, each under a label of their own: here those of `--also`, and whoever signed what comes
in a `--header`.
"""

import secrets

import client
from cryptography.hazmat.primitives.asymmetric import ed25519
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

parser = client.parser()
parser.add_argument("--header", action="append", default=[], help="a header, as `Name: value`")
parser.add_argument("--cover", action="append", default=[], help="what is signed beyond method, URL and body")
parser.add_argument("--label", help="the label of the signature")
parser.add_argument("--also", nargs=2, action="append", default=[], metavar=("KID", "KEY"), help="who signs then")
parser.add_argument("--proxy", help="where to send it, whatever the URL says")
args = parser.parse_args()
request = client.prepare(args)


def sign(kid, key, label, created=None):
    signer = HTTPMessageSigner(
        signature_algorithm=(
            algorithms.ED25519 if isinstance(key, ed25519.Ed25519PrivateKey) else algorithms.ECDSA_P256_SHA256
        ),
        key_resolver=MappingKeyResolver(private_keys={kid: key}, public_keys={}),
    )
    signer.sign(
        request,
        key_id=kid,
        created=created,
        nonce=secrets.token_urlsafe(16),
        label=label,
        tag=args.tag,
        include_alg=False,
        covered_component_ids=("@method", "@target-uri", *args.cover),
        body=args.body,  # adds Content-Digest, and covers it
        use_existing_digest=args.body is not None,  # which whoever signs next finds, and compares
        append_if_signature_exists=True,
    )


sign(args.kid, args.key, args.label, args.created)
for kid, file in args.also:
    sign(kid, client.private_key(file), label=kid)
client.send(request, args.proxy)
