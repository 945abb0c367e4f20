//! The texts that one request asks for: several prompts, or one several times.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{Stream, StreamExt};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::error::{Error, ErrorKind};
use crate::residency::Loaded;
use crate::serving::Serving;
use crate::text::{TextEvent, TextRequest};
use crate::traces::Trace;

/// What happens to each of them, with its number: a stream that ends with the last text or with the first error.
/// Dropping it cancels those that have not ended.
pub(super) struct Texts {
    events: SelectAll<BoxStream<'static, (usize, Result<TextEvent, Error>)>>,
    /// Waited for before the answer began.
    first: Option<(usize, TextEvent)>,
    /// The server's end, which ends an answer that has begun.
    farewell: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    serving: Arc<Serving>,
    has_failed: bool,
}

// === impl Texts ===

impl Texts {
    /// Puts the requests to the model.
    pub(super) fn new(
        serving: &Arc<Serving>,
        loaded: &Arc<Loaded>,
        requests: Vec<TextRequest>,
        trace: &Trace,
    ) -> Result<Self, Error> {
        let mut events = SelectAll::new();
        for (number, request) in requests.into_iter().enumerate() {
            let generation = serving.generate(loaded.clone(), request, trace.clone())?;
            events.push(generation.map(move |event| (number, event)).boxed());
        }
        Ok(Self { events, first: None, farewell: None, serving: serving.clone(), has_failed: false })
    }

    /// Waits until a text has begun, so that what is refused has a status of its own: an answer in parts that has begun
    /// can end with an error only.
    pub(super) async fn begun(mut self) -> Result<Self, Error> {
        self.first = self.next().await.transpose()?;
        self.farewell = Some(Box::pin(self.serving.farewell().clone().cancelled_owned()));
        Ok(self)
    }
}

impl Stream for Texts {
    type Item = Result<(usize, TextEvent), Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.has_failed {
            return Poll::Ready(None);
        }
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(farewell) = &mut this.farewell
            && farewell.as_mut().poll(context).is_ready()
        {
            this.has_failed = true;
            this.events.clear();
            let text = "the server is shutting down; ask again, another server answers";
            return Poll::Ready(Some(Err(Error::new(ErrorKind::Unavailable, text))));
        }
        Poll::Ready(match ready!(this.events.poll_next_unpin(context)) {
            None => None,
            Some((number, Ok(event))) => Some(Ok((number, event))),
            Some((_, Err(error))) => {
                this.has_failed = true;
                this.events.clear();
                Some(Err(error))
            }
        })
    }
}
