"""Traffic over the loopback interface, a little at a time."""

import contextlib
import socket
import threading
import time

BLOCK = bytes(5000)


@contextlib.contextmanager
def talk(seconds=20):
    """Send blocks to ourselves from a thread while the caller does something else, and no longer than so many seconds."""
    ended = threading.Event()

    def send():
        end = time.monotonic() + seconds
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as client,
            server.accept()[0] as accepted,
        ):
            while not ended.wait(0.05) and time.monotonic() < end:
                client.sendall(BLOCK)
                rest = len(BLOCK)
                while rest:
                    rest -= len(accepted.recv(rest))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
