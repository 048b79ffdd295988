//! Messages that are still arriving.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::relay::Relay;

/// What precedes a message: whether it is compressed, and its length (gRPC over HTTP/2, Length-Prefixed-Message).
const PREFIX_BYTES: usize = 5;

/// What is counted. Messages of the other services are small.
const CHECKS: &str = "/envoy.service.auth.v3.Authorization/";

/// Bytes are counted in pieces of this size, since a semaphore counts to 2³² at most.
const PIECE_BYTES: usize = 1024;

/// So long a message waits until others have arrived. Envoy gives up later, as it is shipped.
const PATIENCE: Duration = Duration::from_millis(250);

/// So long a message may take to arrive. Whoever sends a part of it and falls silent must not keep a place for longer.
const ARRIVAL: Duration = Duration::from_secs(2);

/// Lets so many bytes of checks arrive at once. Whoever comes later waits, with what is held of them by HTTP/2's flow
/// control, and is refused where that takes too long. Without it, the proxy decides how much memory the relay takes: a check
/// is counted when its message is there.
#[derive(Clone)]
pub(super) struct Arriving {
    pieces: Arc<Semaphore>,
    all: usize,
    /// What is longer is refused by its announced length, before it is read.
    longest: usize,
    relay: Arc<Relay>,
}

impl Arriving {
    pub(super) fn new(bytes: usize, longest: usize, relay: Arc<Relay>) -> Self {
        let all = (bytes / PIECE_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { pieces: Arc::new(Semaphore::new(all)), all, longest, relay }
    }

    /// A place for a message of that size. One that is larger than all places together has them to itself.
    async fn place(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Status> {
        let pieces = (bytes.min(self.longest) / PIECE_BYTES + 1).min(self.all);
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        let place = timeout(PATIENCE, Arc::clone(&self.pieces).acquire_many_owned(pieces)).await;
        match place {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Status::resource_exhausted("too many messages arrive at once")),
        }
    }

    /// The body with a place for its message. Until it has said how long that is, it has none.
    async fn placed(&self, mut rest: Body) -> Result<Body, Status> {
        let deadline = Box::pin(sleep(ARRIVAL));
        let begin = timeout(ARRIVAL, begin(&mut rest)).await.map_err(|_| too_slow())?;
        let place = self.place(begin.length).await?;
        Ok(Body::new(Placed { begin: begin.frames, rest, deadline, _place: place }))
    }
}

fn too_slow() -> Status {
    Status::deadline_exceeded("the message takes too long to arrive")
}

/// What a body begins with.
struct Begin {
    /// They hold the prefix of a message, unless the body ends before.
    frames: VecDeque<Frame<Bytes>>,
    /// Of the message.
    length: usize,
}

async fn begin(body: &mut Body) -> Begin {
    let mut frames = VecDeque::new();
    let mut prefix = Vec::with_capacity(PREFIX_BYTES);
    while prefix.len() < PREFIX_BYTES {
        // Where nothing comes, or its sender is gone, the service says what that means.
        let Some(Ok(frame)) = body.frame().await else { break };
        match frame.data_ref() {
            Some(data) if data.is_empty() => continue,
            Some(data) => prefix.extend(data.iter().take(PREFIX_BYTES - prefix.len())),
            None => {}
        }
        frames.push_back(frame);
    }
    Begin { frames, length: length_of(&prefix).unwrap_or_default() }
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
        if !request.uri().path().starts_with(CHECKS) {
            return Box::pin(self.inner.call(request));
        }
        let arriving = self.arriving.clone();
        // The one that is ready answers; its copy is asked next time.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            match arriving.placed(body).await {
                Ok(body) => inner.call(Request::from_parts(parts, body)).await,
                Err(refused) => {
                    arriving.relay.metrics.refused();
                    Ok(refused.into_http())
                }
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
    begin: VecDeque<Frame<Bytes>>,
    rest: Body,
    deadline: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Placed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(frame) = self.begin.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match Pin::new(&mut self.rest).poll_frame(context) {
            Poll::Pending => self.deadline.as_mut().poll(context).map(|()| Some(Err(too_slow()))),
            frame => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begin.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_message_says_how_long_it_is() {
        assert_eq!(length_of(&[0, 0, 16, 0, 1, 7]), Some(0x0010_0001));
        assert_eq!(length_of(&[0, 0, 16, 0]), None);
    }

    fn arriving(pieces: usize) -> Arriving {
        let config = crate::config::Config::built_in().unwrap();
        let store = Arc::new(crate::replay::MemoryStore::new(1));
        let clock = Arc::new(crate::timestamp::SystemClock);
        let relay = Relay::new(config, crate::keys::Directory::default(), store, clock);
        Arriving::new(pieces * PIECE_BYTES, 3 * PIECE_BYTES, Arc::new(relay))
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_later_waits_for_its_place_and_not_for_long() {
        let arriving = arriving(4);
        // What is too long to be read takes no more than what is not.
        let first = arriving.place(usize::MAX).await.unwrap();
        let late = arriving.place(0).await;
        assert_eq!(late.unwrap_err().code(), tonic::Code::ResourceExhausted);
        let waiting = tokio::spawn({
            let arriving = arriving.clone();
            async move { arriving.place(PIECE_BYTES).await.map(drop) }
        });
        tokio::task::yield_now().await;
        drop(first);
        waiting.await.unwrap().unwrap();
    }

    /// A body of these pieces, after which its sender falls silent.
    fn silent_after(pieces: &'static [&'static [u8]]) -> Body {
        let frames = pieces.iter().map(|piece| Ok::<_, Status>(Frame::data(Bytes::from_static(piece))));
        let rest = tokio_stream::pending();
        Body::new(http_body_util::StreamBody::new(tokio_stream::StreamExt::chain(
            tokio_stream::iter(frames),
            rest,
        )))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_falls_silent_keeps_no_place() {
        let arriving = arriving(4);
        let began = Instant::now();
        // Before it has said how long its message is, it has none.
        let unsaid = tokio::spawn({
            let arriving = arriving.clone();
            async move { arriving.placed(silent_after(&[b"\0", b"", b"\0\0"])).await }
        });
        tokio::task::yield_now().await;
        drop(arriving.place(usize::MAX).await.unwrap());
        assert_eq!(unsaid.await.unwrap().unwrap_err().code(), tonic::Code::DeadlineExceeded);
        // The prefix comes in pieces, and then nothing.
        let mut body = arriving.placed(silent_after(&[b"\0\0\0", b"\x0c\0", b"abc"])).await.unwrap();
        assert!(arriving.place(2 * PIECE_BYTES).await.is_err());
        let error = loop {
            if let Err(error) = body.frame().await.unwrap() {
                break error;
            }
        };
        assert_eq!(error.code(), tonic::Code::DeadlineExceeded);
        drop(body);
        drop(arriving.place(2 * PIECE_BYTES).await.unwrap());
        assert!(began.elapsed() <= 3 * ARRIVAL, "{:?}", began.elapsed());
    }
}
