"""What an app may know before it asks: the metadata of this server (RFC 8414) and the public keys of access tokens (RFC 7517)."""

from collections.abc import Mapping
from typing import Any

from authlib.oauth2 import rfc8414, rfc9207
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm

from edge.oauth import authorize, tokens
from edge.oauth.protocol import AUTH_METHODS
from runtime.context import APP_SCOPES

METADATA_PATH = "/.well-known/oauth-authorization-server"
KEYS_PATH = "/.well-known/jwks.json"


def metadata(public_url: str) -> dict[str, Any]:
    """The document of a server at this address. Raises ValueError when it is not one that the standard allows."""
    document = rfc8414.AuthorizationServerMetadata(
        {
            "issuer": public_url,
            "authorization_endpoint": public_url + authorize.PATH,
            "token_endpoint": public_url + tokens.TOKEN_PATH,
            "revocation_endpoint": public_url + tokens.REVOKE_PATH,
            "jwks_uri": public_url + KEYS_PATH,
            "service_documentation": public_url + "/docs",
            "scopes_supported": list(APP_SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": AUTH_METHODS,
            "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
    )
    document.validate(metadata_classes=[rfc9207.AuthorizationServerMetadata])
    return dict(document)


def key_set(keys: Mapping[str, Ed25519PublicKey]) -> dict[str, Any]:
    """All keys under which an access token may be signed, those that come and go with a rotation included."""
    return {
        "keys": [
            {**OKPAlgorithm.to_jwk(key, as_dict=True), "kid": kid, "use": "sig", "alg": "EdDSA", "key_ops": ["verify"]}
            for kid, key in keys.items()
        ]
    }
