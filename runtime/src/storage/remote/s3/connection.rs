//! The connection to a store, with an eye on what an answer says of encryption.

use std::fmt;

use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use tonic::async_trait;

/// The store encrypts with keys of its own kind; then an object's ETag is no checksum of its bytes, though it looks
/// like one.
#[derive(Clone, Copy)]
pub(super) struct Encryption;

#[derive(Debug, Default)]
pub(super) struct Connector(ReqwestConnector);

struct Watched(HttpClient);

// === impl Connector ===

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        self.0.connect(options).map(|client| HttpClient::new(Watched(client)))
    }
}

// === impl Watched ===

#[async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.0.execute(request).await?;
        let headers = response.headers();
        let kind = headers.get("x-amz-server-side-encryption").and_then(|value| value.to_str().ok());
        let is_with_own_key = headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
        if is_with_own_key || kind.is_some_and(|kind| kind.starts_with("aws:kms")) {
            response.extensions_mut().insert(Encryption);
        }
        Ok(response)
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
