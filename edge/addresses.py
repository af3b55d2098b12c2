"""Which address a request came from, through how many proxies of our own it ever passed; what it is used for, others know."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_HOPS_AT_MOST = 32

_Address = IPv4Address | IPv6Address
Proxies = tuple[IPv4Network | IPv6Network, ...]


def client_address(peer: str, forwarded: Sequence[bytes], proxies: Proxies) -> str:
    """The nearest hop that is no proxy of ours: `peer`, or for a peer in `proxies` the rightmost other address in its
    X-Forwarded-For headers (`forwarded`, in their order). What stands further left was written by that hop and proves nothing.

    The nearest proxy where the headers end or become unreadable before another hop is named; empty when there is no `peer`.
    """
    nearest = _parsed(peer)
    if nearest is None:
        return ""
    hops = _hops(forwarded)
    for _ in range(_HOPS_AT_MOST):
        if not any(nearest in network for network in proxies):
            break
        hop = _parsed(next(hops, ""))
        if hop is None:
            break
        nearest = hop
    return str(nearest)


def parse_proxies(raw: str) -> Proxies:
    """Networks from `10.0.0.0/8,2001:db8::/32`; a single address is a network of one. Raises ValueError that names a wrong one."""
    return tuple(ip_network(network.strip()) for network in raw.split(","))


def _hops(forwarded: Sequence[bytes]) -> Iterator[str]:
    for value in reversed(forwarded):
        yield from reversed(value.decode("latin-1").split(","))


def _parsed(text: str) -> _Address | None:
    """The address in `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        # One client has one address, whichever socket of ours it came to; and names of its own zones mean nothing here.
        return address.ipv4_mapped or IPv6Address(int(address))
    return address
