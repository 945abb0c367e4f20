//! What is remembered of a decision until the answer has ended.

use modelway_decision::config::Protocol;
use modelway_decision::{Braked, Decision};

use crate::head::Head;
use crate::host;
use crate::stats::Labels;

/// The model and the variant of a request, and what its answer is to bear.
pub(crate) struct Chosen {
    /// The model, then the variant, in one allocation.
    names: Box<[u8]>,
    model_length: usize,
    has_variant: bool,
    /// The variant's number, where that tells model and variant.
    number: Option<u32>,
    pub(crate) protocol: Protocol,
    /// A cookie for the answer.
    pub(crate) set_cookie: Option<String>,
    /// For an answer that is to bear the model's public name.
    #[cfg(feature = "body")]
    pub(crate) restoring: Option<crate::restore::Restoring>,
    /// Why it is what it is, for an answer that is to tell.
    pub(crate) explanation: Option<String>,
    /// The brake that its end counts for.
    pub(crate) brake: Option<Braked>,
    /// Whether its latency is kept.
    pub(crate) has_histogram: bool,
    /// When the request began, in nanoseconds, where that matters.
    pub(crate) began: Option<u64>,
}

/// What is dry goes on with the names that it came with.
#[cfg(feature = "body")]
fn restores(head: &Head) -> bool {
    let settings = head.plugin().router.settings();
    settings.restore_model_name && !settings.dry_run
}

// === impl Chosen ===

impl Chosen {
    // Without a body tier nothing of the head is looked at.
    #[cfg_attr(not(feature = "body"), allow(unused_variables))]
    pub(crate) fn of(decision: &mut Decision<'_>, head: &Head) -> Self {
        let names = [&*decision.model, decision.variant.unwrap_or_default()].concat();
        Self {
            names: names.into_boxed_slice(),
            model_length: decision.model.len(),
            has_variant: decision.variant.is_some(),
            number: decision.number,
            protocol: decision.protocol,
            set_cookie: decision.set_cookie.take(),
            #[cfg(feature = "body")]
            restoring: restores(head).then(|| crate::restore::Restoring::of(decision, head)).flatten(),
            explanation: decision.explains.then(|| decision.explanation()),
            brake: decision.brake,
            has_histogram: decision.latency_histogram,
            began: (decision.latency_histogram || decision.brake.is_some()).then(host::now),
        }
    }

    pub(crate) fn model(&self) -> &[u8] {
        self.names.get(..self.model_length).unwrap_or_default()
    }

    pub(crate) fn variant(&self) -> Option<&[u8]> {
        self.names.get(self.model_length..).filter(|_| self.has_variant)
    }

    pub(crate) fn labels(&self) -> Labels<'_> {
        Labels { model: self.model(), variant: self.variant(), number: self.number }
    }
}
