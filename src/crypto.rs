//! Every call into a cryptographic crate.
//!
//! Nothing else names one, so that a backend can be measured and exchanged here.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Verifier as _;
use sha2::Digest as _;
use zeroize::Zeroizing;

/// A signature algorithm, by its name in the HTTP Signature Algorithms registry (RFC 9421 §6.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RFC 9421 §3.3.6
    Ed25519,
    /// RFC 9421 §3.3.4
    EcdsaP256Sha256,
}

impl Algorithm {
    /// The registered name: what a client may put into the `alg` parameter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
        }
    }
}

/// Why bytes are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("expected {expected} bytes, but found {found}")]
    Length { expected: usize, found: usize },
    #[error("the point is not on the curve, or not in its canonical form")]
    Point,
    #[error("the point is of small order: anybody could sign for it")]
    Weak,
    #[error("the private scalar is zero or too large")]
    Scalar,
    #[error("the private key does not belong to the public key beside it")]
    Mismatch,
    #[error("the system's random numbers are not available")]
    Random,
}

/// The signature does not verify. There is nothing more to say: why not would help only a forger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A public key that can verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    EcdsaP256(Box<p256::ecdsa::VerifyingKey>),
}

impl PublicKey {
    /// An Ed25519 key from its 32 bytes (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// For any other length, for a point that is not on the curve or not written canonically, and for the points of
    /// small order, whose owners could later deny what they signed.
    pub fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] =
            bytes.try_into().map_err(|_| KeyError::Length { expected: 32, found: bytes.len() })?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Point)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::Point);
        }
        Ok(Self::Ed25519(Box::new(key)))
    }

    /// A P-256 key from its coordinates (RFC 7518 §6.2.1).
    ///
    /// # Errors
    /// When a coordinate is not of 32 bytes, and when the point is not on the curve.
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let coordinate = |bytes: &[u8]| -> Result<[u8; 32], KeyError> {
            bytes.try_into().map_err(|_| KeyError::Length { expected: 32, found: bytes.len() })
        };
        let point =
            p256::Sec1Point::from_affine_coordinates(&coordinate(x)?.into(), &coordinate(y)?.into(), false);
        let key = p256::ecdsa::VerifyingKey::from_sec1_point(&point).map_err(|_| KeyError::Point)?;
        Ok(Self::EcdsaP256(Box::new(key)))
    }

    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::Ed25519,
            Self::EcdsaP256(_) => Algorithm::EcdsaP256Sha256,
        }
    }

    /// The coordinates: the one of Ed25519, or the two of P-256.
    #[must_use]
    pub fn coordinates(&self) -> ([u8; 32], Option<[u8; 32]>) {
        match self {
            Self::Ed25519(key) => (key.to_bytes(), None),
            Self::EcdsaP256(key) => {
                let point = key.to_sec1_point(false);
                let coordinate = |bytes: Option<&p256::FieldBytes>| bytes.map(|bytes| (*bytes).into());
                (coordinate(point.x()).unwrap_or_default(), coordinate(point.y()))
            }
        }
    }

    /// Checks a signature over `message`: 64 bytes, for ECDSA r and s one after the other (RFC 9421 §3.3.4).
    ///
    /// Ed25519 is checked strictly: one encoding of each value, no small-order points, the equation without the
    /// cofactor. A high s of ECDSA is allowed, as RFC 9421 allows it, so signature bytes identify nothing.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match self {
            Self::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
                key.verify_strict(message, &signature).map_err(|_| BadSignature)
            }
            Self::EcdsaP256(key) => {
                let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| BadSignature)?;
                key.verify(message, &signature).map_err(|_| BadSignature)
            }
        }
    }
}

/// A private key: of the reference client, or of the relay for what it says itself.
///
/// It has no `Debug`, and its bytes are overwritten when it is dropped.
pub enum PrivateKey {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    EcdsaP256(Box<p256::ecdsa::SigningKey>),
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        loop {
            let mut secret = Zeroizing::new([0; 32]);
            getrandom::fill(secret.as_mut_slice()).map_err(|_| KeyError::Random)?;
            match Self::from_bytes(algorithm, secret.as_slice()) {
                // Not below the order of P-256: one draw in 2^32.
                Err(KeyError::Scalar) => {}
                result => return result,
            }
        }
    }

    /// A key from its 32 bytes: the seed of Ed25519, or the scalar of P-256.
    ///
    /// # Errors
    /// For any other length, and for a scalar outside its range.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] =
            bytes.try_into().map_err(|_| KeyError::Length { expected: 32, found: bytes.len() })?;
        match algorithm {
            Algorithm::Ed25519 => Ok(Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(bytes)))),
            Algorithm::EcdsaP256Sha256 => p256::ecdsa::SigningKey::from_slice(bytes)
                .map(|key| Self::EcdsaP256(Box::new(key)))
                .map_err(|_| KeyError::Scalar),
        }
    }

    /// The bytes that [`Self::from_bytes`] takes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        match self {
            Self::Ed25519(key) => Zeroizing::new(key.to_bytes()),
            Self::EcdsaP256(key) => Zeroizing::new(key.to_bytes().into()),
        }
    }

    #[must_use]
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(Box::new(key.verifying_key())),
            Self::EcdsaP256(key) => PublicKey::EcdsaP256(Box::new(*key.verifying_key())),
        }
    }

    /// Signs `message`: 64 bytes. ECDSA is deterministic (RFC 6979).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Self::EcdsaP256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
        }
    }
}

/// The 64 bytes of an ECDSA signature that is in DER, as X.509 and many libraries have it.
#[must_use]
pub fn ecdsa_from_der(der: &[u8]) -> Option<Vec<u8>> {
    p256::ecdsa::Signature::from_der(der).ok().map(|signature| signature.to_bytes().to_vec())
}

/// SHA-256 (FIPS 180-4).
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(data).into()
}

/// SHA-512 (FIPS 180-4).
#[must_use]
pub fn sha512(data: &[u8]) -> [u8; 64] {
    sha2::Sha512::digest(data).into()
}

/// In hexadecimal, as `sha256sum` prints it.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // A string takes every write.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Random bytes from the operating system.
///
/// # Errors
/// When the system has none.
pub fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}
