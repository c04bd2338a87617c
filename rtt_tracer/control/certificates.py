"""Certificates of one run: self-signed, pinned by the peers, thrown away afterwards.

There is no CA, and no CA's key that somebody would have to keep: a party's certificate is
believed because its introduction, signed with the node key, names it (ADR 0016).
"""

import datetime
import ipaddress
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_NAME = "party.datatoken.invalid"
"""In every certificate, beside the host: clients ask for it, the certificate itself is pinned."""

SKEW = datetime.timedelta(hours=1)
LIFE = datetime.timedelta(days=7)
_MAX_NAME = 64


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def make_certificate(
    common_name: str, host: str, *, clock: Callable[[], datetime.datetime] = _now
) -> tuple[str, str]:
    """Make an EC P-256 key and a self-signed certificate for it.

    Parameters
    ----------
    common_name : str
        For people who look at it; nothing trusts it. Cut to 64 characters.
    host : str
        IP literal or name that the party listens on.

    Returns
    -------
    tuple of str
        Certificate and key (PKCS #8, not encrypted) in PEM.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_MAX_NAME])])
    now = clock()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFE)
        # No CA: a stolen key signs no certificate that another party would take.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME), _host_name(host)]),
            critical=False,
        )
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
