//! A stream of inferences that stays open: messages are sent and received one by one.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderValue};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::ask::{Question, STREAM_INFER};

/// The client's side of an open stream, on a connection of its own.
pub struct OpenStream {
    /// Gone once the client has said that it sends no more.
    messages: Option<mpsc::UnboundedSender<Bytes>>,
    /// The answer's headers, which are its trailers where there is nothing else.
    head: HeaderMap,
    answers: Incoming,
    received: BytesMut,
    connection: AbortHandle,
}

/// What comes next of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message.
    Message(Vec<u8>),
    /// The end, with a status and its message.
    Ended(String, String),
    /// It was reset, or ended without a status: clients of gRPC make an error of their own of that.
    Broken(String),
}

// === impl OpenStream ===

impl OpenStream {
    /// Opens it with a first message.
    pub async fn open(gateway: SocketAddr, question: &Question) -> Result<Self> {
        let socket = TcpStream::connect(gateway).await?;
        let (mut client, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await?;
        let connection = tokio::spawn(driver).abort_handle();
        let (messages, receiver) = mpsc::unbounded_channel::<Bytes>();
        messages.send(question.frame().into())?;
        let frames = stream::unfold(receiver, |mut receiver| async {
            let bytes = receiver.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(bytes)), receiver))
        });
        let request = http::Request::post(format!("http://{gateway}{STREAM_INFER}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(UnsyncBoxBody::new(StreamBody::new(Box::pin(frames))))?;
        let answer = timeout(super::PATIENCE, client.send_request(request)).await;
        let (head, answers) = answer.context("the stream was not answered")??.into_parts();
        Ok(Self { messages: Some(messages), head: head.headers, answers, received: BytesMut::new(), connection })
    }

    /// Sends one more message.
    pub fn say(&self, question: &Question) -> Result<()> {
        let messages = self.messages.as_ref().context("the client has ended the stream")?;
        messages.send(question.frame().into()).context("the stream has ended")
    }

    /// Says that no more messages come.
    pub fn end(&mut self) {
        self.messages = None;
    }

    /// The next message, or the end.
    pub async fn next(&mut self) -> Result<Event> {
        timeout(super::PATIENCE, self.read()).await.context("nothing more came of the stream")
    }

    async fn read(&mut self) -> Event {
        loop {
            if let Some(message) = self.take_message() {
                return Event::Message(message);
            }
            match self.answers.frame().await {
                None => return ended(&self.head),
                Some(Err(error)) => return Event::Broken(format!("{error:?}")),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.received.extend_from_slice(&data),
                    Err(frame) => return ended(&frame.into_trailers().unwrap_or_default()),
                },
            }
        }
    }

    fn take_message(&mut self) -> Option<Vec<u8>> {
        let length = u32::from_be_bytes(self.received.get(1..5)?.try_into().ok()?) as usize;
        if self.received.len() < 5 + length {
            return None;
        }
        Some(self.received.split_to(5 + length)[5..].to_vec())
    }
}

fn ended(trailers: &HeaderMap) -> Event {
    let text =
        |name| trailers.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text("grpc-status") {
        Some(status) => Event::Ended(status, text("grpc-message").unwrap_or_default()),
        None => Event::Broken("no status".to_owned()),
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
