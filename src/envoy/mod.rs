//! Envoy's external authorization API. Protobuf stops here: requests come in through [`read_request`], answers go
//! out through [`write_response`], and [`client`] is the other side of both. No module outside names a wire type.

pub mod client;
mod recorded;
mod request;
mod response;
mod service;

pub use recorded::{NotACheck, Plain, RecordedCheck};
pub use request::{NotHttp, body_bytes, read_request};
pub use response::{Denials, write_response};
pub use service::AuthorizationService;

/// The file descriptors of `envoy.service.auth.v3`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("descriptors.bin");
