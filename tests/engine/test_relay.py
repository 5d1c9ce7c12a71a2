"""What comes to a port of this machine goes to a socket's file, both ways, and nowhere else."""

import socket
import threading

import pytest

from avatarmake.engine import relay
from avatarmake.errors import Exit, StageError


def answering(path) -> socket.socket:
    """A server at a socket's file that sends back what it hears, louder."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while heard := connection.recv(1 << 16):
                    connection.sendall(heard.upper())

    threading.Thread(target=serve, daemon=True).start()
    return listener


def test_it_hands_on_both_ways(tmp_path):
    long = b"a frame of the camera " * 100_000
    with relay.listening(0) as port, answering(tmp_path / "s") as server, relay.handed_on(port, tmp_path / "s"):
        assert port.getsockname()[0] == "127.0.0.1"
        for said in (b"hello", long):
            with socket.create_connection(port.getsockname()) as client:
                threading.Thread(target=client.sendall, args=(said,)).start()
                heard = b""
                while len(heard) < len(said):
                    heard += client.recv(1 << 16)
                assert heard == said.upper()
        server.shutdown(socket.SHUT_RDWR)


def test_where_nobody_listens_the_caller_is_sent_away(tmp_path):
    with relay.listening(0) as port, relay.handed_on(port, tmp_path / "s"):
        with socket.create_connection(port.getsockname()) as client:
            assert client.recv(10) == b""


def test_who_is_still_there_is_let_go_at_the_end(tmp_path):
    with relay.listening(0) as port, answering(tmp_path / "s") as server:
        with relay.handed_on(port, tmp_path / "s"):
            client = socket.create_connection(port.getsockname())
            client.sendall(b"a")
            assert client.recv(10) == b"A"
        with client:
            assert client.recv(10) == b""
        server.shutdown(socket.SHUT_RDWR)


def test_a_port_that_is_taken():
    with relay.listening(0) as port:
        with pytest.raises(StageError) as refused:
            relay.listening(port.getsockname()[1])
    assert refused.value.exit == Exit.ENVIRONMENT and "cannot be had" in str(refused.value)
