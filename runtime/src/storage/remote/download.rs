//! One download: resumed where it was cut, checked, and whole or not at all.

mod writer;

use std::fs::{self, File};
use std::io;
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::storage::remote::cache::{Cache, Held, Turn};
use crate::storage::remote::checksum::{Checksum, Summing};
use crate::storage::remote::store::{Object, Reading, Store, StoreError};

use writer::Writer;

/// Attempts in a row that may bring nothing.
const FRUITLESS: u32 = 4;

/// Attempts in all: a store that cuts every answer short must not be asked forever.
const MOST_ATTEMPTS: u32 = 100;

/// The pause after the first attempt that brought nothing; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How often all is fetched again when it is not what was stored.
const CORRUPTIONS: u32 = 1;

/// A file that is being downloaded.
struct Download<'a> {
    cache: &'a Cache,
    store: &'a dyn Store,
    object: &'a Object,
    held: &'a Held,
}

/// How an attempt ended.
struct Attempt {
    result: Result<(), StoreError>,
    /// Bytes that it brought.
    bytes: u64,
    turn: Turn,
}

/// Brings the file into the cache; there is room for it. Dropped, it stops and leaves what has come.
pub(super) async fn download(
    cache: &Cache,
    store: &dyn Store,
    object: &Object,
    held: &Held,
    turn: Turn,
) -> Result<(), StoreError> {
    Download { cache, store, object, held }.run(turn).await
}

/// A small file, whole, into memory.
pub(super) async fn small(store: &dyn Store, object: &Object, stall: Duration) -> Result<Vec<u8>, StoreError> {
    let mut reading = patiently(store, object, stall, store.read(object, 0)).await??;
    let mut text = Vec::new();
    while let Some(chunk) = patiently(store, object, stall, reading.bytes.next()).await? {
        text.extend_from_slice(&chunk?);
        if text.len() as u64 > object.size {
            return Err(StoreError::Changed(format!("{} has changed while it was read", store.label(object))));
        }
    }
    if (text.len() as u64) < object.size {
        return Err(cut(store, object, text.len() as u64));
    }
    Ok(text)
}

// === impl Download ===

impl Download<'_> {
    async fn run(&self, mut turn: Turn) -> Result<(), StoreError> {
        let began = Instant::now();
        let (mut fruitless, mut corruptions, mut has_freed) = (0, 0, false);
        let mut first_byte = None;
        for _ in 0..MOST_ATTEMPTS {
            let from = self.length_of_part().await;
            first_byte.get_or_insert(from);
            let attempt = self.attempt(from, turn).await?;
            turn = attempt.turn;
            fruitless = if attempt.bytes > 0 { 0 } else { fruitless + 1 };
            match attempt.result {
                Ok(()) => {
                    self.finish(turn).await?;
                    tracing::info!(
                        file = self.store.label(self.object),
                        bytes = self.object.size,
                        resumed_at = first_byte.unwrap_or(0),
                        milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                        "model file downloaded"
                    );
                    return Ok(());
                }
                Err(StoreError::Passing(reason)) if fruitless < FRUITLESS => {
                    tracing::debug!(reason, "download is resumed");
                    tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(fruitless)).await;
                }
                Err(error @ StoreError::Corrupt(_)) => {
                    self.discard().await;
                    if corruptions == CORRUPTIONS {
                        return Err(error);
                    }
                    corruptions += 1;
                    tracing::warn!(reason = %error, "downloading it again");
                }
                Err(error @ StoreError::NoRoom(_)) => {
                    self.discard().await;
                    // Others may have filled the disk; what the cache can do without it gives.
                    if has_freed || !self.cache.free(self.object.size).await {
                        return Err(error);
                    }
                    has_freed = true;
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Passing(format!("{}: cut off {MOST_ATTEMPTS} times", self.store.label(self.object))))
    }

    async fn length_of_part(&self) -> u64 {
        let length = tokio::fs::metadata(self.held.part()).await.map_or(0, |metadata| metadata.len());
        match length {
            // Of one that came whole and was not finished, the last byte again: only an answer says what it is to be.
            length if length <= self.object.size => length.min(self.object.size.saturating_sub(1)),
            _ => 0,
        }
    }

    async fn attempt(&self, from: u64, turn: Turn) -> Result<Attempt, StoreError> {
        let stall = self.cache.stall_timeout();
        let reading = patiently(self.store, self.object, stall, self.store.read(self.object, from)).await;
        let mut reading: Reading = match reading.flatten() {
            Ok(reading) => reading,
            Err(error) => return Ok(Attempt { result: Err(error), bytes: 0, turn }),
        };
        if reading.from > from {
            let error = self.corrupt(&format!("byte {from} was asked for and byte {} came", reading.from));
            return Ok(Attempt { result: Err(error), bytes: 0, turn });
        }
        let sum = Summing::to_compare(reading.checksum);
        let (part, begin) = (self.held.part(), reading.from);
        let mut writer = Writer::start(part, begin, sum, turn);
        let mut at = begin;
        let received = loop {
            match patiently(self.store, self.object, stall, reading.bytes.next()).await {
                Err(error) | Ok(Some(Err(error))) => break Err(error),
                Ok(None) if at < self.object.size => break Err(cut(self.store, self.object, at)),
                Ok(None) => break Ok(()),
                Ok(Some(Ok(chunk))) => {
                    at += chunk.len() as u64;
                    if at > self.object.size {
                        break Err(self.corrupt(&format!("more than its {} bytes came", self.object.size)));
                    }
                    // It says itself why it has ended.
                    if !writer.write(chunk).await {
                        break Ok(());
                    }
                }
            }
        };
        let (written, turn) = writer.end().await.map_err(|error| self.cache.cannot_write(&error))?;
        let result = match (received, written) {
            (_, Err(error)) => Err(self.cache.cannot_write(&error)),
            (Err(error), Ok(_)) => Err(error),
            (Ok(()), Ok(sum)) => self.compare(reading.checksum, sum),
        };
        Ok(Attempt { result, bytes: at - begin, turn })
    }

    fn compare(&self, expected: Option<Checksum>, sum: Option<Checksum>) -> Result<(), StoreError> {
        match expected {
            Some(expected) if sum != Some(expected) => {
                Err(self.corrupt(&format!("what came is not what was stored, its {} differs", expected.kind())))
            }
            _ => Ok(()),
        }
    }

    fn corrupt(&self, what: &str) -> StoreError {
        StoreError::Corrupt(format!("{}: {what}", self.store.label(self.object)))
    }

    /// From now on the file is there, and nobody writes it again.
    async fn finish(&self, turn: Turn) -> Result<(), StoreError> {
        let (part, path) = (self.held.part(), self.held.path().to_owned());
        let finish = move || {
            let file = File::open(&part)?;
            // Else a crash could leave a whole file's name on less than a file.
            file.sync_all()?;
            let mut permissions = file.metadata()?.permissions();
            permissions.set_readonly(true);
            fs::set_permissions(&part, permissions)?;
            fs::rename(&part, &path)?;
            drop(turn);
            Ok(())
        };
        let finished = tokio::task::spawn_blocking(finish).await.unwrap_or_else(|fault| Err(io::Error::other(fault)));
        finished.map_err(|error| self.cache.cannot_write(&error))
    }

    async fn discard(&self) {
        let _ = tokio::fs::remove_file(self.held.part()).await;
    }
}

fn cut(store: &dyn Store, object: &Object, at: u64) -> StoreError {
    StoreError::Passing(format!("{}: cut off after {at} of {} bytes", store.label(object), object.size))
}

async fn patiently<T>(
    store: &dyn Store,
    object: &Object,
    stall: Duration,
    work: impl Future<Output = T>,
) -> Result<T, StoreError> {
    tokio::time::timeout(stall, work).await.map_err(|_| {
        let label = store.label(object);
        StoreError::Passing(format!("{label}: the store has sent nothing for {} s", stall.as_secs_f32()))
    })
}
