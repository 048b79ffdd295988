//! `envoy.service.auth.v3.Authorization`.

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use opentelemetry::Context;
use tonic::{Request, Response, Status};

use super::{body_bytes, read_request, write_response};
use crate::admission::Place;
use crate::metrics::Stopwatch;
use crate::relay::Relay;

/// Answers Envoy's checks.
#[derive(Clone)]
pub struct AuthorizationService {
    relay: Arc<Relay>,
}

impl AuthorizationService {
    #[must_use]
    pub fn new(relay: Arc<Relay>) -> Self {
        Self { relay }
    }

    /// `parent` is the span that the call is part of.
    async fn answer(
        &self,
        check: CheckRequest,
        place: Option<Place>,
        parent: Option<Context>,
    ) -> Result<CheckResponse, Status> {
        let mut stopwatch = Stopwatch::start();
        let rules = self.relay.rules();
        let request = read_request(&check, &rules.limits)
            .map_err(|not_http| Status::invalid_argument(not_http.to_string()))?;
        let inbound: Vec<&str> =
            request.as_ref().map(|request| request.fields.names().collect()).unwrap_or_default();
        let traces = self.relay.traces.as_ref();
        let of_request = || traces?.of_request(&request.as_ref().ok()?.fields);
        let parent = parent.or_else(of_request);
        let decision = self.relay.check(&rules, request, place, &mut stopwatch).await;
        if let Some(traces) = traces {
            traces.record(parent, &decision, &stopwatch);
        }
        Ok(write_response(&decision, &inbound, rules.denials))
    }
}

#[tonic::async_trait]
impl Authorization for AuthorizationService {
    /// Decides about one request.
    ///
    /// The work runs on a task of its own: Envoy gives up after its timeout, and a claim that was made must be recorded
    /// all the same. A panic ends that task only; Envoy sees an error, and denies unless its operator said otherwise.
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let service = self.clone();
        let parent = self.relay.traces.as_ref().and_then(|traces| traces.of_call(request.metadata()));
        let check = request.into_inner();
        // Before the work is queued: a backlog would hold bodies, and answer when nobody waits any more.
        let place = self.relay.admission.admit(body_bytes(&check));
        tokio::spawn(async move { service.answer(check, place, parent).await })
            .await
            .unwrap_or_else(|_| Err(Status::internal("the check ended without an answer")))
            .map(Response::new)
    }
}
