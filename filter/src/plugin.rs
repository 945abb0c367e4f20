//! One configuration of the filter on one worker.

use std::cell::Cell;

use modelway_decision::Router;

use crate::brakes::Brakes;
use crate::host;
use crate::stats::OwnSeries;

/// What every stream of a plugin shares.
pub(crate) struct Plugin {
    pub(crate) brakes: Brakes,
    pub(crate) router: Router,
    pub(crate) series: OwnSeries,
    #[cfg(feature = "body")]
    pub(crate) body_tier: crate::body_tier::BodyTier,
    /// Requests that must be let go by a time.
    #[cfg(feature = "body")]
    pub(crate) watched: crate::held::Watched,
    random: Cell<u64>,
}

// === impl Plugin ===

impl Plugin {
    pub(crate) fn new(router: Router) -> Self {
        Self {
            brakes: Brakes::of(&router),
            router,
            series: OwnSeries::new(),
            #[cfg(feature = "body")]
            body_tier: Default::default(),
            #[cfg(feature = "body")]
            watched: Default::default(),
            random: Cell::new(host::random_seed()),
        }
    }

    /// 64 bits for a request without a key (SplitMix64).
    pub(crate) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}
