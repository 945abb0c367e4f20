//! Weighted rendezvous hashing: which variant a unit (a user, a session, a random draw) gets.
//!
//! Every variant draws u ∈ (0, 1) from a hash of salt, unit and the variant's name; the least
//! −ln(u)/w wins. A variant's own draw never changes, so raising its weight only moves units *to* it
//! and lowering it only moves units *away*, with any number of variants. `ln` is libm's in
//! WebAssembly and natively, so every gateway and the command line agree to the last bit.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A hash of salt and unit: what a draw depends on beside the variant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unit(u64);

/// A variant's share of a split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    name_hash: u64,
    weight: f64,
}

/// A salt, hashed once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Salt(u64);

// === impl Salt ===

impl Salt {
    /// Splits with different salts are independent of each other.
    pub fn new(salt: &[u8]) -> Self {
        Self(xxh3_64(salt))
    }

    /// The unit of this key.
    pub fn unit(self, key: &[u8]) -> Unit {
        Unit(xxh3_64_with_seed(key, self.0))
    }
}

// === impl Unit ===

impl Unit {
    /// A unit that is nobody: each request draws its own.
    pub fn random(bits: u64) -> Self {
        Self(bits)
    }

    /// Where it stands among all units, from 0 to 1.
    pub fn place(self) -> f64 {
        uniform(scatter(self.0))
    }

    /// The hash itself.
    pub fn hash(self) -> u64 {
        self.0
    }
}

// === impl Share ===

impl Share {
    /// The variant of this name gets `weight` parts of the whole; weights are relative.
    pub fn new(variant: &[u8], weight: f64) -> Self {
        Self { name_hash: scatter(xxh3_64(variant)), weight }
    }

    /// The same variant with another weight.
    pub fn with_weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// The parts of the whole.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// −ln(u)/w: an exponential with rate w, of which the least wins with probability w / Σw.
    fn score(&self, unit: Unit) -> f64 {
        let bits = scatter(unit.0.wrapping_add(self.name_hash));
        -libm::log(uniform(bits)) / self.weight
    }
}

/// The position of the winner; `None` if no share has a weight above zero.
pub fn assign(unit: Unit, shares: impl IntoIterator<Item = (usize, Share)>) -> Option<usize> {
    let mut winner = None;
    let mut least = f64::INFINITY;
    for (position, share) in shares {
        if share.weight <= 0.0 {
            continue;
        }
        let score = share.score(unit);
        if score < least || winner.is_none() {
            (winner, least) = (Some(position), score);
        }
    }
    winner
}

/// A number between 0 and 1, from 53 of the bits, shifted by half a step so that it is never 0.
fn uniform(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection in which every input bit
/// moves every output bit.
fn scatter(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
