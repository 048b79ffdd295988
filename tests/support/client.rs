//! Clients that send exactly what a test says, which may be nothing that a well-behaved client would send.

use std::io;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Request;
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, one entry a line.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Answer {
    /// The first line of the header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        first(&self.trailers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the body of {self:?}: {}", self.text()))
    }
}

fn first<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = fields.iter().find(|(key, _)| key == name)?;
    Some(value)
}

/// Sends these bytes on a connection of their own, and reads one HTTP/1.1 answer.
pub async fn http1(to: SocketAddr, request: &[u8]) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await?;
        let (from_server, mut to_server) = stream.split();
        let mut from_server = BufReader::new(from_server);
        // Both at once, and a failed write is not the end: a server may answer, and hang up, before it has read all.
        let (_, answer) = tokio::join!(
            to_server.write_all(request),
            read_answer(&mut from_server, request.starts_with(b"HEAD "))
        );
        answer
    };
    timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| panic!("no answer from {to} within {PATIENCE:?}"))
        .unwrap_or_else(|error| panic!("no answer from {to}: {error}"))
}

/// Sends this request over HTTP/2 by prior knowledge, on a connection of its own. An error is a stream that the
/// server reset, which is how Envoy refuses a malformed request here.
pub async fn http2<B>(to: SocketAddr, request: Request<B>) -> Result<Answer, hyper::Error>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let exchange = async {
        let stream = TcpStream::connect(to).await.expect("a connection");
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?;
        connection.abort();

        Ok(Answer {
            status: head.status.as_u16(),
            headers: lines(&head.headers),
            trailers: body.trailers().map(lines).unwrap_or_default(),
            body: body.to_bytes().to_vec(),
        })
    };
    timeout(PATIENCE, exchange).await.unwrap_or_else(|_| panic!("no answer from {to} within {PATIENCE:?}"))
}

/// A body that HTTP/2 announces with `content-length`. An empty one ends the request with its headers.
pub fn of_known_length(body: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(body.into())
}

/// A body whose length is known only at its end, so that no `content-length` announces it.
pub fn of_unknown_length(
    body: impl Into<Bytes>,
) -> impl Body<Data = Bytes, Error = io::Error> + Send + Unpin {
    let frames = [Ok(Frame::data(body.into()))];
    StreamBody::new(tokio_stream::iter(frames))
}

fn lines(headers: &hyper::HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), value.into_owned())
        })
        .collect()
}

async fn read_answer(server: &mut (impl AsyncBufRead + Unpin), to_head: bool) -> io::Result<Answer> {
    let mut answer = read_head(server).await?;
    while answer.status == 100 {
        answer = read_head(server).await?;
    }
    answer.body = if to_head || matches!(answer.status, 101 | 204 | 304) {
        Vec::new()
    } else if answer.header("transfer-encoding") == Some("chunked") {
        read_chunks(server).await?
    } else if let Some(length) = answer.header("content-length") {
        read_exactly(server, length.parse().map_err(io::Error::other)?).await?
    } else {
        let mut body = Vec::new();
        server.read_to_end(&mut body).await?;
        body
    };
    Ok(answer)
}

async fn read_head(server: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Answer> {
    let status_line = read_line(server).await?;
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;

    let mut headers = Vec::new();
    loop {
        let line = read_line(server).await?;
        if line.is_empty() {
            break;
        }
        let (name, value) =
            line.split_once(':').ok_or_else(|| io::Error::other(format!("no header: {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Answer { status, headers, ..Answer::default() })
}

async fn read_chunks(server: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(server).await?;
        let length = usize::from_str_radix(&line, 16).map_err(io::Error::other)?;
        body.extend(read_exactly(server, length).await?);
        read_line(server).await?; // what ends the chunk, and after the last one the answer
        if length == 0 {
            return Ok(body);
        }
    }
}

async fn read_exactly(server: &mut (impl AsyncBufRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    server.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn read_line(server: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    if server.read_until(b'\n', &mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}
