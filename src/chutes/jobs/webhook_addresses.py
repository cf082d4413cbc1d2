"""Where webhooks may go: to the public internet, and to what the settings allow beside it."""

import asyncio
import ipaddress
import re
import socket

import httpx2

from chutes.errors import InvalidArguments
from chutes.settings import WebhookSettings

__all__ = ["Forbidden", "check_url", "permitted_addresses"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LONGEST_URL = 2048
_HIGHEST_PORT = 65535
_HOST = re.compile(rb"[a-zA-Z0-9._:-]+")
_EXAMPLE = "Write for example 'https://example.com/hooks/jobs'."
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Public by its number, and yet a cloud's own door to its machines.
_PLATFORM = ipaddress.IPv4Address("168.63.129.16")
_ALLOW = "Set CHUTES_WEBHOOK_ALLOW_PRIVATE to 1, or to a list of hosts and networks, where that is meant."


class Forbidden(Exception):  # noqa: N818 - named for the condition
    """A host has no address that webhooks may go to."""


def check_url(url: object, settings: WebhookSettings) -> str:
    """The address of a webhook, as far as it can be checked without asking for the addresses of its host.

    Raises:
        InvalidArguments: it is no address that webhooks may go to, or nothing is there to sign them with.
    """
    parsed = _parsed(url)
    if parsed.userinfo:
        raise InvalidArguments(
            "Invalid webhook: its address has a user or a password in it. Leave them out: the receiver checks the signature."
        )
    host = parsed.raw_host.decode("ascii")
    if not _is_permitted(host, settings):
        raise InvalidArguments(f"Invalid webhook {str(parsed)!r}. {host!r} is no public address. {_ALLOW}")
    if not settings.secrets:
        raise InvalidArguments(
            "This chute sends no webhooks: it has no secret to sign them with. Make one with `chutes keys webhook`, serve the "
            "chute with it as CHUTES_WEBHOOK_SECRET, and give it to the receiver."
        )
    return str(url)


async def permitted_addresses(host: str, port: int, settings: WebhookSettings) -> list[str]:
    """The addresses of a host that webhooks may go to, in the order in which to try them.

    Raises:
        Forbidden: it has none.
        OSError: they cannot be found.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    permitted = [one for one in addresses if _is_allowed(host, settings) or _is_permitted(one, settings)]
    if not permitted:
        raise Forbidden(f"{host} has no public address, only {', '.join(addresses)}. {_ALLOW}")
    return permitted


def _parsed(url: object) -> httpx2.URL:
    if not isinstance(url, str) or not 0 < len(url) <= _LONGEST_URL:
        raise InvalidArguments(f"Invalid webhook. It is a text of 1 to {_LONGEST_URL} characters. {_EXAMPLE}")
    if not url.isprintable() or " " in url:
        raise InvalidArguments(f"Invalid webhook {url!r}. It has spaces or control characters. {_EXAMPLE}")
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise InvalidArguments(f"Invalid webhook {url!r}: {error}. {_EXAMPLE}") from None
    if parsed.scheme not in ("http", "https"):
        raise InvalidArguments(f"Invalid webhook {url!r}. It begins with https:// or http://. {_EXAMPLE}")
    port = 443 if parsed.port is None else parsed.port
    if not _HOST.fullmatch(parsed.raw_host) or not 0 < port <= _HIGHEST_PORT:
        raise InvalidArguments(
            f"Invalid webhook {url!r}. It names no host and port to connect to. {_EXAMPLE}"
        )
    return parsed


def _is_permitted(host: str, settings: WebhookSettings) -> bool:
    """Whether nothing is known against a host; whatever a name stands for is looked at when it is used."""
    if _is_allowed(host, settings):
        return True
    address = _literal(host)
    if address is None:
        name = host.rstrip(".").lower()
        return name != "localhost" and not name.endswith(".localhost")
    return _is_public(address) or any(address in network for network in _networks(settings))


def _is_allowed(host: str, settings: WebhookSettings) -> bool:
    return "*" in settings.private_hosts or host.rstrip(".").lower() in settings.private_hosts


def _networks(settings: WebhookSettings) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [
        ipaddress.ip_network(one, strict=False) for one in settings.private_hosts if _begins_as_address(one)
    ]


def _begins_as_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("/")[0])
    except ValueError:
        return False
    return True


def _literal(host: str) -> Address | None:
    """The address that a host is, None for a name."""
    try:
        return ipaddress.ip_address(host.rstrip("."))
    except ValueError:
        pass
    try:
        # 127.1, 0x7f000001 and 2130706433 are all 127.0.0.1 for whoever connects.
        return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return None


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (inner := _carried(address)) is not None:
        return _is_public(inner)
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_link_local
        and address != _PLATFORM
    )


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end at."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour
