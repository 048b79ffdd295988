"""The table: each request, what became of it, and whether it should."""

import os
import sys
from dataclasses import astuple

from client import send
from rows import ENVOY, NOTHING, Outcome

VERDICT = "{:<7}"
TABLE = "{:<49} {:<9} {:<7} {:<22} {}"
COLOURS = {"ok": "32", "WRONG": "1;31", "heading": "1"}


def show(table, envoy, backend):
    """Sends each request to Envoy and prints what became of it. Returns how many did not fare as they must.

    `envoy` is a host and a port; `backend` keeps or records the requests that reach it.
    """
    count, failures = 0, 0
    heading = TABLE.format("request", "decision", "status", "code", "the backend saw")
    print(coloured("heading", VERDICT.format("") + heading))
    for row in table:
        if isinstance(row, str):
            print("\n" + coloured("heading", row))
            continue
        count += 1
        outcome = outcome_of(row.request, envoy, backend)
        verdict = "ok" if outcome == row.expected else "WRONG"
        line = TABLE.format(row.title, *astuple(outcome))
        print(coloured(verdict, VERDICT.format(verdict)) + line, flush=True)
        if outcome != row.expected:
            failures += 1
            print(VERDICT.format("") + TABLE.format("  expected:", *astuple(row.expected)))
    print(f"\n{count} requests, {f'{failures} not' if failures else 'all'} as expected.")
    return failures


def outcome_of(request, envoy, backend):
    answer = send(envoy, request)
    seen = backend.take()
    if not seen:
        return Outcome("deny", answer.status, answer.code or ENVOY, NOTHING)
    backend_saw = " and ".join(one.told(request) for one in seen)
    return Outcome("allow", answer.status, answer.code or NOTHING, backend_saw)


def coloured(kind, text):
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{COLOURS[kind]}m{text}\x1b[0m"
