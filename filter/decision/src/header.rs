//! Header names of the contract, and how a decision reads the headers of a request.

use std::borrow::Cow;

/// Every header of ours begins with this; copies that a client sends are removed by it.
pub const PREFIX: &[u8] = b"x-modelway-";

/// To the upstream and the client: the model by the name that was asked for.
pub const MODEL: &str = "x-modelway-model";
/// To the upstream and the client: the variant chosen.
pub const VARIANT: &str = "x-modelway-variant";
/// To the upstream: the model by the upstream's name.
pub const TARGET: &str = "x-modelway-target";
/// To the upstream: the version, where the variant or the request names one.
pub const VERSION: &str = "x-modelway-version";
/// To the upstream: what the gateway hashes to choose a host.
pub const AFFINITY: &str = "x-modelway-affinity";
/// To the upstream: what a route may match, for instance a pool of GPU hosts.
pub const POOL: &str = "x-modelway-pool";

/// To the route: Envoy's cluster.
pub const CLUSTER: &str = "x-modelway-cluster";
/// To the route: Envoy's cluster for a copy of the request, whose variant, target and version the next three name.
pub const SHADOW_CLUSTER: &str = "x-modelway-shadow-cluster";
/// To the route: see [`SHADOW_CLUSTER`].
pub const SHADOW_VARIANT: &str = "x-modelway-shadow-variant";
/// To the route: see [`SHADOW_CLUSTER`].
pub const SHADOW_TARGET: &str = "x-modelway-shadow-target";
/// To the route: see [`SHADOW_CLUSTER`].
pub const SHADOW_VERSION: &str = "x-modelway-shadow-version";
/// To the client: whether the filter only watches.
pub const DRY_RUN: &str = "x-modelway-dry-run";

/// From a tester: the secret of the configuration.
pub const SECRET: &[u8] = b"x-modelway-secret";
/// From a tester: the variant wanted.
pub const FORCE: &[u8] = b"x-modelway-force";
/// From a tester: asks for the reasons, which the answer's header of this name gives.
pub const EXPLAIN: &[u8] = b"x-modelway-explain";

/// Whether a header's name may begin with [`PREFIX`]: two letters tell most others apart.
pub fn may_be_ours(name: &[u8]) -> bool {
    matches!(name, [b'x', _, b'm', ..])
}

/// Those that only the filter may set on an answer: an upstream's own copies are removed.
pub const ONLY_OURS_IN_ANSWERS: [&str; 6] = [MODEL, VARIANT, TARGET, VERSION, AFFINITY, POOL];

/// What is known of a request before its body: its headers, and what the gateway knows of its
/// sender. Header names are lower-case, as every HTTP/2 proxy makes them.
pub trait Headers {
    /// Every header in order, pseudo-headers such as `:path` among them.
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])>;

    /// The sender's address as text, without its port.
    fn source_address(&self) -> Option<Cow<'_, [u8]>> {
        None
    }

    /// A claim of the sender's token that an earlier filter has verified, as text.
    fn claim(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let _ = name;
        None
    }

    /// Nanoseconds since 1970. Asked only where the decision depends on it.
    fn now(&self) -> u64 {
        0
    }

    /// The first value of this name.
    fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The first value of this cookie. Cookies may come in several headers.
    fn cookie(&self, name: &[u8]) -> Option<&[u8]> {
        let cookies = self.iter().filter(|(key, _)| *key == b"cookie");
        cookies.flat_map(|(_, line)| line.split(|&byte| byte == b';')).find_map(|pair| {
            let pair = pair.trim_ascii();
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            let (key, value) = pair.split_at_checked(equals)?;
            (key == name).then(|| unquoted(value.get(1..).unwrap_or_default()))
        })
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>, const COUNT: usize> Headers for [(N, V); COUNT] {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.as_slice().iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.as_slice().iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

/// RFC 6265 allows a cookie's value in double quotes.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_in_any_of_several_cookie_headers() {
        let headers: Vec<(&[u8], &[u8])> = vec![
            (b"cookie", b"a=1; mw-user = no"),
            (b"accept", b"mw-user=no"),
            (b"cookie", b"x=\xff;mw-user=\"u=7\" ; b=2"),
        ];
        assert_eq!(headers.cookie(b"mw-user"), Some(&b"u=7"[..]));
        assert_eq!(headers.cookie(b"a"), Some(&b"1"[..]));
        assert_eq!(headers.cookie(b"b"), Some(&b"2"[..]));
        assert_eq!(headers.cookie(b"c"), None);
    }
}
