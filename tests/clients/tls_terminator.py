"""Ends TLS before a server on this machine: `NAME PORT`, for the certificate NAME.pem with its key NAME.key.

Prints the port where it listens. Each connection is opened once, in both directions, until either side closes it.
"""

import socket
import ssl
import sys
import threading

name, port = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(f"{name}.pem", f"{name}.key")


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(client):
    try:
        client = context.wrap_socket(client, server_side=True)
    except OSError:
        return
    with client, socket.create_connection(("127.0.0.1", int(port))) as server:
        threading.Thread(target=copy, args=(server, client), daemon=True).start()
        copy(client, server)


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
