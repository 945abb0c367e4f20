//! The peer that people deploy for routing by the body: an external processor that does what the body-based router of
//! the Gateway API Inference Extension does. It waits for the whole body, reads the model from its JSON, sets a header,
//! has the route chosen anew and streams the body back.

use std::net::SocketAddr;
use std::pin::Pin;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::cpu::CpuClock;
use crate::http_filters::PEER_HEADER;
use crate::threads;

/// The generated messages and service.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod api {
    tonic::include_proto!("envoy.service.ext_proc.v3");
}

use api::external_processor_server::{ExternalProcessor, ExternalProcessorServer};
use api::{
    BodyMutation, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, PartResponse, ProcessingRequest,
    ProcessingResponse, StreamedBodyResponse, TrailersResponse, body_mutation, processing_request, processing_response,
};

/// The router cuts the body that it sends back into pieces of this size.
const PIECE: usize = 62_000;

/// A running processor, on a thread of its own.
pub(crate) struct Processor {
    pub(crate) address: SocketAddr,
    pub(crate) cpu: CpuClock,
}

struct BodyBasedRouter;

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    model_name: Option<std::borrow::Cow<'a, str>>,
}

// === impl Processor ===

impl Processor {
    pub(crate) fn start() -> Result<Self> {
        let (address, cpu) = threads::serve("ext-proc", serve)?;
        Ok(Self { address, cpu })
    }
}

async fn serve(listener: TcpListener) {
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .add_service(ExternalProcessorServer::new(BodyBasedRouter).max_decoding_message_size(8 << 20));
    // It ends with the program.
    let _ = server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await;
}

type Answers = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ExternalProcessor for BodyBasedRouter {
    type ProcessStream = Answers;

    async fn process(&self, request: Request<Streaming<ProcessingRequest>>) -> Result<Response<Answers>, Status> {
        let mut parts = request.into_inner();
        let (answers, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut body = BytesMut::new();
            while let Ok(Some(part)) = parts.message().await {
                let due = match part.request {
                    Some(processing_request::Request::RequestHeaders(head)) if head.end_of_stream => vec![routed(None)],
                    Some(processing_request::Request::RequestBody(piece)) => {
                        body.extend_from_slice(&piece.body);
                        if piece.end_of_stream { answers_to(body.split().freeze()) } else { Vec::new() }
                    }
                    Some(processing_request::Request::RequestTrailers(_)) => {
                        vec![response(processing_response::Response::RequestTrailers(TrailersResponse {}))]
                    }
                    _ => Vec::new(),
                };
                for answer in due {
                    // Envoy has gone: so will the stream of requests.
                    let _ = answers.send(Ok(answer));
                }
            }
        });
        let stream = futures_util::stream::unfold(receiver, async |mut receiver: mpsc::UnboundedReceiver<_>| {
            receiver.recv().await.map(|answer| (answer, receiver))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

fn answers_to(body: Bytes) -> Vec<ProcessingResponse> {
    let asked: Option<Asked<'_>> = serde_json::from_slice(&body).ok();
    let mut answers = vec![routed(asked.and_then(|asked| asked.model_name).as_deref())];
    let mut rest = body;
    loop {
        let piece = rest.split_to(rest.len().min(PIECE));
        let end_of_stream = rest.is_empty();
        let streamed = body_mutation::Mutation::StreamedResponse(StreamedBodyResponse { body: piece, end_of_stream });
        let common = CommonResponse {
            body_mutation: Some(BodyMutation { mutation: Some(streamed) }),
            ..CommonResponse::default()
        };
        answers.push(response(processing_response::Response::RequestBody(PartResponse { response: Some(common) })));
        if end_of_stream {
            return answers;
        }
    }
}

fn routed(model: Option<&str>) -> ProcessingResponse {
    let set_headers = model.map(|model| HeaderValueOption {
        header: Some(HeaderValue { key: PEER_HEADER.to_owned(), raw_value: Bytes::copy_from_slice(model.as_bytes()) }),
    });
    let common = CommonResponse {
        header_mutation: Some(HeaderMutation { set_headers: set_headers.into_iter().collect() }),
        clear_route_cache: true,
        ..CommonResponse::default()
    };
    response(processing_response::Response::RequestHeaders(PartResponse { response: Some(common) }))
}

fn response(response: processing_response::Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response) }
}
