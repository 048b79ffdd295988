//! Messages that are still arriving.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// What precedes a message: whether it is compressed, and its length (gRPC over HTTP/2, Length-Prefixed-Message).
const PREFIX_BYTES: usize = 5;

/// Bytes are counted in pieces of this size, since a semaphore counts to 2³² at most.
const PIECE_BYTES: usize = 1024;

/// So long a message waits until others have arrived. Envoy gives up later, as it is shipped.
const PATIENCE: Duration = Duration::from_millis(250);

/// Lets so many bytes of messages arrive at once. Whoever comes later waits, with what is held of them by HTTP/2's flow
/// control, and is refused where that takes too long. Without it, the proxy decides how much memory the relay takes: a check
/// is counted when its message is there.
#[derive(Clone)]
pub(super) struct Arriving {
    pieces: Arc<Semaphore>,
    all: usize,
}

impl Arriving {
    pub(super) fn new(bytes: usize) -> Self {
        let all = (bytes / PIECE_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { pieces: Arc::new(Semaphore::new(all)), all }
    }

    /// A place for a message of that size. One that is larger than all places together has them to itself.
    async fn place(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Status> {
        let pieces = u32::try_from((bytes / PIECE_BYTES + 1).min(self.all)).unwrap_or(u32::MAX);
        let place = timeout(PATIENCE, Arc::clone(&self.pieces).acquire_many_owned(pieces)).await;
        match place {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Status::resource_exhausted("too many messages arrive at once")),
        }
    }
}

impl<S> Layer<S> for Arriving {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, arriving: self.clone() }
    }
}

/// A service whose messages are counted.
#[derive(Clone)]
pub(super) struct Counted<S> {
    inner: S,
    arriving: Arriving,
}

impl<S> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let arriving = self.arriving.clone();
        // The one that is ready answers; its copy is asked next time.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (parts, mut rest) = request.into_parts();
            let first = rest.frame().await;
            let Some(Ok(frame)) = first else {
                // Nothing comes, or its sender is gone: the service says what that means.
                return inner.call(Request::from_parts(parts, Body::empty())).await;
            };
            let announced = frame.data_ref().and_then(|data| length_of(data));
            match arriving.place(announced.unwrap_or(usize::MAX)).await {
                Ok(place) => {
                    let body = Body::new(Placed { first: Some(frame), rest, _place: place });
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(refused) => Ok(refused.into_http()),
            }
        })
    }
}

/// The length of the message that begins like this. Nothing where it does not say.
fn length_of(data: &[u8]) -> Option<usize> {
    let length: [u8; 4] = data.get(1..PREFIX_BYTES)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

/// A body with its place, which is free when the body was read and dropped.
struct Placed {
    first: Option<Frame<Bytes>>,
    rest: Body,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Placed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_how_long_it_is() {
        assert_eq!(length_of(&[0, 0, 16, 0, 1, 7]), Some(0x0010_0001));
        assert_eq!(length_of(&[0, 0, 16, 0]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_later_waits_for_its_place_and_not_for_long() {
        let arriving = Arriving::new(4 * PIECE_BYTES);
        let first = arriving.place(3 * PIECE_BYTES).await.unwrap();
        let late = arriving.place(0).await;
        assert_eq!(late.unwrap_err().code(), tonic::Code::ResourceExhausted);
        let waiting = tokio::spawn({
            let arriving = arriving.clone();
            async move { arriving.place(usize::MAX).await.map(drop) }
        });
        tokio::task::yield_now().await;
        drop(first);
        waiting.await.unwrap().unwrap();
    }
}
