"""The listening socket, and one clear line when there can be none."""

import errno
import os
import socket
from pathlib import Path

import pytest

from chutes.errors import ServeError
from chutes.serve.listener import _why_not, bind, from_fd, url_of

HAS_IPV6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_port_0_takes_a_free_port_and_listens_at_once(host):
    with bind(host, 0) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://127.0.0.1:{port}"
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_both_families_reach_a_listener_on_all_interfaces():
    if not HAS_IPV6:
        with pytest.raises(ServeError, match="::"):
            bind("::", 0)
        return
    with bind("::", 0) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://[::1]:{port}"
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()


def test_a_taken_port_is_named_with_one_to_try():
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServeError) as caught:
            bind("127.0.0.1", port)
    other = port + 1 if port < 65535 else port - 1
    text = f"Port {port} on 127.0.0.1 is taken. Stop what listens there, or try `--port {other}`."
    assert str(caught.value) == text


def test_a_port_is_free_again_right_after_its_listener_closed():
    with bind("127.0.0.1", 0) as listener:
        listener.setblocking(True)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            listener.accept()[0].close()
    bind("127.0.0.1", port).close()


def test_a_privileged_port_is_refused_with_one_to_try():
    """Asked for its text alone: the superuser, who may run this, may take every port."""
    text = _why_not(PermissionError(errno.EACCES, "Permission denied"), "127.0.0.1", 80, "--port")
    assert text == "Port 80 needs administrator rights. Choose one above 1023, for example `--port 8001`."


@pytest.mark.parametrize("host", ["no-such-host.invalid", "", "256.1.1.1", "x" * 300])
def test_an_unknown_host_is_refused_by_name(host):
    with pytest.raises(ServeError, match="Unknown host"):
        bind(host, 0)


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(ServeError, match=r"192\.0\.2\.1 is no address of this machine"):
        bind("192.0.2.1", 0)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_refused(port):
    with pytest.raises(ServeError, match=f"Invalid port {port}"):
        bind("127.0.0.1", port)


def test_the_listener_is_inherited_by_no_child_unasked():
    with bind("127.0.0.1", 0) as listener:
        assert not listener.get_inheritable()


def test_an_inherited_listener_is_taken_over_by_its_number():
    with bind("127.0.0.1", 0) as listener:
        inherited = listener.dup().detach()
        os.set_inheritable(inherited, True)
        with from_fd(inherited) as taken:
            assert taken.getsockname() == listener.getsockname()
            assert not taken.get_inheritable()


def test_a_number_that_is_no_listening_socket_is_refused(tmp_path):
    with (tmp_path / "file").open("w") as file, socket.socket() as mute:
        for fd in (file.fileno(), mute.fileno(), 10_000):
            with pytest.raises(ServeError, match=f"Invalid CHUTES_LISTEN_FD={fd}: no listening socket"):
                from_fd(fd)
        assert mute.getsockname() == ("0.0.0.0", 0), "It was not ours to close."
