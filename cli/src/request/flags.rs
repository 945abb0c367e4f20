//! A request from the command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Request, from_json, grpc, header_of, text};

/// One request: by flags, from a file, or from a file with some of it changed by flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The request from a file: JSON `{method, path, headers, body}`, or HTTP/1 text, also as `curl -v` shows it.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// For instance /v2/models/iris/infer.
    #[arg(long)]
    path: Option<String>,
    /// Default: POST with a body or for a path that ends in /infer, else GET.
    #[arg(long)]
    method: Option<String>,
    /// A header, `name: value`; may come several times.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body, or `@file`.
    #[arg(long, short = 'd', value_name = "TEXT|@FILE")]
    body: Option<String>,
    /// A ModelInferRequest as JSON, `{"modelName": …, "inputs": …}` or `@file`: sent over gRPC.
    #[arg(long, value_name = "TEXT|@FILE", conflicts_with_all = ["body", "grpc_frames"])]
    grpc_json: Option<String>,
    /// A gRPC body as it travels: messages with their five-byte prefixes.
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    grpc_frames: Option<PathBuf>,
    /// The sender's address.
    #[arg(long, value_name = "IP")]
    source_address: Option<String>,
    /// A verified claim of the sender's token, `name=value`; may come several times.
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
}

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

// === impl Flags ===

impl Flags {
    /// The request that these describe.
    pub(crate) fn request(&self) -> anyhow::Result<Request> {
        let mut request = match &self.request {
            Some(file) => self.over(read_request(file)?)?,
            None => self.alone()?,
        };
        for line in &self.headers {
            let (name, value) = header_of(line)?;
            request.add_header(name, value)?;
        }
        if let Some(address) = &self.source_address {
            request.head.source_address = Some(address.clone());
        }
        for claim in &self.claims {
            let (name, value) = claim.split_once('=').with_context(|| format!("expected name=value, got '{claim}'"))?;
            request.head.claims.insert(name.to_owned(), value.to_owned());
        }
        request.complete()?;
        Ok(request)
    }

    fn alone(&self) -> anyhow::Result<Request> {
        let message = self.grpc_body()?;
        let body = self.body.as_deref().map(bytes_of).transpose()?;
        let path = match (&self.path, &message) {
            (Some(path), _) => path.as_str(),
            (None, Some(_)) => INFER,
            (None, None) => bail!("expected a request: --path, --grpc-json or --request"),
        };
        let is_post =
            body.is_some() || message.is_some() || path.split('?').next().is_some_and(|path| path.ends_with("/infer"));
        let method = self.method.as_deref().unwrap_or(if is_post { "POST" } else { "GET" });
        let mut request = Request::new(method, path);
        if let Some(message) = message {
            request.add_header("content-type", "application/grpc")?;
            request.add_header("te", "trailers")?;
            request.body = message;
        } else if let Some(body) = body {
            request.add_header("content-type", "application/json")?;
            request.body = body;
        }
        Ok(request)
    }

    /// A request of a file, with what the flags change.
    fn over(&self, mut request: Request) -> anyhow::Result<Request> {
        for (name, value) in [(&b":path"[..], &self.path), (b":method", &self.method)] {
            if let Some(value) = value
                && let Some((_, old)) = request.head.headers.iter_mut().find(|(header, _)| header == name)
            {
                *old = value.as_bytes().to_vec();
            }
        }
        let body = match self.grpc_body()? {
            Some(message) => Some(message),
            None => self.body.as_deref().map(bytes_of).transpose()?,
        };
        if let Some(body) = body {
            request.head.headers.retain(|(name, _)| name != b"content-length");
            request.body = body;
        }
        Ok(request)
    }

    fn grpc_body(&self) -> anyhow::Result<Option<Vec<u8>>> {
        match (&self.grpc_json, &self.grpc_frames) {
            (Some(json), _) => Ok(Some(grpc::framed(&bytes_of(json)?)?)),
            (None, Some(file)) => Ok(Some(read(file)?)),
            (None, None) => Ok(None),
        }
    }
}

fn read_request(file: &Path) -> anyhow::Result<Request> {
    let bytes = read(file)?;
    let is_json = bytes.trim_ascii_start().starts_with(b"{");
    let request = if is_json { from_json(&bytes) } else { text::read(&bytes) };
    request.with_context(|| format!("{} is no request", file.display()))
}

/// The text itself, or the content of the file that `@` names.
fn bytes_of(text: &str) -> anyhow::Result<Vec<u8>> {
    match text.strip_prefix('@') {
        Some(file) => read(Path::new(file)),
        None => Ok(text.as_bytes().to_vec()),
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
