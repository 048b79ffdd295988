//! Enforces signed transactions at the proxy: an Envoy `ext_authz` server that verifies HTTP Message Signatures
//! (RFC 9421) and `Content-Digest` (RFC 9530).
//!
//! The modules stand in the order of a request's way through them:
//!
//! ```text
//! envoy::request ─▶ policy ─▶ proof ─▶ keys ─▶ verify ─▶ policy ─▶ replay ─▶ evidence ─▶ receipt ─▶ envoy::response
//!    wire to         match,   what is   who     is it     approvals, was it    recorded    for the      values
//!    values         condition claimed   signs   true      is it enough used    first       backend      to wire
//! ```
//!
//! The verifier core ([`request`], [`proof`], [`keys`], [`verify`], [`policy`]) is pure: no gRPC, no clock, no files, no
//! async. Anybody can use it without Envoy:
//!
//! ```
//! use proof_messenger_relay::keys::{Directory, parse_jwk_set};
//! use proof_messenger_relay::limits::Limits;
//! use proof_messenger_relay::proof::ProofFields;
//! use proof_messenger_relay::request::{Encoding, Field, Fields, Request};
//! use proof_messenger_relay::timestamp::Timestamp;
//! use proof_messenger_relay::verify::{FieldTypes, Message, Requirement, verify};
//!
//! let keys = br#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "test-key-ed25519", "sub": "alice",
//!     "x": "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}]}"#;
//! let keys = parse_jwk_set(keys).unwrap().into_iter().collect::<Result<Vec<_>, _>>().unwrap();
//! let keys = Directory::new(keys).unwrap();
//!
//! let limits = Limits::default();
//! let mut request = Request::new("GET", "https", "bank.example", "/accounts");
//! let line = |name, value: &'static str| Field { name, value: value.as_bytes() };
//! let lines = vec![
//!     line("signature-input", r#"sig=("@method" "@target-uri");created=1618884473;keyid="test-key-ed25519""#),
//!     line("signature", "sig=:AAAA:"),
//! ];
//! request.fields = Fields::new(lines, Encoding::Raw, &limits).unwrap();
//!
//! let types = FieldTypes::default();
//! let message = Message::new(&request, &types);
//! let fields = ProofFields::of(&request.fields);
//! let now = Timestamp::from_unix_seconds(1_618_884_475);
//! let denial = verify(&fields, &message, &Requirement::default(), &keys, &limits, now).unwrap_err();
//! assert_eq!(denial.code.as_str(), "signature-invalid");
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout)]
#![warn(unreachable_pub)]
// Modules of the core deny these again: clippy.toml says what is meant.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

pub mod envoy;
pub mod request;

pub mod proof;

pub mod keys;

pub mod verify;

pub mod policy;

pub mod replay;

pub mod evidence;

pub mod admission;
pub mod metrics;
pub mod observed;

pub mod receipt;
mod regular_file;

pub mod relay;
pub mod rules;

pub mod denial;
pub mod limits;
pub mod outbound;
mod printable;
mod spelling;
pub mod timestamp;
pub mod traces;

pub mod crypto;
pub mod structured_field;

pub mod signer;

pub mod config;

pub mod lint;

pub mod server;

pub mod explain;

pub mod cli;
