//! The methods of the inference service.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::Either;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::grpc::convert::{self, Envelope, Read};
use crate::grpc::decoupled;
use crate::message::InferResponse;
use crate::protocol::proto::grpc_inference_service_server::GrpcInferenceService;
use crate::protocol::proto::model_repository_parameter::ParameterChoice as RepositoryParameter;
use crate::protocol::proto::repository_index_response::ModelIndex;
use crate::protocol::proto::{
    ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, ModelStreamInferResponse, RepositoryIndexRequest, RepositoryIndexResponse,
    RepositoryModelLoadRequest, RepositoryModelLoadResponse, RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
    ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use crate::residency::Loaded;
use crate::rest::server::{EXTENSIONS, NAME, VERSION};
use crate::routing::{Routing, SERVED};
use crate::serving::{Inference, Serving};
use crate::traces::Trace;

/// The service.
#[derive(Clone)]
pub(super) struct Inferences {
    serving: Arc<Serving>,
}

/// A request on its way: what answers, and how the answer is written.
struct Begun {
    inference: Inference,
    envelope: Envelope,
    /// There may be several responses.
    is_decoupled: bool,
}

// === impl Inferences ===

impl Inferences {
    pub(super) fn new(serving: Arc<Serving>) -> Self {
        Self { serving }
    }

    async fn find(
        &self,
        deadline: Deadline,
        routing: &Routing,
        name: &str,
        version: &str,
    ) -> Result<Arc<Loaded>, Error> {
        let (model, version) = routing.apply(name, named(version));
        self.serving.catalogue().find_before(deadline.moment(), model, version).await
    }

    /// Reads the message and puts it to the model; `served` is filled once the model is known.
    async fn begin(
        &self,
        deadline: Deadline,
        routing: &Routing,
        message: ModelInferRequest,
        trace: Trace,
        served: &mut Option<Arc<Loaded>>,
    ) -> Result<Begun, Error> {
        let loaded = trace.find(self.find(deadline, routing, &message.model_name, &message.model_version)).await?;
        *served = Some(loaded.clone());
        let Read { mut request, is_raw } = convert::read(message)?;
        let envelope = Envelope {
            model_name: routing.name_in_answer(&request.model).to_owned(),
            model_version: loaded.version().unwrap_or_default().to_owned(),
            id: request.id.clone().unwrap_or_default(),
            is_raw,
        };
        request.model = loaded.name().to_owned();
        request.version = loaded.version().map(str::to_owned);
        let is_decoupled = loaded.model().is_streaming();
        Ok(Begun { inference: self.serving.infer(loaded, request, trace)?, envelope, is_decoupled })
    }

    /// Every response to one message of a stream, or the one that says why there is none.
    fn answer(
        self,
        deadline: Deadline,
        routing: Arc<Routing>,
        mut message: ModelInferRequest,
        trace: Trace,
    ) -> impl Stream<Item = Result<ModelStreamInferResponse, Status>> + Send + use<> {
        let takes_empty = decoupled::takes_empty(&mut message);
        let failed = ModelInferResponse {
            model_name: routing.name_in_answer(&message.model_name).to_owned(),
            model_version: message.model_version.clone(),
            id: message.id.clone(),
            ..ModelInferResponse::default()
        };
        let begin = async move { self.begin(deadline, &routing, message, trace, &mut None).await };
        let responses = begin.map(move |begun| match begun {
            Ok(Begun { inference, envelope, is_decoupled }) => {
                let empty = takes_empty.then(|| convert::write(envelope.clone(), InferResponse::default()));
                let responses = inference.map(move |result| match result {
                    Ok(response) => succeeded(convert::write(envelope.clone(), response)),
                    Err(error) => refused(failed.clone(), &error),
                });
                Either::Left(decoupled::flagged(responses, is_decoupled, empty))
            }
            Err(error) => Either::Right(decoupled::flagged(stream::iter([refused(failed, &error)]), false, None)),
        });
        responses.flatten_stream().map(Ok)
    }
}

/// The stream, which ends with an error when the server ends before it.
fn until<T>(
    farewell: CancellationToken,
    answers: impl Stream<Item = Result<T, Status>>,
) -> impl Stream<Item = Result<T, Status>> {
    let last = {
        let farewell = farewell.clone();
        async move {
            let text = "the server is shutting down; open the stream again, another server answers it";
            farewell.is_cancelled().then(|| Err(Status::unavailable(text)))
        }
    };
    answers.take_until(farewell.cancelled_owned()).chain(stream::once(last).filter_map(std::future::ready))
}

/// An empty version is the default one.
fn named(version: &str) -> Option<&str> {
    Some(version).filter(|version| !version.is_empty())
}

fn succeeded(response: ModelInferResponse) -> ModelStreamInferResponse {
    ModelStreamInferResponse { error_message: String::new(), infer_response: Some(response) }
}

fn refused(about: ModelInferResponse, error: &Error) -> ModelStreamInferResponse {
    ModelStreamInferResponse { error_message: error.message().to_owned(), infer_response: Some(about) }
}

fn served_value(loaded: &Loaded) -> Option<MetadataValue<tonic::metadata::Ascii>> {
    MetadataValue::try_from(loaded.served().as_bytes()).ok()
}

fn routing_of<T>(request: &Request<T>) -> Result<Routing, Error> {
    Routing::from_headers(request.metadata().as_ref())
}

#[tonic::async_trait]
impl GrpcInferenceService for Inferences {
    type ModelStreamInferStream = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: self.serving.check_ready().is_ok() }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Result<Response<ModelReadyResponse>, Status> {
        let routing = routing_of(&request)?;
        let message = request.into_inner();
        let (model, version) = routing.apply(&message.name, named(&message.version));
        let ready = self.serving.catalogue().check(model, version).is_ok();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: NAME.to_owned(),
            version: VERSION.to_owned(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let deadline = Deadline::from_headers(request.metadata().as_ref());
        let routing = routing_of(&request)?;
        let message = request.into_inner();
        let loaded = self.find(deadline, &routing, &message.name, &message.version).await?;
        let metadata = loaded.metadata();
        Ok(Response::new(ModelMetadataResponse {
            name: routing.name_in_answer(&message.name).to_owned(),
            versions: self.serving.catalogue().available_versions(loaded.name()),
            platform: metadata.platform.clone(),
            inputs: metadata.inputs.iter().map(convert::write_spec).collect(),
            outputs: metadata.outputs.iter().map(convert::write_spec).collect(),
            properties: metadata.properties.clone(),
        }))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Result<Response<ModelInferResponse>, Status> {
        let deadline = Deadline::from_headers(request.metadata().as_ref());
        let routing = routing_of(&request)?;
        let trace = Trace::of(request.extensions());
        let mut served = None;
        let work = async {
            let begun = self.begin(deadline, &routing, request.into_inner(), trace, &mut served);
            let Begun { inference, envelope, .. } = begun.await?;
            Ok(convert::write(envelope, inference.only().await?))
        };
        let mut result = deadline.limit(work).await.map(Response::new);
        if let Some(value) = served.as_deref().and_then(served_value) {
            let metadata = match &mut result {
                Ok(response) => response.metadata_mut(),
                Err(status) => status.metadata_mut(),
            };
            metadata.insert(SERVED, value);
        }
        result
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let deadline = Deadline::from_headers(request.metadata().as_ref());
        let routing = routing_of(&request)?;
        let trace = Trace::of(request.extensions());
        // Only the gateway's decision holds for every message; without it each names its own model.
        let served = match routing.target() {
            None => None,
            // A refusal here is an answer that the gateway can try elsewhere; later it is one of a stream.
            Some((model, version)) => {
                let found = trace.find(self.serving.catalogue().find_before(deadline.moment(), model, version));
                match deadline.limit(async { Ok(found.await) }).await? {
                    Ok(loaded) => Some(loaded),
                    Err(error) if error.refusal().is_some() => return Err(error.into()),
                    Err(_) => None,
                }
            }
        };
        let (service, routing) = (self.clone(), Arc::new(routing));
        let answers = request.into_inner().flat_map(move |message| match message {
            Ok(message) => Either::Left(service.clone().answer(deadline, routing.clone(), message, trace.clone())),
            Err(status) => Either::Right(stream::iter([Err(status)])),
        });
        let answers = until(self.serving.farewell().clone(), deadline.limit_stream(Box::pin(answers)));
        let mut response = Response::new(Box::pin(answers) as Self::ModelStreamInferStream);
        if let Some(value) = served.as_deref().and_then(served_value) {
            response.metadata_mut().insert(SERVED, value);
        }
        Ok(response)
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let RepositoryIndexRequest { repository_name, ready } = request.into_inner();
        check_repository(&repository_name)?;
        let mut listings = self.serving.catalogue().listings();
        listings.retain(|listing| !ready || listing.is_ready());
        let models = listings.into_iter().map(|listing| {
            let (state, reason) = listing.state_and_reason();
            let (state, reason) = (state.to_owned(), reason.unwrap_or_default().to_owned());
            ModelIndex { name: listing.name, version: listing.version.unwrap_or_default(), state, reason }
        });
        Ok(Response::new(RepositoryIndexResponse { models: models.collect() }))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        let RepositoryModelLoadRequest { repository_name, model_name, parameters } = request.into_inner();
        check_repository(&repository_name)?;
        let mut pin = None;
        for (name, parameter) in parameters {
            match (name.as_str(), parameter.parameter_choice) {
                ("pin", Some(RepositoryParameter::BoolParam(wanted))) => pin = Some(wanted),
                ("pin", _) => return Err(Error::invalid("the parameter 'pin' is true or false").into()),
                (name, _) if name == "config" || name.starts_with("file:") => {
                    let text = "a model's configuration and files come from storage, not from the request: leave out 'config' and 'file:'";
                    return Err(Error::new(ErrorKind::Unimplemented, text).into());
                }
                _ => {}
            }
        }
        self.serving.catalogue().load(&model_name, pin).await?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        let RepositoryModelUnloadRequest { repository_name, model_name, .. } = request.into_inner();
        check_repository(&repository_name)?;
        self.serving.catalogue().unload(&model_name).await?;
        Ok(Response::new(RepositoryModelUnloadResponse {}))
    }
}

fn check_repository(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Ok(());
    }
    Err(Error::not_found(format!("unknown repository '{name}', this server has one without a name")))
}
