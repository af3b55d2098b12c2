"""Mutual TLS between processes: whom a certificate makes its owner, and credentials made of it; what a caller may do is policy.py's."""

import datetime
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from prometheus_client import Gauge

from runtime.config import ConfigError, TlsConfig
from runtime.telemetry import logger

DOMAIN = ".aviary.internal"
"""Whoever holds a certificate of our CA for the DNS name `tweet.aviary.internal` is the service `tweet`."""

EXPIRY = Gauge("aviary_mesh_certificate_expiry_seconds", "When the certificate of this process ends, epoch seconds.")

Pems = tuple[bytes, bytes, bytes]

log = logger(__name__)


class Tls:
    """What proves who this process is. Raises ConfigError when it does not prove that it is `service`, or not now."""

    def __init__(self, config: TlsConfig, service: str) -> None:
        self.may_assert_users = config.may_assert_users
        self._paths = (config.cert, config.key, config.ca)
        self._service = service
        self._pems = self._read()
        self._ensure_fit(self._pems)

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a server that demands a certificate of our CA. The files are read again before each handshake."""
        return grpc.dynamic_ssl_server_credentials(self._for_server(), self._renewed, True)  # type: ignore[arg-type]  # None is fine

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a channel, which keeps them for its life: gRPC renews them for servers only."""
        cert, key, ca = self._pems
        return grpc.ssl_channel_credentials(ca, key, cert)

    def _for_server(self) -> grpc.ServerCertificateConfiguration:
        cert, key, ca = self._pems
        return grpc.ssl_server_certificate_configuration([(key, cert)], ca)

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """What gRPC shall use from now on, None for what it has. Called by threads of gRPC."""
        try:
            pems = self._read()
            if pems == self._pems:
                return None
            self._ensure_fit(pems)
        except (OSError, ConfigError) as error:
            log.warning("certificate_not_renewed", why=str(error))
            return None
        self._pems = pems
        log.info("certificate_renewed", cert=str(self._paths[0]))
        return self._for_server()

    def _read(self) -> Pems:
        cert, key, ca = self._paths
        return cert.read_bytes(), key.read_bytes(), ca.read_bytes()

    def _ensure_fit(self, pems: Pems) -> None:
        cert, key, ca = self._paths
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
            chain, roots = (x509.load_pem_x509_certificates(pem) for pem in (pems[0], pems[2]))
            _ensure_proves(self._service, chain, roots)
        except (ssl.SSLError, ValueError, x509.ExtensionNotFound) as error:
            text = f"AVIARY_TLS_CERT={cert} with AVIARY_TLS_KEY={key}, AVIARY_TLS_CA={ca}: {error}"
            raise ConfigError(text) from None
        EXPIRY.set(chain[0].not_valid_after_utc.timestamp())


def services_of(auth_context: Mapping[str, Iterable[bytes]]) -> list[str]:
    """The services that the other end of a connection is certified to be."""
    names = [name.decode("ascii", "replace") for name in auth_context.get("peer_dns", ())]
    return [name.removesuffix(DOMAIN) for name in names if name.endswith(DOMAIN)]


def _ensure_proves(service: str, chain: list[x509.Certificate], roots: list[x509.Certificate]) -> None:
    """Raise ValueError, saying what to do, for what every other process would refuse in a handshake, where less is said."""
    leaf, now = chain[0], datetime.datetime.now(datetime.UTC)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise ValueError(f"valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc} only: make a new one")
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    named = names.get_values_for_type(x509.DNSName)
    if service + DOMAIN not in named:
        raise ValueError(f"is for {named}, and must be for {service + DOMAIN}")
    for root in roots:
        with suppress(ValueError, TypeError, InvalidSignature):
            return chain[-1].verify_directly_issued_by(root)
    raise ValueError("the certificate is of another CA")
