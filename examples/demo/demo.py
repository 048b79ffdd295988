#!/usr/bin/env python3
"""Sends requests through Envoy, and shows what the relay makes of each.

Client, Envoy, relay and backend are real and talk over real sockets, on ports that the system chooses. Ends
with 0 if every request fared as rows.py says that it must, and leaves nothing behind.
"""

import argparse
import shlex
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path

import backend
import stack
from rows import People, rows, rows_of_the_stack
from table import show

BODY = '{"amount":10}'


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
        application = running.enter_context(backend.serving(backend.Kept()))
        relay = running.enter_context(stack.relay(arguments.relay, folder))
        envoy = running.enter_context(stack.envoy(relay.port, application.port, folder))

        # Closed, so that the relay does not stay stopped when something fails while it hangs.
        beyond = running.enter_context(closing(rows_of_the_stack(people, relay)))
        failures = show(chain(rows(people), beyond), ("127.0.0.1", envoy.port), application.requests)
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
