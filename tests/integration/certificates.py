"""Certificates of the tests' own: a CA, and what it or another one certified for one process."""

import datetime
from dataclasses import replace
from pathlib import Path

import trustme

from runtime.config import TlsConfig
from runtime.tls import DOMAIN


class Authority:
    """A CA whose certificates lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.root = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.root)

    def certify(self, *services: str, file: str = "", ended: bool = False) -> TlsConfig:
        """Files that certify to be these services, under a name of their own or that of the first; one that has ended on demand."""
        last = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=-1 if ended else 1)
        first = last - datetime.timedelta(days=30)
        made = self._ca.issue_cert(*(name + DOMAIN for name in services), not_before=first, not_after=last)
        cert, key = (self._folder / f"{file or services[0]}.{kind}.pem" for kind in ("cert", "key"))
        made.private_key_pem.write_to_path(key)
        cert.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        return TlsConfig(cert, key, self.root)


def environment(config: TlsConfig) -> dict[str, str]:
    """What tells a process of the files."""
    return {"AVIARY_TLS_CERT": str(config.cert), "AVIARY_TLS_KEY": str(config.key), "AVIARY_TLS_CA": str(config.ca)}


def believing(config: TlsConfig, root: Path) -> TlsConfig:
    """The same certificate with another CA believed."""
    return replace(config, ca=root)
