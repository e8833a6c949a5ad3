"""Signatures of certificates: DSSE envelopes with an Ed25519 key, by the package cryptography."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import Any

from hornbeam._internal.extras import required
from hornbeam.certificate.hashing import canonical
from hornbeam.errors import CertificateError

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def signed_bytes(payload: bytes) -> bytes:
    """Return what a signature of a payload covers: DSSE's pre-authentication encoding."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, key: str | os.PathLike[str]) -> bytes:
    """Return the envelope of a payload, signed by the private Ed25519 key in a PEM file.

    Raises:
        ImportError: Without the package cryptography.
        CertificateError: For another kind of key.
    """
    with required("signing a certificate needs cryptography", "signing"):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    private: Any = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise CertificateError(f"{os.fspath(key)} is not a private Ed25519 key")
    signature = private.sign(signed_bytes(payload))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": _key_id(private.public_key()), "sig": base64.b64encode(signature).decode()}],
    }
    return canonical(envelope)


def _key_id(public: Any) -> str:
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()


def payload_of(envelope: Any) -> bytes:
    """Return the payload of an envelope, whose signature is not checked.

    Raises:
        CertificateError: If it is not one of a certificate.
    """
    if envelope.get("payloadType") != PAYLOAD_TYPE or not isinstance(envelope.get("payload"), str):
        raise CertificateError(f"the envelope does not hold {PAYLOAD_TYPE!r}")
    return _decoded(envelope["payload"])


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CertificateError("the envelope is not Base64") from None


def is_signed_by(envelope: Any, key: str | os.PathLike[str]) -> bool:
    """Return whether an envelope has a valid signature of the public Ed25519 key in a PEM file.

    Raises:
        ImportError: Without the package cryptography.
    """
    with required("checking a signature needs cryptography", "signing"):
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import serialization
    public: Any = serialization.load_pem_public_key(Path(key).read_bytes())
    signatures = envelope.get("signatures") if isinstance(envelope, dict) else None
    for signature in signatures[:10] if isinstance(signatures, list) else []:
        text = signature.get("sig") if isinstance(signature, dict) else None
        if not isinstance(text, str):
            continue
        try:
            public.verify(_decoded(text), signed_bytes(payload_of(envelope)))
            return True
        except InvalidSignature:
            continue
    return False
