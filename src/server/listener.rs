//! Where gRPC is served: connections as they come, over TCP, TLS or a Unix socket.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::Connected;

use super::tls::{self, Tls};
use super::unix_socket::UnixSocket;
use crate::config::Listen;
use crate::printable::printable;

/// How long a client may take for its handshake. A good one takes milliseconds.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes at once. One more ends the oldest, so that clients which connect and say nothing lock nobody out.
const HANDSHAKES: usize = 256;

/// Connections that wait to be served.
const WAITING: usize = 16;

/// What passes when no connection can be accepted, for want of file descriptors for example. They come back when others
/// end, and asking again at once would only take the time of those.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection that may ask.
pub(super) type Connection = Box<dyn Io>;

/// Bytes to and from a client.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Nothing asks who the client is: that it got here is all there is to know.
impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

/// A port or a socket that is bound.
pub(super) struct Listener {
    socket: Socket,
    address: Listen,
}

enum Socket {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<Tls>),
    Unix(UnixSocket),
}

impl Listener {
    /// TLS is for a port alone.
    pub(super) async fn bind(listen: &Listen, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        let (socket, address) = match listen {
            Listen::Unix(_) if tls.is_some() => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "tls is for an address and a port"));
            }
            Listen::Unix(path) => (Socket::Unix(UnixSocket::bind(path).await?), listen.clone()),
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                let address = Listen::Tcp(listener.local_addr()?);
                let socket = match tls {
                    Some(tls) => Socket::Tls(listener, tls),
                    None => Socket::Tcp(listener),
                };
                (socket, address)
            }
        };
        Ok(Self { socket, address })
    }

    pub(super) fn address(&self) -> &Listen {
        &self.address
    }

    /// The connections, and what accepts them: it ends, and with it the port or the socket, when the stream is dropped.
    pub(super) fn connections(
        self,
    ) -> (impl Stream<Item = io::Result<Connection>>, impl Future<Output = ()>) {
        let (sender, receiver) = channel(WAITING);
        (ReceiverStream::new(receiver).map(Ok), self.accept(sender))
    }

    async fn accept(self, connections: Sender<Connection>) {
        let mut handshakes = Handshakes::default();
        let mut failed = false;
        loop {
            let accepted = tokio::select! {
                () = connections.closed() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok(Accepted::Ready(connection)) => {
                    failed = false;
                    if connections.send(connection).await.is_err() {
                        return;
                    }
                }
                Ok(Accepted::Tls(stream, peer, tls)) => {
                    failed = false;
                    handshakes.begin(handshake(stream, peer, tls, connections.clone()));
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    if !failed {
                        tracing::warn!(%error, "no connection can be accepted: it is tried again");
                    }
                    failed = true;
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// What came.
enum Accepted {
    Ready(Connection),
    /// With a handshake before it.
    Tls(TcpStream, SocketAddr, Arc<Tls>),
}

impl Socket {
    async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(listener) => Accepted::Ready(Box::new(accept(listener).await?.0)),
            Self::Tls(listener, tls) => {
                let (stream, peer) = accept(listener).await?;
                Accepted::Tls(stream, peer, Arc::clone(tls))
            }
            Self::Unix(socket) => Accepted::Ready(Box::new(socket.accept().await?)),
        })
    }
}

/// An answer leaves at once, whether or not more could be sent with it.
async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    // It fails where the client is gone already, as reading from it will show.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer))
}

/// Whether it is one client's connection that failed, before it was accepted or just then.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Handshakes under way.
#[derive(Default)]
struct Handshakes {
    tasks: JoinSet<()>,
    oldest_first: VecDeque<AbortHandle>,
}

impl Handshakes {
    fn begin(&mut self, handshake: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.oldest_first.retain(|handshake| !handshake.is_finished());
        if self.oldest_first.len() >= HANDSHAKES
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            oldest.abort();
        }
        self.oldest_first.push_back(self.tasks.spawn(handshake));
    }
}

/// Whoever fails gets an alert and nothing else.
async fn handshake(stream: TcpStream, peer: SocketAddr, tls: Arc<Tls>, connections: Sender<Connection>) {
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        // Where nobody takes it any more, the relay is stopping.
        Ok(Ok(connection)) => drop(connections.send(Box::new(connection)).await),
        // As probes of ports do.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            tracing::debug!(%peer, "a client left before its handshake was done");
        }
        Ok(Err(error)) => {
            let reason = printable(&tls::reason(&error));
            tracing::info!(%peer, reason, "a client was turned away: TLS");
        }
        Err(_) => tracing::debug!(%peer, "a client took too long for its handshake"),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn one_handshake_too_many_ends_the_oldest_alone() {
        let mut handshakes = Handshakes::default();
        let begin = |handshakes: &mut Handshakes| {
            let (held, ended) = oneshot::channel::<()>();
            handshakes.begin(async move {
                pending::<()>().await;
                drop(held);
            });
            ended
        };
        let mut first: Vec<_> = (0..HANDSHAKES).map(|_| begin(&mut handshakes)).collect();
        handshakes.begin(async {});
        assert!(first.remove(0).await.is_err());
        while handshakes.tasks.len() > HANDSHAKES - 1 {
            handshakes.tasks.join_next().await;
        }
        // The last one is done, so there is a place again.
        first.push(begin(&mut handshakes));
        tokio::task::yield_now().await;
        assert!(first.iter_mut().all(|ended| ended.try_recv() == Err(oneshot::error::TryRecvError::Empty)));
    }
}
