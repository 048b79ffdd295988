"""Makes certificates in the current folder: `NAME=SAN`, such as `server=ledger.internal billing=spiffe://a.example/b`.

One authority, `ca.pem`, signs them all. Names that are URIs become URIs in the certificate, as SPIFFE has it.
"""

import datetime
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)


def certificate(name, issuer, issuers_key, key, *extensions):
    builder = x509.CertificateBuilder(issuer, subject(name), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(NOW + datetime.timedelta(hours=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    text = builder.sign(issuers_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pathlib.Path(f"{name}.pem").write_bytes(text)


def subject(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


authority = new_key()
certificate("ca", subject("ca"), authority, authority, x509.BasicConstraints(ca=True, path_length=None))
for argument in sys.argv[1:]:
    name, alternative = argument.split("=", 1)
    known_as = (x509.UniformResourceIdentifier if "://" in alternative else x509.DNSName)(alternative)
    key = new_key()
    certificate(name, subject("ca"), authority, key, x509.SubjectAlternativeName([known_as]))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pathlib.Path(f"{name}.key").write_bytes(private)
