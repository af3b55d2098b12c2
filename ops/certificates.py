"""Certificates of a local stack: a CA of its own, made anew with each start, and what it certifies; production brings its own.

The CA's key is never written down: what is certified at the start is all that ever is. Formats and names are those of runtime/tls.py.
"""

import datetime
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ops.topology import EDGE, OPERATOR, SERVICES
from runtime.tls import DOMAIN

HOLDERS = {
    **{service.area: (service.area,) for service in SERVICES},
    EDGE: (EDGE, "view"),
    OPERATOR: ("seed", "audit", "admin"),
}
"""Which services each certificate makes its holder."""
_FOLDER = "tls"
_LASTS = datetime.timedelta(days=365)
_CURVE = ec.SECP256R1()


def make(home: Path) -> dict[str, dict[str, str]]:
    """Put a new CA and what it certifies into the home; for each holder what tells a process of it."""
    folder = home / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    ca_key = ec.generate_private_key(_CURVE)
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Aviary, this machine only")])
    ca = _builder(ca_name, ca_name, ca_key.public_key())
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    _write(folder / "ca.pem", ca.sign(ca_key, SHA256()).public_bytes(Encoding.PEM))
    for holder, services in HOLDERS.items():
        key = ec.generate_private_key(_CURVE)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, holder)])
        names = x509.SubjectAlternativeName([x509.DNSName(service + DOMAIN) for service in services])
        cert = _builder(name, ca_name, key.public_key()).add_extension(names, critical=False).sign(ca_key, SHA256())
        _write(folder / f"{holder}.cert.pem", cert.public_bytes(Encoding.PEM))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(folder / f"{holder}.key.pem", pem)
    return {
        holder: {
            "AVIARY_TLS_CERT": str(folder / f"{holder}.cert.pem"),
            "AVIARY_TLS_KEY": str(folder / f"{holder}.key.pem"),
            "AVIARY_TLS_CA": str(folder / "ca.pem"),
        }
        for holder in HOLDERS
    }


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    # A clock that is set back a little after the start is no reason to refuse.
    first = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(first).not_valid_after(first + _LASTS)


def _write(path: Path, pem: bytes) -> None:
    """Put the file in place whole, readable by its owner only."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    fresh.replace(path)
