"""The relay and Envoy, each a real process on a port that the system chooses."""

import http.client
import json
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

PATIENCE = 30  # seconds for a start: a busy CI machine is slow
LOOK_AGAIN = 0.02

RELAYS_PLACE = "{address: 127.0.0.1, port_value: 8000}"
BACKENDS_PLACE = "{address: 127.0.0.1, port_value: 8080}"
CODEC = "          codec_type: AUTO"


class Failed(Exception):
    """The demo cannot go on. The text says why."""


def output_of(*command, stdin=b""):
    """What a command prints, once it has succeeded."""
    done = subprocess.run([str(part) for part in command], input=stdin, stdout=subprocess.PIPE)
    if done.returncode != 0:
        # It has told why on the standard error that it shares with the demo.
        raise Failed(f"{command[0]} ended with status {done.returncode}")
    return done.stdout.decode()


@contextmanager
def running(name, command, folder):
    """A process that ends with the block, however the block ends."""
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield process, log
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(fact, process, log):
    """Waits for a fact, not for a time. `fact` answers None as long as it is not one."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = fact()
        if found is not None:
            return found
        if process.poll() is not None:
            raise Failed(f"{log.stem} ended at its start:\n{log.read_text()}")
        if time.monotonic() > deadline:
            raise Failed(f"{log.stem} did not start within {PATIENCE} s:\n{log.read_text()}")
        time.sleep(LOOK_AGAIN)


class Relay:
    def __init__(self, binary, process, port, log):
        self.binary = binary
        self.process = process
        self.port = port
        self.log = log

    @contextmanager
    def hanging(self):
        """The relay neither answers nor closes its connections: harder to notice than one that is gone."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def relay(binary, folder):
    """Runs examples/demo/relay.yaml. `folder` holds the trust store that the file names."""
    config = folder / "relay.yaml"
    shutil.copy(HERE / "relay.yaml", config)
    # Arguments, not only the file: they win over PROOF_MESSENGER_* in the environment.
    command = [binary, "serve", "--config", config, "--listen", "127.0.0.1:0"]
    command += ["--log-format", "json", "--log-level", "info"]
    with running("relay", command, folder) as (process, log):

        def port():
            for line in log.read_text().splitlines(keepends=True):
                # The last line may still be in the writing.
                if line.endswith("\n") and json.loads(line).get("message") == "listening":
                    return int(json.loads(line)["address"].rpartition(":")[2])
            return None

        yield Relay(binary, process, until(port, process, log), log)


class Envoy:
    def __init__(self, process, port, admin_port):
        self.process = process
        self.port = port
        self.admin_port = admin_port


@contextmanager
def envoy(relay_port, backend_port, folder):
    """Runs envoy/envoy.yaml, the file that the repository ships, but for addresses and one setting."""
    config = folder / "envoy.yaml"
    config.write_text(envoy_config(relay_port, backend_port), encoding="utf-8")
    admin_address = folder / "envoy.admin"
    command = [output_of(ROOT / "envoy" / "obtain").rstrip("\n"), "--config-path", config]
    command += ["--admin-address-path", admin_address, "--log-level", "warning", "--concurrency", "1"]
    # Hot restart would tie together two demos that run at once.
    command += ["--disable-hot-restart"]
    # Access log lines are held back for 10 s otherwise.
    command += ["--file-flush-interval-msec", "100"]
    with running("envoy", command, folder) as (process, log):

        def admin_port():
            # The file is there before its text is.
            address = admin_address.read_text() if admin_address.exists() else ""
            return int(address.rpartition(":")[2]) if address else None

        admin = until(admin_port, process, log)

        def port():
            if get(admin, "/ready") is None:
                return None
            listeners = json.loads(get(admin, "/listeners?format=json"))["listener_statuses"]
            return listeners[0]["local_address"]["socket_address"]["port_value"]

        yield Envoy(process, until(port, process, log), admin)


def envoy_config(relay_port, backend_port):
    text = (ROOT / "envoy" / "envoy.yaml").read_text(encoding="utf-8")
    anywhere = "{address: 127.0.0.1, port_value: 0}"
    edits = {
        "{address: 127.0.0.1, port_value: 9901}": anywhere,
        "{address: 0.0.0.0, port_value: 10000}": anywhere,
        RELAYS_PLACE: RELAYS_PLACE.replace("8000", str(relay_port)),
        BACKENDS_PLACE: BACKENDS_PLACE.replace("8080", str(backend_port)),
        # As shipped, Envoy refuses upgrades by itself. This lets them get as far as the relay.
        CODEC: f"          upgrade_configs: [{{upgrade_type: websocket}}]\n{CODEC}",
    }
    for piece, replacement in edits.items():
        # Otherwise the demo would show another Envoy than it says.
        if text.count(piece) != 1:
            raise Failed(f"envoy/envoy.yaml holds {piece!r} {text.count(piece)} times, and not once")
        text = text.replace(piece, replacement)
    return text


def get(port, path):
    """The body of a 200, or None."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return body.decode() if answer.status == 200 else None
    except OSError:
        return None
    finally:
        connection.close()
