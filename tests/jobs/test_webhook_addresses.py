"""Where webhooks may go."""

import pytest

from chutes.errors import InvalidArguments
from chutes.jobs.webhook_addresses import Forbidden, check_url, permitted_addresses
from chutes.settings import WebhookSettings
from support.receiver import SECRET

PUBLIC = WebhookSettings(secrets=(SECRET,))


def allowing(*hosts):
    return WebhookSettings(secrets=(SECRET,), private_hosts=hosts)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hooks?job=1&token=a%20b",
        "http://example.com:8080",
        "https://bücher.example/hooks",
        "https://93.184.215.14/hooks",
        "https://[2606:4700::1111]:8443/",
        "HTTPS://EXAMPLE.COM",
    ],
)
def test_a_public_address_may_be_told(url):
    assert check_url(url, PUBLIC) == url


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (7, "text of 1 to 2048"),
        ("", "text of 1 to 2048"),
        ("https://example.com/" + "a" * 2048, "text of 1 to 2048"),
        ("example.com/hooks", "https://"),
        ("//example.com/hooks", "https://"),
        ("ftp://example.com/hooks", "https://"),
        ("file:///etc/passwd", "https://"),
        ("javascript:alert(1)", "https://"),
        ("https:///hooks", "no host"),
        ("https://exa mple.com", "spaces"),
        ("https://example.com/\n", "control"),
        ("https://example.com:0/", "port"),
        ("https://example.com:99999/", "port"),
        ("https://example.com:http/", "Invalid"),
        ("https://me:secret@example.com/", "user or a password"),
        ("https://me@example.com/", "user or a password"),
        ("https://[fe80::1%25eth0]/", "host"),
        ("https://0177.0.0.1/", "Invalid"),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_write(url, text):
    with pytest.raises(InvalidArguments, match=text) as refused:
        check_url(url, allowing("*"))
    assert refused.value.status == 422
    assert "secret" not in str(refused.value)


PRIVATE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "127.0.0.1.", "0.0.0.0", "10.1.2.3", "172.16.0.1",
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "168.63.129.16", "[::]", "[::1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]",
    "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2002:7f00:1::]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]",
    "[2001:db8::1]", "[2001:0:4136:e378:8000:63bf:f5ff:fffe]",
]  # fmt: skip


@pytest.mark.parametrize("host", [*PRIVATE, "localhost", "LOCALHOST.", "hooks.localhost"])
def test_what_is_not_public_is_refused(host):
    with pytest.raises(InvalidArguments, match="CHUTES_WEBHOOK_ALLOW_PRIVATE"):
        check_url(f"http://{host}/hooks", PUBLIC)


@pytest.mark.parametrize(
    ("hosts", "allowed", "refused"),
    [
        (("*",), ["127.0.0.1", "[::1]", "localhost", "10.0.0.1"], []),
        (("127.0.0.1",), ["127.0.0.1"], ["127.0.0.2", "localhost", "10.0.0.1"]),
        (("10.0.0.0/8", "fd00::/8"), ["10.1.2.3", "[fd00::1]"], ["127.0.0.1", "[fe80::1]", "192.168.0.1"]),
        (("localhost",), ["localhost", "LOCALHOST."], ["127.0.0.1", "hooks.localhost"]),
    ],
)
def test_what_is_allowed_may_be_told(hosts, allowed, refused):
    settings = allowing(*hosts)
    for host in allowed:
        check_url(f"http://{host}/", settings)
    for host in refused:
        with pytest.raises(InvalidArguments):
            check_url(f"http://{host}/", settings)


def test_without_a_secret_nothing_is_accepted():
    with pytest.raises(InvalidArguments, match="chutes keys webhook"):
        check_url("https://example.com/", WebhookSettings())


async def test_a_name_leads_only_to_addresses_that_are_permitted():
    with pytest.raises(Forbidden, match=r"localhost has no public address, only .*127\.0\.0\.1"):
        await permitted_addresses("localhost", 80, PUBLIC)
    assert "127.0.0.1" in await permitted_addresses("localhost", 80, allowing("localhost"))
    assert await permitted_addresses("localhost", 80, allowing("127.0.0.0/8")) == ["127.0.0.1"]
    assert await permitted_addresses("93.184.215.14", 80, PUBLIC) == ["93.184.215.14"]
    with pytest.raises(Forbidden):
        await permitted_addresses("2130706433", 80, PUBLIC)
