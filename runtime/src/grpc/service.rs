//! The methods of the inference service.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::Either;
use futures_util::{Stream, StreamExt, stream};
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use crate::catalogue::Loaded;
use crate::error::{Error, ErrorKind};
use crate::grpc::convert::{self, Envelope, Read};
use crate::grpc::deadline::Deadline;
use crate::protocol::proto::grpc_inference_service_server::GrpcInferenceService;
use crate::protocol::proto::repository_index_response::ModelIndex;
use crate::protocol::proto::{
    ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, ModelStreamInferResponse, RepositoryIndexRequest, RepositoryIndexResponse, ServerLiveRequest,
    ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use crate::rest::server::{EXTENSIONS, NAME, VERSION};
use crate::routing::{Routing, SERVED};
use crate::serving::{Inference, Serving};

/// The service.
#[derive(Clone)]
pub(super) struct Inferences {
    serving: Arc<Serving>,
}

/// A request on its way: what answers, and how the answer is written.
struct Begun {
    inference: Inference,
    envelope: Envelope,
}

// === impl Inferences ===

impl Inferences {
    pub(super) fn new(serving: Arc<Serving>) -> Self {
        Self { serving }
    }

    fn find(&self, routing: &Routing, name: &str, version: &str) -> Result<Arc<Loaded>, Error> {
        let version = Some(version).filter(|version| !version.is_empty());
        let (model, version) = routing.apply(name, version);
        self.serving.catalogue().find(model, version)
    }

    /// Reads the message and puts it to the model; `served` is filled once the model is known.
    fn begin(
        &self,
        routing: &Routing,
        message: ModelInferRequest,
        served: &mut Option<Arc<Loaded>>,
    ) -> Result<Begun, Error> {
        let loaded = self.find(routing, &message.model_name, &message.model_version)?;
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
        Ok(Begun { inference: self.serving.infer(loaded, request)?, envelope })
    }

    /// Every response to one message of a stream, or the one that says why there is none.
    fn answer(
        &self,
        routing: &Routing,
        message: ModelInferRequest,
    ) -> impl Stream<Item = Result<ModelStreamInferResponse, Status>> + Send + use<> {
        let failed = ModelInferResponse {
            model_name: routing.name_in_answer(&message.model_name).to_owned(),
            model_version: message.model_version.clone(),
            id: message.id.clone(),
            ..ModelInferResponse::default()
        };
        match self.begin(routing, message, &mut None) {
            Ok(Begun { inference, envelope }) => {
                let responses = inference.map(move |result| match result {
                    Ok(response) => Ok(succeeded(convert::write(envelope.clone(), response))),
                    Err(error) => Ok(refused(failed.clone(), &error)),
                });
                Either::Left(responses)
            }
            Err(error) => Either::Right(stream::iter([Ok(refused(failed, &error))])),
        }
    }
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
        let ready = self.find(&routing, &message.name, &message.version).is_ok();
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
        let routing = routing_of(&request)?;
        let message = request.into_inner();
        let loaded = self.find(&routing, &message.name, &message.version)?;
        let metadata = loaded.model().metadata();
        Ok(Response::new(ModelMetadataResponse {
            name: routing.name_in_answer(&message.name).to_owned(),
            versions: self.serving.catalogue().ready_versions(loaded.name()),
            platform: metadata.platform.clone(),
            inputs: metadata.inputs.iter().map(convert::write_spec).collect(),
            outputs: metadata.outputs.iter().map(convert::write_spec).collect(),
            properties: metadata.properties.clone(),
        }))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Result<Response<ModelInferResponse>, Status> {
        let deadline = Deadline::from_headers(request.metadata().as_ref());
        let routing = routing_of(&request)?;
        let mut served = None;
        let begun = self.begin(&routing, request.into_inner(), &mut served);
        let work = async {
            let Begun { inference, envelope } = begun?;
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
        // Only the gateway's decision holds for every message; without it each names its own model.
        let served = routing.target().and_then(|(model, version)| self.serving.catalogue().find(model, version).ok());
        let service = self.clone();
        let answers = request.into_inner().flat_map(move |message| match message {
            Ok(message) => Either::Left(service.answer(&routing, message)),
            Err(status) => Either::Right(stream::iter([Err(status)])),
        });
        let mut response = Response::new(deadline.limit_stream(Box::pin(answers)));
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
        if !repository_name.is_empty() {
            let text = format!("unknown repository '{repository_name}', this server has one without a name");
            return Err(Error::new(ErrorKind::NotFound, text).into());
        }
        let mut listings: Vec<_> = self.serving.catalogue().listings().collect();
        listings.retain(|listing| !ready || listing.is_ready());
        let models = listings.into_iter().map(|listing| {
            let (state, reason) = listing.state_and_reason();
            let (state, reason) = (state.to_owned(), reason.unwrap_or_default().to_owned());
            ModelIndex { name: listing.name, version: listing.version.unwrap_or_default(), state, reason }
        });
        Ok(Response::new(RepositoryIndexResponse { models: models.collect() }))
    }
}
