//! The S3 server.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output,
    ServerSideEncryption,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::async_trait;

/// The only keys that it takes.
pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// The secret of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The bucket that it has.
pub const BUCKET: &str = "models";
/// The region that it is in.
pub const REGION: &str = "us-south";

/// The server, stopped when it is dropped.
pub struct S3Server {
    address: SocketAddr,
    folder: TempDir,
    is_encrypting: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// `s3s-fs` with what it leaves out: listings with ETags, `If-Match`, and an object that is encrypted.
struct Files {
    inner: FileSystem,
    is_encrypting: Arc<AtomicBool>,
}

// === impl S3Server ===

impl S3Server {
    /// A server on a port of its own, with an empty bucket.
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let is_encrypting = Arc::new(AtomicBool::new(false));
        let inner = FileSystem::new(folder.path()).expect("a folder that can be served");
        let mut builder = S3ServiceBuilder::new(Files { inner, is_encrypting: is_encrypting.clone() });
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, folder, is_encrypting, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://…`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts an object, whole at once.
    pub fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        // Beside the bucket, so that no listing sees it.
        let new = self.folder.path().join(".new");
        fs::write(&new, bytes).expect("a file");
        fs::rename(new, path).expect("the file is moved");
    }

    /// Deletes an object.
    pub fn delete(&self, key: &str) {
        fs::remove_file(self.path(key)).expect("there is such an object");
    }

    /// From now on objects are encrypted with a key of the store's: their ETags are no checksums.
    pub fn encrypt(&self) {
        self.is_encrypting.store(true, Ordering::Relaxed);
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Files ===

impl Files {
    /// Of an encrypted object it looks like a checksum and is none.
    fn etag(&self, etag: s3s::dto::ETag) -> s3s::dto::ETag {
        if !self.is_encrypting.load(Ordering::Relaxed) {
            return etag;
        }
        s3s::dto::ETag::Strong(etag.value().chars().rev().collect())
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        let is_encrypting = self.is_encrypting.load(Ordering::Relaxed);
        is_encrypting.then(|| ServerSideEncryption::from_static(ServerSideEncryption::AWS_KMS))
    }
}

#[async_trait]
impl S3 for Files {
    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let bucket = request.input.bucket.clone();
        let mut response = self.inner.list_objects_v2(request).await?;
        for object in response.output.contents.iter_mut().flatten() {
            let Some(key) = object.key.clone() else { continue };
            let input = HeadObjectInput { bucket: bucket.clone(), key, ..HeadObjectInput::default() };
            let head = self.inner.head_object(request_of(input)).await?;
            object.e_tag = head.output.e_tag.map(|etag| self.etag(etag));
        }
        Ok(response)
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let mut response = self.inner.head_object(request).await?;
        response.output.e_tag = response.output.e_tag.map(|etag| self.etag(etag));
        Ok(response)
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let wanted = request.input.if_match.clone();
        let mut response = self.inner.get_object(request).await?;
        response.output.e_tag = response.output.e_tag.map(|etag| self.etag(etag));
        let is_wanted = match (&wanted, &response.output.e_tag) {
            (Some(wanted), Some(etag)) => wanted.as_etag().is_none_or(|wanted| wanted.strong_cmp(etag)),
            _ => true,
        };
        if !is_wanted {
            return Err(s3_error!(PreconditionFailed));
        }
        response.output.server_side_encryption = self.encryption();
        Ok(response)
    }
}

fn request_of<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: http::Method::HEAD,
        uri: http::Uri::from_static("/"),
        headers: http::HeaderMap::new(),
        extensions: http::Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}
