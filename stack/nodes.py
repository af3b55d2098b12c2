"""Which node of a server a program is, and on which loopback address it listens. What a node is started with is its server's module."""

from dataclasses import dataclass

from stack.ports import HOST


@dataclass(frozen=True)
class Node:
    """One of `count` nodes of a server, counted from 0; the first listens on 127.0.0.1, the second on 127.0.0.2."""

    index: int = 0
    count: int = 1

    @property
    def host(self) -> str:
        """Its address; all nodes of a server use the same ports."""
        network, _, last = HOST.rpartition(".")
        return f"{network}.{int(last) + self.index}"

    def name(self, server: str) -> str:
        """The name of its program: `cassandra` when it is alone, else `cassandra-1`, `cassandra-2` …"""
        return server if self.count == 1 else f"{server}-{self.index + 1}"

    @property
    def fellows(self) -> tuple["Node", ...]:
        """All nodes of the server, this one among them."""
        return nodes(self.count)


ALONE = Node()


def nodes(count: int) -> tuple[Node, ...]:
    """All nodes of a server that has `count` of them."""
    return tuple(Node(index, count) for index in range(count))


def parse(name: str) -> tuple[str, str]:
    """The server and the address of a program by its name: `("cassandra", "127.0.0.2")` of `cassandra-2`."""
    server, dash, number = name.rpartition("-")
    return (server, Node(int(number) - 1).host) if dash and number.isdigit() else (name, HOST)
