"""Certificates of a run."""

import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rtt_tracer.control.certificates import SERVER_NAME, make_certificate


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "bank-a.example"])
def test_certificate_is_for_one_host_and_no_ca(host: str) -> None:
    text, key_text = make_certificate("0x" + "ab" * 32, host)

    made = x509.load_pem_x509_certificate(text.encode())
    key = load_pem_private_key(key_text.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert made.public_key() == key.public_key()
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert str(host) in {str(name.value) for name in names}
    assert SERVER_NAME in {name.value for name in names}
    ssl.create_default_context(cadata=text)


def test_every_run_has_certificates_of_its_own() -> None:
    first, second = (make_certificate("x", "127.0.0.1") for _ in range(2))

    assert first[0] != second[0]
    assert first[1] != second[1]
