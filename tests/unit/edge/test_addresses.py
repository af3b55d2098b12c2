"""Whose request it is, by address: what only proxies of ours say is believed, and nothing further away than the first stranger."""

import pytest

from edge.addresses import client_address, parse_proxies

OURS = parse_proxies("10.0.0.0/8, 2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.5, 198.51.100.7, 10.2.0.1"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.5", "198.51.100.7", "10.2.0.1"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.5, 198.51.100.7, ", "10.2.0.1"], "10.2.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, nonsense, 10.2.0.1"], "10.2.0.1"),
        ("10.0.0.1", ["10.3.0.1, 10.2.0.1"], "10.3.0.1"),
        ("10.0.0.1", ["10.0.0.2," * 40 + "198.51.100.7" + ",10.0.0.2" * 40], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:DB9::1]:4711"], "2001:db9::1"),
        ("2001:db8::1", ["2001:db9:0:0::1"], "2001:db9::1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("", ["198.51.100.7"], ""),
        ("/run/edge.sock", ["198.51.100.7"], ""),
    ],
)
def test_the_nearest_hop_that_is_not_ours_is_the_client(peer: str, forwarded: list[str], address: str) -> None:
    assert client_address(peer, [value.encode() for value in forwarded], OURS) == address


def test_without_proxies_of_ours_no_header_is_believed() -> None:
    assert client_address("10.0.0.1", [b"198.51.100.7"], ()) == "10.0.0.1"


@pytest.mark.parametrize("raw", ["10.0.0.1/8", "10.0.0.0/33", "proxy.example", "10.0.0.0/8,,"])
def test_what_is_no_network_is_refused_at_the_start(raw: str) -> None:
    with pytest.raises(ValueError, match=r"network|address|prefix|host bits|netmask"):
        parse_proxies(raw)
