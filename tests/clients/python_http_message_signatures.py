"""Signs with PyPI's http-message-signatures: only what is asked for, no `alg` parameter."""

import secrets

import client
from cryptography.hazmat.primitives.asymmetric import ed25519
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

args = client.arguments()
request = client.prepare(args)
signer = HTTPMessageSigner(
    signature_algorithm=(
        algorithms.ED25519 if isinstance(args.key, ed25519.Ed25519PrivateKey) else algorithms.ECDSA_P256_SHA256
    ),
    key_resolver=MappingKeyResolver(private_keys={args.kid: args.key}, public_keys={}),
)
signer.sign(
    request,
    key_id=args.kid,
    created=args.created,
    nonce=secrets.token_urlsafe(16),
    tag=args.tag,
    include_alg=False,
    covered_component_ids=("@method", "@target-uri"),
    body=args.body,  # adds Content-Digest, and covers it
)
client.send(request)
