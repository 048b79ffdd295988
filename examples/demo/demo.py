#!/usr/bin/env python3
"""Sends requests through Envoy, and shows what the relay makes of each.

Client, Envoy, relay and backend are real and talk over real sockets, on ports that the system chooses. Ends
with 0 if every request fared as rows.py says that it must, and leaves nothing behind.
"""

import argparse
import os
import shlex
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import astuple
from pathlib import Path

import backend
import stack
from client import send
from rows import ENVOY, NOTHING, Outcome, People, rows

VERDICT = "{:<7}"
TABLE = "{:<49} {:<9} {:<7} {:<22} {}"
BODY = '{"amount":10}'
COLOURS = {"ok": "32", "WRONG": "1;31", "heading": "1"}


class Interrupted(SystemExit):
    """A signal came. As an exception, it lets every `with` end what it began."""


def interrupted(number, _frame):
    raise Interrupted(128 + number)


def main():
    arguments = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="proof-messenger-demo-")))
        people = People(arguments.relay, folder)
        application = running.enter_context(backend.serving())
        relay = running.enter_context(stack.relay(arguments.relay, folder))
        envoy = running.enter_context(stack.envoy(relay.port, application.port, folder))

        failures = show(rows(people, relay), envoy, application)
        if failures:
            print(f"The relay's log:\n{relay.log.read_text()}")
        if arguments.keep:
            print(by_hand(people, relay, envoy, application), flush=True)
            stay(relay.process, envoy.process)
        else:
            print("`make demo KEEP=1` leaves everything running, and prints commands to try by hand.")
    return 1 if failures else 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("relay", metavar="RELAY", type=Path, help="the relay's binary")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    return parser.parse_args()


def show(table, envoy, application):
    """Sends each request and prints what became of it. Returns how many did not fare as they must."""
    count, failures = 0, 0
    heading = TABLE.format("request", "decision", "status", "code", "the backend saw")
    print(coloured("heading", VERDICT.format("") + heading))
    # Closed, so that the relay does not stay stopped when something fails while it hangs.
    with closing(table):
        for row in table:
            if isinstance(row, str):
                print("\n" + coloured("heading", row))
                continue
            count += 1
            outcome = outcome_of(row.request, envoy, application)
            verdict = "ok" if outcome == row.expected else "WRONG"
            line = TABLE.format(row.title, *astuple(outcome))
            print(coloured(verdict, VERDICT.format(verdict)) + line, flush=True)
            if outcome != row.expected:
                failures += 1
                print(VERDICT.format("") + TABLE.format("  expected:", *astuple(row.expected)))
    print(f"\n{count} requests, {f'{failures} not' if failures else 'all'} as expected.")
    return failures


def outcome_of(request, envoy, application):
    answer = send(envoy.port, request)
    seen = application.take()
    if not seen:
        return Outcome("deny", answer.status, answer.code or ENVOY, NOTHING)
    backend_saw = " and ".join(one.told(request) for one in seen)
    return Outcome("allow", answer.status, answer.code or NOTHING, backend_saw)


def coloured(kind, text):
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{COLOURS[kind]}m{text}\x1b[0m"


def by_hand(people, relay, envoy, application):
    url = f"http://localhost:{envoy.port}/transfers/7"
    key = shlex.quote(str(people.alice.key))
    transfer = f"--key {key} --method POST --url {url} --body '{BODY}'"
    binary = shlex.quote(str(relay.binary))
    return f"""
Running until Ctrl-C:
  Envoy      http://localhost:{envoy.port}, its admin interface http://localhost:{envoy.admin_port}
  the relay  gRPC at 127.0.0.1:{relay.port}, one line for each decision in {relay.log}
  a backend  http://127.0.0.1:{application.port}, which only Envoy should reach

A transfer, which Alice signs anew each time:
  curl -i $({binary} sign {transfer} --output curl)

One that nobody signed:
  curl -i {url} -H content-type:application/json -d '{BODY}'

The relay asked directly, without Envoy:
  {binary} check --relay http://127.0.0.1:{relay.port} {transfer}
"""


def stay(*processes):
    """Until a signal comes, which ends a demo that is kept as it should end, or a process ends by itself."""
    try:
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
    except Interrupted:
        return
    raise stack.Failed("a process ended by itself")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except stack.Failed as failure:
        sys.exit(f"demo: {failure}")
