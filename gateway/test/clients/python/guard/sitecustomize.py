"""Loaded by Python itself before anything else: this process reaches nothing but loopback, and says what it tried."""

import ipaddress
import sys


def refuse(event: str, args: tuple) -> None:
    if event == "socket.connect":
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host is None or is_loopback(host):
        return
    print(f"guard refused {host}", file=sys.stderr, flush=True)
    raise ConnectionRefusedError(f"only loopback may be reached, not {host}")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


sys.addaudithook(refuse)
