//! From the hub into the cache.
//!
//! A download that was cut goes on where it stopped, in this process or in another one. It gives up when nothing came
//! several times in a row.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::cache::Repository;
use super::client::{Fault, FileHead, HubClient, Revision};
use super::contents::Files;
use super::{Contents, HubOptions, Id};
use crate::formats::language::{embedder, weights};

/// Times in a row that nothing comes.
const ATTEMPTS: u32 = 5;
/// Between two lines of the log.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// One that is under way.
struct Download<'a> {
    client: HubClient,
    options: &'a HubOptions,
    repository: &'a Repository,
    id: &'a Id,
}

/// A file's bytes as far as they are there.
struct Blob {
    file: File,
    path: PathBuf,
    length: u64,
    /// Of these bytes, where the hub calls a file by its checksum.
    digest: Option<Sha256>,
}

/// What the log says of a long one.
struct Told {
    last: Instant,
    begin: Instant,
}

/// Fetches what is missing, and returns the folder of the snapshot.
pub(super) async fn download(
    options: &HubOptions,
    repository: &Repository,
    id: &Id,
    contents: Contents,
) -> Result<PathBuf, String> {
    let begin = Instant::now();
    let download = Download { client: HubClient::new(options)?, options, repository, id };
    let revision = download.revision().await?;
    let wanted = contents.wanted(&revision.names).map_err(|reason| format!("{id} on {} {reason}", options.endpoint))?;
    let commit = revision.commit.as_str();
    tracing::info!(model = %id, commit, endpoint = options.endpoint, "a model is fetched from the hub");
    for name in wanted.first {
        download.file(commit, &name).await?;
    }
    if !revision.names.iter().any(|name| name == embedder::MODULES) {
        repository.lacks(commit, embedder::MODULES).map_err(|error| download.unwritable(&error))?;
    }
    match wanted.weights {
        Files::One(name) => download.file(commit, name).await?,
        Files::Several { index } => {
            download.file(commit, index).await?;
            let files = weights::files_of_index(&repository.snapshot_of(commit).join(index));
            for name in files.map_err(|error| error.to_string())? {
                download.file(commit, &name).await?;
            }
        }
    }
    repository.remember(id.revision(), commit).map_err(|error| download.unwritable(&error))?;
    tracing::info!(model = %id, commit, seconds = begin.elapsed().as_secs_f64(), "the model is in the cache");
    Ok(repository.snapshot_of(commit))
}

// === impl Download ===

impl Download<'_> {
    /// What the revision is now.
    async fn revision(&self) -> Result<Revision, String> {
        let mut attempts = Attempts::new(self.options);
        loop {
            match self.client.revision(self.id).await {
                Ok(revision) => return Ok(revision),
                Err(fault) => attempts.failed(fault, &self.id.to_string()).await?,
            }
        }
    }

    /// Has a file in the snapshot.
    async fn file(&self, commit: &str, name: &str) -> Result<(), String> {
        if self.repository.snapshot_of(commit).join(name).is_file() {
            return Ok(());
        }
        let mut attempts = Attempts::new(self.options);
        let head = loop {
            match self.client.head(self.id, commit, name).await {
                Ok(head) => break head,
                Err(fault) => attempts.failed(fault, name).await?,
            }
        };
        let unwritable = |error| self.unwritable(&error);
        // Until this returns.
        let _lock = self.repository.lock(&head.etag).map_err(unwritable)?;
        let (whole, part) = self.repository.blob(&head.etag);
        if !whole.is_file() {
            let mut blob = Blob::open(part, &head).map_err(unwritable)?;
            self.fill(&mut blob, commit, name, &head).await?;
            blob.file.sync_all().and_then(|()| fs::rename(&blob.path, &whole)).map_err(unwritable)?;
        }
        self.repository.place(commit, name, &head.etag).map_err(unwritable)
    }

    /// Brings all bytes of a file, and checks them.
    async fn fill(&self, blob: &mut Blob, commit: &str, name: &str, head: &FileHead) -> Result<(), String> {
        let mut attempts = Attempts::new(self.options);
        let mut told = Told::new();
        let mut most = blob.length;
        loop {
            let fault = match self.go_on(blob, commit, name, head, &mut told).await {
                Ok(()) if blob.is_right(head) => return Ok(()),
                Ok(()) => {
                    blob.restart().map_err(|error| self.unwritable(&error))?;
                    Fault::Passing(format!("{name} from {} is not what its checksum says", self.options.endpoint))
                }
                Err(fault) => fault,
            };
            // What comes a second time is no progress.
            if blob.length > most {
                (most, attempts.count) = (blob.length, 0);
            }
            attempts.failed(fault, name).await?;
        }
    }

    async fn go_on(
        &self,
        blob: &mut Blob,
        commit: &str,
        name: &str,
        head: &FileHead,
        told: &mut Told,
    ) -> Result<(), Fault> {
        let unwritable = |error: io::Error| Fault::Lasting(self.unwritable(&error));
        if blob.length > head.size {
            blob.restart().map_err(unwritable)?;
        }
        if blob.length == head.size {
            return Ok(());
        }
        let mut reading = self.client.read(self.id, commit, name, blob.length).await?;
        if reading.from != blob.length {
            // The server gives the whole file only.
            blob.restart().map_err(unwritable)?;
        }
        if reading.from > 0 && reading.from != blob.length {
            return Err(Fault::Passing(format!("another part of {name} came than was asked for")));
        }
        while let Some(bytes) = reading.answer.chunk().await.map_err(|error| self.client.cut(error))? {
            blob.append(&bytes).map_err(unwritable)?;
            if blob.length > head.size {
                let text = format!("{name} is longer than the {} bytes that the hub says", head.size);
                return Err(Fault::Passing(text));
            }
            if told.is_time() {
                let (bytes, of) = (blob.length, head.size);
                tracing::info!(model = %self.id, file = name, bytes, of, seconds = told.begin.elapsed().as_secs(), "downloading");
            }
        }
        if blob.length < head.size {
            return Err(Fault::Passing(format!("{name} was cut after {} of {} bytes", blob.length, head.size)));
        }
        Ok(())
    }

    fn unwritable(&self, error: &dyn Display) -> String {
        let cache = self.options.cache.as_deref().unwrap_or(Path::new("")).display();
        format!("cannot write {cache}: {error}; set HF_HOME to a folder that can be written, with room for the model")
    }
}

/// How often nothing came.
struct Attempts<'a> {
    options: &'a HubOptions,
    count: u32,
}

// === impl Attempts ===

impl<'a> Attempts<'a> {
    fn new(options: &'a HubOptions) -> Self {
        Self { options, count: 0 }
    }

    /// Waits, unless trying again does not help.
    async fn failed(&mut self, fault: Fault, what: &str) -> Result<(), String> {
        self.count += 1;
        match fault {
            Fault::Passing(error) if self.count < ATTEMPTS => {
                tracing::warn!(what, error, attempt = self.count, "the download is tried again");
                tokio::time::sleep(self.options.pause * (1 << (self.count - 1))).await;
                Ok(())
            }
            fault => Err(fault.into_text()),
        }
    }
}

// === impl Blob ===

impl Blob {
    /// What is there of a file.
    fn open(path: PathBuf, head: &FileHead) -> io::Result<Self> {
        let mut file = File::options().read(true).append(true).create(true).open(&path)?;
        let is_checksum = head.etag.len() == 64 && head.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut digest = is_checksum.then(Sha256::new);
        let mut length = 0;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            digest.iter_mut().for_each(|digest| digest.update(bytes));
            length += count as u64;
        }
        Ok(Self { file, path, length, digest })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.digest.iter_mut().for_each(|digest| digest.update(bytes));
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        self.digest.iter_mut().for_each(|digest| *digest = Sha256::new());
        Ok(())
    }

    fn is_right(&self, head: &FileHead) -> bool {
        self.digest.as_ref().is_none_or(|digest| {
            let sum: String = digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            sum.eq_ignore_ascii_case(&head.etag)
        })
    }
}

// === impl Told ===

impl Told {
    fn new() -> Self {
        Self { last: Instant::now(), begin: Instant::now() }
    }

    fn is_time(&mut self) -> bool {
        let is_time = self.last.elapsed() >= TOLD_EVERY;
        if is_time {
            self.last = Instant::now();
        }
        is_time
    }
}
