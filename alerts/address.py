"""ZeroMQ addresses: which are allowed, and binding them with errors that say what to do."""

import errno
import ipaddress
import os
import re
import socket
from pathlib import Path

import zmq

from sorawatch import ConfigError, ResourceError

_TCP = re.compile(r"tcp://(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5}|\*)")
_IPC = re.compile(r"ipc://(?P<path>/.*)")


def check_address(address: str, key: str, *, guarded: bool) -> None:
    """Raise ConfigError unless `address` may be bound; `key` names it in the configuration.

    Unless `guarded` (by CURVE keys, or by the operator's word that anyone may listen) only this
    machine may: `ipc://PATH` and loopback `tcp://HOST:PORT`.
    """
    if _IPC.fullmatch(address):
        return
    match = _TCP.fullmatch(address)
    if match is None or (match["port"] != "*" and int(match["port"]) > 65535):
        raise ConfigError(
            f"{key}: {address!r} is no address: write tcp://HOST:PORT or ipc:///absolute/path"
        )
    if not guarded and not _is_loopback(match["host"]):
        raise ConfigError(
            f"{key}: {address} can be reached from other machines, which needs CURVE keys: "
            "make some with `sorawatch keys` and give alerts.curve, or use tcp://127.0.0.1:PORT "
            "(alerts.anyone_on_the_network_may_listen: true sends alerts in clear to whoever asks)"
        )


def bind(sock: "zmq.Socket[bytes]", address: str, key: str) -> str:
    """Bind; the address as bound (a port 0 has become a real one).

    An ipc socket can be used by its owner alone. Raises ResourceError.
    """
    if path := _IPC.fullmatch(address):
        return _bind_ipc(sock, address, Path(path["path"]), key)
    address = address.replace("//localhost:", "//127.0.0.1:")
    if address.endswith(":0"):
        address = address[:-1] + "*"
    if "[" in address:
        sock.setsockopt(zmq.IPV6, 1)
    try:
        sock.bind(address)
    except zmq.ZMQError as exc:
        raise _refused(address, key, exc.errno or 0, str(exc)) from exc
    return sock.getsockopt_string(zmq.LAST_ENDPOINT)


def _bind_ipc(sock: "zmq.Socket[bytes]", address: str, path: Path, key: str) -> str:
    try:
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        # libzmq would take a living program's socket away from it without a word.
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise _refused(address, key, errno.EADDRINUSE, "Address already in use")
        sock.bind(address)
        os.chmod(path, 0o600)
    except zmq.ZMQError as exc:
        raise _refused(address, key, exc.errno or 0, str(exc)) from exc
    except OSError as exc:
        raise _refused(address, key, exc.errno or 0, exc.strerror or str(exc)) from exc
    return address


def _refused(address: str, key: str, number: int, text: str) -> ResourceError:
    advice = (
        "stop the program that uses it, or give another one"
        if number == errno.EADDRINUSE
        else "give an address of this machine that this user may use"
    )
    return ResourceError(f"{key}: cannot listen on {address}: {text}: {advice}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # "*", a name or a network interface: may be anything
        return False
