"""Makes a key in each form that PEM has for one, in the current folder, and a certificate for it."""

import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL

for form, key, private, digest in [
    ("pkcs8", ed25519.Ed25519PrivateKey.generate(), PKCS8, None),
    ("sec1", ec.generate_private_key(ec.SECP256R1()), TRADITIONAL, hashes.SHA256()),
    ("pkcs1", rsa.generate_private_key(public_exponent=65537, key_size=2048), TRADITIONAL, hashes.SHA256()),
]:
    builder = x509.CertificateBuilder(NAME, NAME, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(NOW + datetime.timedelta(hours=1))
    certificate = builder.sign(key, digest).public_bytes(serialization.Encoding.PEM)
    pathlib.Path(f"{form}.pem").write_bytes(certificate)
    text = key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    pathlib.Path(f"{form}.key.pem").write_bytes(text)
