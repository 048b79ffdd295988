#!/usr/bin/env python3
"""Checks a log of evidence. Written from docs/evidence.md alone; needs Python 3 and `cryptography`.

    check.py VERIFIER_KEY FILE

The log is one in a file, its lines in order. Every problem is printed; the exit code is 1 if there is one.
"""

import base64
import hashlib
import json
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256

problems = 0


def problem(where, text):
    global problems
    problems += 1
    print(f"{where}: {text}")


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def strict(text):
    """JSON in which no member stands twice, and all numbers are whole and fit."""

    def members(pairs):
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a member stands twice")
        return dict(pairs)

    def refuse(number):
        raise ValueError(f"the number {number}")

    def whole(number):
        if abs(int(number)) > 2**53:
            refuse(number)
        return int(number)

    return json.loads(text, object_pairs_hook=members, parse_float=refuse, parse_int=whole, parse_constant=refuse)


def canonical(value):
    """RFC 8785, for texts, whole numbers, booleans, arrays and objects."""
    if isinstance(value, dict):
        # Members stand in the order of their UTF-16 code units.
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(element) for element in value) + "]"
    if value is None:
        raise ValueError("null")
    return json.dumps(value, ensure_ascii=False)


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf_hash(evidence):
    return sha256(b"\x00" + canonical(evidence).encode())


class Tree:
    """The full subtrees that the leaves so far consist of, from the largest to the smallest."""

    def __init__(self, size=0, roots=()):
        self.size, self.roots = size, list(roots)

    def push(self, leaf):
        size = self.size
        while size & 1:
            leaf = sha256(b"\x01" + self.roots.pop() + leaf)
            size >>= 1
        self.roots.append(leaf)
        self.size += 1

    def root(self):
        if not self.roots:
            return sha256(b"")
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = sha256(b"\x01" + left + root)
        return root


class LogKey:
    """A verifier key: NAME+ID+KEY."""

    def __init__(self, text):
        self.name, key_id, key = text.strip().split("+", 2)
        key = base64.b64decode(key, validate=True)
        if key[0] != 1:
            raise ValueError("not an Ed25519 key")
        self.id = sha256(self.name.encode() + b"\n" + key)[:4]
        if self.id.hex() != key_id:
            raise ValueError("the id is not the one of this key")
        self.key = ed25519.Ed25519PublicKey.from_public_bytes(key[1:])

    def signed(self, note):
        text, _, signatures = note.rpartition("\n\n")
        text += "\n"
        for line in signatures.splitlines():
            dash, name, signature = line.split(" ")
            signature = base64.b64decode(signature, validate=True)
            if (dash, name, signature[:4]) == ("—", self.name, self.id):
                self.key.verify(signature[4:], text.encode())
                origin, size, root = text.splitlines()[:3]
                return origin, int(size), base64.b64decode(root, validate=True)
        raise ValueError("no signature of the log's key")


def verifies(jwk, base, signature):
    try:
        if jwk["kty"] == "OKP":
            ed25519.Ed25519PublicKey.from_public_bytes(unpadded(jwk["x"])).verify(signature, base)
        else:
            x, y = (int.from_bytes(unpadded(jwk[name]), "big") for name in "xy")
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            key.verify(utils.encode_dss_signature(r, s), base, ec.ECDSA(SHA256()))
        return True
    except (InvalidSignature, ValueError):
        return False


def check_decision(where, decision):
    for proof in decision["proofs"]:
        label, key, base = proof["label"], proof["key"], proof["base"]
        thumbprint = base64.urlsafe_b64encode(sha256(canonical(key["jwk"]).encode())).rstrip(b"=").decode()
        if thumbprint != key["thumbprint"]:
            problem(where, f"proof {label}: the thumbprint is not the one of the key")
        if f';keyid="{key["kid"]}"' not in base.rpartition("\n")[2]:
            problem(where, f"proof {label}: the base names another key")
        if "redacted" in proof:
            for name in proof["redacted"]:
                if not re.search(rf'^"{re.escape(name)}"[^:]*: sha-256=:[A-Za-z0-9+/]{{43}}=:$', base, re.MULTILINE):
                    problem(where, f"proof {label}: {name} is not redacted")
        elif verifies(key["jwk"], base.encode(), base64.b64decode(proof["signature"])) != proof["verified"]:
            problem(where, f"proof {label}: the signature is not what the record says of it")
    if decision["decision"] == "allow" and not all(proof["verified"] for proof in decision["proofs"]):
        problem(where, "allowed with a proof that is not verified")


def check(key, lines):
    tree, sealed = Tree(), 0
    for number, line in enumerate(lines, 1):
        where = f"line {number}"
        try:
            value = strict(line)
            if "evidence" in value:
                evidence = value["evidence"]
                leaf = leaf_hash(evidence)
                if base64.b64decode(value["hash"], validate=True) != leaf:
                    problem(where, "the hash is not the one of the record")
                if value["index"] != tree.size:
                    problem(where, f"expected record {tree.size}, but found {value['index']}")
                    # What follows is checked at its own place.
                    tree.size = value["index"]
                if evidence["log"] != key.name:
                    problem(where, "a record of another log")
                tree.push(leaf)
                if evidence["type"] == "decision":
                    check_decision(where, evidence)
            elif "checkpoint" in value:
                origin, size, root = key.signed(value["checkpoint"])
                roots = [base64.b64decode(text, validate=True) for text in value.get("range", [])]
                if origin != key.name:
                    problem(where, "a checkpoint of another log")
                if "range" in value and Tree(size, roots).root() != root:
                    problem(where, "the range does not belong to the root")
                if number == 1 and size > 0:
                    print(f"records 0 to {size - 1} are in older files, and not checked")
                    tree = Tree(size, roots)
                elif size == tree.size and tree.root() != root:
                    problem(where, f"the root is another one: records {sealed} to {size - 1} are not those that were sealed")
                    tree = Tree(size, roots)
                elif size > tree.size:
                    problem(where, f"records {tree.size} to {size - 1} are missing")
                    tree = Tree(size, roots)
                sealed = max(sealed, size)
        except (InvalidSignature, IndexError, KeyError, TypeError, ValueError) as error:
            problem(where, f"unreadable: {error!r}")
    print(f"{tree.size} records, {sealed} of them sealed, {problems} problems")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: check.py VERIFIER_KEY LOG\n\nOne log, in one file, in its own order; of files that go on from one another, each by itself.")
    with open(sys.argv[2], encoding="utf-8") as log:
        check(LogKey(sys.argv[1]), log)
    sys.exit(1 if problems else 0)
