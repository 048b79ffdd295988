//! Somebody on the line who changes what clients send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes everything on, except that each byte of one kind becomes another.
pub struct Tamperer {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Tamperer {
    pub async fn start(to: SocketAddr, from_byte: u8, to_byte: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(to).await.expect("a connection");
                let (mut from_client, mut to_client) = client.split();
                let (mut from_server, mut to_server) = server.split();
                let requests = async {
                    let mut buffer = [0; 4096];
                    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                        let sent = &mut buffer[..length];
                        sent.iter_mut().filter(|byte| **byte == from_byte).for_each(|byte| *byte = to_byte);
                        if to_server.write_all(sent).await.is_err() {
                            break;
                        }
                    }
                };
                // One connection at a time, until either side hangs up.
                tokio::select! {
                    () = requests => {}
                    _ = copy(&mut from_server, &mut to_client) => {}
                }
            }
        });
        Self { address, task }
    }
}

impl Drop for Tamperer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
