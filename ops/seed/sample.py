"""Makes data/graph-outside-congress.tsv: follows for the authors who are not in the congress graph, the same on every machine."""

import hashlib
from pathlib import Path

from ops.seed import dataset

EACH_WAY = 20


def sample(authors: list[str], congress: list[str]) -> list[tuple[str, str]]:
    """Each author outside follows 20 accounts and is followed by 20, chosen by a hash of the pair."""
    inside = {name.lower() for name in congress}
    everybody = sorted({*congress, *(a for a in authors if a.lower() not in inside)})
    pairs: set[tuple[str, str]] = set()
    for author in authors:
        if author.lower() in inside:
            continue
        others = [name for name in everybody if name != author]
        pairs |= {(author, other) for other in sorted(others, key=lambda o: _rank(author, o))[:EACH_WAY]}
        pairs |= {(other, author) for other in sorted(others, key=lambda o: _rank(o, author))[:EACH_WAY]}
    return sorted(pairs)


def text(pairs: list[tuple[str, str]]) -> str:
    """The file's content."""
    return "".join(f"{a}\t{b}\n" for a, b in pairs)


def main(folder: Path = dataset.DATA) -> None:
    """Write the file."""
    pairs = sample(sorted(dataset.authors_of(folder)), dataset.congress_names(folder))
    (folder / "graph-outside-congress.tsv").write_text(text(pairs))


def _rank(follower: str, followee: str) -> bytes:
    return hashlib.sha256(f"{follower}\t{followee}".encode()).digest()


if __name__ == "__main__":
    main()
