//! What else the relay's port serves: gRPC health and reflection.

use tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::EVERYTHING;
use crate::support::relay::Relay;

async fn connect(relay: &Relay) -> Channel {
    Channel::from_shared(format!("http://{}", relay.address)).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn health_is_serving() {
    let relay = Relay::start(EVERYTHING, &[]).await;
    let mut client = HealthClient::new(connect(&relay).await);
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = client.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "of {service:?}");
    }
    let unknown = client.check(HealthCheckRequest { service: "nobody".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}

async fn reflect(relay: &Relay, request: MessageRequest) -> MessageResponse {
    let mut client = ServerReflectionClient::new(connect(relay).await);
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    answers.next().await.unwrap().unwrap().message_response.unwrap()
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let relay = Relay::start(EVERYTHING, &[]).await;
    let MessageResponse::ListServicesResponse(list) =
        reflect(&relay, MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list");
    };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "envoy.service.auth.v3.Authorization",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection"
        ]
    );
}

#[tokio::test]
async fn reflection_describes_what_a_client_needs_to_ask() {
    let relay = Relay::start(EVERYTHING, &[]).await;
    for symbol in ["envoy.service.auth.v3.Authorization", "envoy.service.auth.v3.CheckRequest"] {
        let request = MessageRequest::FileContainingSymbol(symbol.to_owned());
        let answer = reflect(&relay, request).await;
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{symbol}: {answer:?}");
    }
}
