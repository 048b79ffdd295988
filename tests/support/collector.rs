//! A stand-in for a collector of OpenTelemetry: it takes what it is sent, and shows it.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
pub use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use super::PATIENCE;
use super::certificates::Certificate;

/// It ends with the runtime of the test.
pub struct Collector {
    pub address: SocketAddr,
    spans: Receiver<Taken>,
}

/// A span, and what it was sent as a part of.
#[derive(Debug)]
pub struct Taken {
    /// The name of the service.
    pub service: String,
    pub span: Span,
}

impl Taken {
    /// A text among the attributes.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        text_of(&self.span.attributes, name)
    }
}

struct Sending(Sender<Taken>);

impl Collector {
    pub async fn start() -> Self {
        Self::start_with(Server::builder()).await
    }

    /// With a certificate.
    pub async fn start_tls(certificate: &Certificate) -> Self {
        let identity = Identity::from_pem(&certificate.pem, &certificate.key);
        let tls = ServerTlsConfig::new().identity(identity);
        Self::start_with(Server::builder().tls_config(tls).unwrap()).await
    }

    async fn start_with(mut server: Server) -> Self {
        let (sender, spans) = channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(Sending(sender));
        let server = server.add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, spans }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next span.
    pub fn next(&self) -> Taken {
        self.spans.recv_timeout(PATIENCE).expect("a span")
    }

    /// What came until now.
    pub fn taken(&self) -> Vec<Taken> {
        self.spans.try_iter().collect()
    }
}

#[tonic::async_trait]
impl TraceService for Sending {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_service in request.into_inner().resource_spans {
            let attributes = of_service.resource.unwrap_or_default().attributes;
            let service = text_of(&attributes, "service.name").unwrap_or_default();
            for span in of_service.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let _ = self.0.send(Taken { service: service.to_owned(), span });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text_of<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let attribute = attributes.iter().find(|attribute| attribute.key == name)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}
