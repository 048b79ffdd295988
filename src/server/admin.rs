//! HTTP beside gRPC, for backends and operators. Nothing on it decides anything, and nothing on it is secret.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

use crate::receipt::Receipts;

/// For how long a backend may keep the keys. Whoever changes keys waits for as long between the steps.
const KEYS_MAX_AGE: &str = "public, max-age=300";

/// What is served. Without receipts there is no key set: an empty one would be taken for one that accepts nothing, and
/// kept.
pub(super) fn routes(receipts: Option<&Receipts>) -> Router {
    let mut routes = Router::new();
    if let Some(receipts) = receipts {
        let keys = receipts.key_set().to_string();
        let headers = [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, KEYS_MAX_AGE)];
        routes = routes.route("/.well-known/jwks.json", get(async move || (headers, keys.clone())));
    }
    routes
}
