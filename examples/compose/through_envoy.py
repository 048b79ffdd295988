"""What the client of the compose example does, with the requests and the table of `make demo`."""

import sys
import time
from pathlib import Path

import stack
from backend import Recorded
from client import send
from rows import RATES, People, rows
from table import show

PEOPLE = Path("/people")
SEEN = Path("/seen/requests.jsonl")
ENVOY = ("envoy", 10000)


def keys(people):
    """Nothing more: the keys of the people are there."""
    return 0


def show_rows(people):
    wait_for_envoy()
    with SEEN.open(encoding="utf-8") as file:
        backend = Recorded(file)
        backend.take()  # what came before
        return 1 if show(rows(people), ENVOY, backend) else 0


def wait_for_envoy():
    """Until an open route leads to the backend: then Envoy, the relay and the backend are there."""
    deadline = time.monotonic() + stack.PATIENCE
    while True:
        try:
            answer = send(ENVOY, RATES).status
        except OSError as error:
            answer = error
        if answer == 200:
            return
        if time.monotonic() > deadline:
            raise stack.Failed(f"Envoy gave no answer from the backend within {stack.PATIENCE} s, but: {answer}")
        time.sleep(stack.LOOK_AGAIN)


if __name__ == "__main__":
    task = {"keys": keys, "show": show_rows}[sys.argv[1]]
    try:
        sys.exit(task(People("proof-messenger-relay", PEOPLE)))
    except stack.Failed as failure:
        sys.exit(f"through_envoy: {failure}")
