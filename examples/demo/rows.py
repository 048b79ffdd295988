"""The requests of the demo: what each shows, and what must become of it."""

import time
from dataclasses import dataclass, replace

from client import Request, Signer

NOTHING = "-"
ENVOY = "(Envoy)"  # in place of a code: Envoy refused by itself

TRANSFER = Request("POST", "/transfers/7?currency=EUR", b'{"amount": 10}')
LARGE = replace(TRANSFER, body=b'{"amount": 25000}')
RATES = Request("GET", "/rates/eur")
WEBSOCKET = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec_websocket_version": "13",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",  # the example of RFC 6455
}
TARGET = ("@method", "@target-uri")
ENVOYS_BODY_LIMIT = 1024 * 1024  # max_request_bytes in envoy/envoy.yaml


@dataclass(frozen=True)
class Outcome:
    decision: str
    status: int
    code: str
    backend_saw: str  # whom the backend takes the request to be from, and what the relay says of it


@dataclass(frozen=True)
class Row:
    title: str
    request: Request
    expected: Outcome


def allowed(title, request, backend_saw):
    return Row(title, request, Outcome("allow", 200, NOTHING, backend_saw))


def denied(title, request, status, code):
    # Whatever the reason: nothing of it may have reached the backend.
    return Row(title, request, Outcome("deny", status, code, NOTHING))


class People:
    def __init__(self, binary, folder):
        def person(name, trust_store, *options):
            return Signer(binary, folder, name, trust_store, *options)

        (folder / "keys").mkdir(exist_ok=True)
        people = "keys/people.jwks.json"  # the file that relay.yaml names
        self.alice = person("alice", people, "--id", "alice-laptop", "--role", "clerk")
        self.bob = person("bob", people, "--id", "bob-phone", "--role", "manager", "--algorithm", "p256")
        self.carol = person("carol", people, "--id", "carol-phone", "--role", "manager")
        # Mallory makes keys too, but the relay reads none of these files. The second key bears Alice's id.
        self.mallory = person("mallory", "strangers.jwks.json")
        self.forger = person("forger", "forgers.jwks.json", "--id", "alice-laptop")


def rows(people):
    """Headings, and the rows below them. Requests are signed when their row is asked for: none grows old."""
    alice, bob, carol = people.alice.sign, people.bob.sign, people.carol.sign
    mallory, forger = people.mallory.sign, people.forger.sign

    yield "Who signed"
    yield denied("nobody", TRANSFER, 401, "proof-missing")
    yield allowed("Alice, with Ed25519", alice(TRANSFER), "alice (verified)")
    yield allowed("Bob, with P-256", bob(TRANSFER), "bob (verified)")
    both = bob(alice(TRANSFER), "--label", "bob")
    yield allowed("Alice and Bob, the same transfer", both, "alice,bob (verified)")
    bob_another = bob(replace(alice(TRANSFER), target="/transfers/8"), "--label", "bob")
    mixed = replace(bob_another, target=TRANSFER.target)
    yield denied("Alice this transfer, Bob another", mixed, 401, "signature-invalid")
    payroll = alice(replace(TRANSFER, target="/payroll/2026-01"))
    yield denied("Alice, a clerk, where a manager must", payroll, 403, "signer-not-permitted")
    yield denied("Mallory, whose key nobody trusts", mallory(TRANSFER), 401, "key-unknown")
    yield denied("Mallory, in the name of Alice's key", forger(TRANSFER), 401, "signature-invalid")
    other_algorithm = alice(TRANSFER, "--alg", "ecdsa-p256-sha256")
    yield denied("Alice, naming an algorithm not her key's", other_algorithm, 401, "algorithm-mismatch")

    yield "Who approved a transfer above 10000: a clerk and two managers must"
    yield denied("Alice, a clerk, alone", alice(LARGE), 403, "approvals-insufficient")
    bob_twice = bob(bob(alice(LARGE), "--label", "bob"), "--label", "bob-again")
    yield denied("Alice, and Bob twice", bob_twice, 403, "approvals-insufficient")
    without_bob = carol(alice(LARGE), "--label", "carol")
    bob_another = bob(replace(LARGE, body=b'{"amount": 20000}'), "--label", "bob")
    mixed = without_bob.with_signature_of(bob_another)
    yield denied("Alice and Carol, and Bob another amount", mixed, 401, "signature-invalid")
    four_hours_ago = bob(LARGE, "--label", "bob", "--created", seconds_ago(4 * 60 * 60))
    approved = carol(four_hours_ago, "--label", "carol")
    yield allowed("Bob 4 hours ago, Carol, and then Alice", alice(approved), "bob,carol,alice (verified)")
    yield denied("the same approvals, and Alice anew", alice(approved), 409, "replayed")
    text = alice(replace(LARGE, body=b'{"amount": "25000"}'))
    yield denied("Alice, an amount that is a string", text, 403, "condition-failed")
    two_amounts = alice(replace(LARGE, body=b'{"amount": 10, "amount": 25000}'))
    yield denied("Alice, two amounts", two_amounts, 400, "body-ambiguous")

    yield "Changed after Alice signed"
    signed = alice(TRANSFER)
    large = b'{"amount": 10000}'
    yield denied("the amount in the body", replace(signed, body=large), 401, "digest-mismatch")
    digest_of_large = alice(replace(TRANSFER, body=large)).headers["content-digest"]
    fitting = replace(signed, body=large).adding(content_digest=digest_of_large)
    yield denied("the amount, and the digest to match", fitting, 401, "signature-invalid")
    account = replace(signed, target="/transfers/8?currency=EUR")
    yield denied("the path: another account", account, 401, "signature-invalid")
    currency = replace(signed, target="/transfers/7?currency=USD")
    yield denied("the query: another currency", currency, 401, "signature-invalid")
    yield denied("the method: PUT for POST", replace(signed, method="PUT"), 401, "signature-invalid")
    system = replace(signed, host="test.bank.example")
    yield denied("the host: another system", system, 401, "signature-invalid")
    # Only the changes were at fault, and no forgery used up what Alice signed.
    yield allowed("nothing", signed, "alice (verified)")

    yield "Headers"
    tenant = alice(TRANSFER.adding(x_tenant="acme"), *covering("x-tenant", "content-digest", *TARGET))
    changed_tenant = tenant.adding(x_tenant="evil")
    yield denied("x-tenant, signed and then changed", changed_tenant, 401, "signature-invalid")
    yield allowed("x-tenant as it was signed", tenant, "alice (verified)")
    unsigned_tenant = alice(TRANSFER).adding(x_tenant="evil")
    yield denied("x-tenant, a protected one, added unsigned", unsigned_tenant, 403, "field-uncovered")
    spoofed = {"x_proof_status": "verified", "x_proof_subject": "bob"}
    not_bob = alice(TRANSFER).adding(**spoofed)
    yield allowed("x-proof-subject: bob, but Alice signed", not_bob, "alice (verified)")
    yield allowed("x-proof-subject: bob, but nobody signed", RATES.adding(**spoofed), "nobody (unsigned)")

    yield "What the signature covers"
    no_digest = alice(TRANSFER, *covering(*TARGET))
    yield denied("no digest of the body", no_digest, 401, "digest-missing")
    unsigned_digest = no_digest.adding(content_digest=signed.headers["content-digest"])
    yield denied("a digest of the body, but not signed", unsigned_digest, 401, "component-uncovered")
    anywhere = alice(TRANSFER, *covering("@method", "content-digest"))
    yield denied("not where the request goes", anywhere, 401, "component-uncovered")

    yield "When"
    once = alice(TRANSFER)
    yield allowed("the first time", once, "alice (verified)")
    yield denied("the same bytes again", once, 409, "replayed")
    expired = alice(TRANSFER, "--created", seconds_ago(20), "--expires-in", "10s")
    yield denied("10 s after the end that Alice set", expired, 401, "proof-expired")
    yield denied("2 minutes late", alice(TRANSFER, "--created", seconds_ago(120)), 401, "proof-too-old")
    yield denied("2 minutes early", alice(TRANSFER, "--created", seconds_ago(-120)), 401, "proof-from-future")

    yield "Where"
    yield allowed("an open route, nobody signed", RATES, "nobody (unsigned)")
    yield denied("no policy for it, though Alice signed", alice(Request("GET", "/admin")), 403, "no-policy")
    for target in ("/rates/../transfers/7", "/rates//eur", "/transfers/7;v=1"):
        two_paths = alice(replace(TRANSFER, target=target))
        yield denied(f"{target}, an ambiguous path", two_paths, 400, "path-ambiguous")
    two_paths = alice(replace(TRANSFER, target="/rates/..%2ftransfers/7"))
    yield denied("/rates/..%2ftransfers/7, likewise", two_paths, 400, ENVOY)

    yield "What cannot be checked"
    too_large = alice(replace(TRANSFER, body=b" " * (ENVOYS_BODY_LIMIT + 1)))
    yield denied("a body of one byte more than Envoy holds", too_large, 413, ENVOY)


def rows_of_the_stack(people, relay):
    """More rows below the last heading, where Envoy lets upgrades pass, and the relay can be made to hang."""
    alice = people.alice.sign
    yield denied("a WebSocket, even on an open route", RATES.adding(**WEBSOCKET), 400, "upgrade-refused")
    with relay.hanging():
        yield denied("signed by Alice, while the relay hangs", alice(TRANSFER), 503, ENVOY)
    yield allowed("signed by Alice, once it answers again", alice(TRANSFER), "alice (verified)")


def covering(*components):
    return [part for component in components for part in ("--cover", component)]


def seconds_ago(seconds):
    return str(int(time.time()) - seconds)
