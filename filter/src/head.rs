//! A request's headers, and what the gateway knows of its sender.

mod claim;

use std::borrow::Cow;
use std::rc::Rc;

use modelway_decision::header::Headers;

use crate::host::{self, HeaderMap};
use crate::plugin::Plugin;

/// What a decision may look at before the body. The stream must be the effective context.
pub(crate) struct Head {
    headers: HeaderMap,
    plugin: Rc<Plugin>,
}

// === impl Head ===

impl Head {
    pub(crate) fn new(headers: HeaderMap, plugin: Rc<Plugin>) -> Self {
        Self { headers, plugin }
    }

    #[cfg(feature = "body")]
    pub(crate) fn plugin(&self) -> &Plugin {
        &self.plugin
    }
}

impl Headers for Head {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter()
    }

    fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.headers.first(name)
    }

    /// What the gateway takes for the client's: Envoy's `use_remote_address` and `xff_num_trusted_hops` decide that.
    fn source_address(&self) -> Option<Cow<'_, [u8]>> {
        let mut address = host::property([&b"source"[..], b"address"])?;
        address.truncate(without_port(&address).len());
        if address.first() == Some(&b'[') {
            address.retain(|byte| !matches!(byte, b'[' | b']'));
        }
        Some(Cow::Owned(address))
    }

    fn claim(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let claims = &self.plugin.router.settings().claims;
        let place = [&b"metadata"[..], b"filter_metadata", claims.namespace.as_bytes(), claims.payload.as_bytes()];
        let raw = host::property(place.into_iter().chain([name]))?;
        claim::text(raw).map(Cow::Owned)
    }

    fn now(&self) -> u64 {
        host::now()
    }
}

/// `10.0.0.7:40000` without what follows the last colon; a socket's path has none.
fn without_port(address: &[u8]) -> &[u8] {
    let colon = address.iter().rposition(|&byte| byte == b':').unwrap_or(address.len());
    address.get(..colon).unwrap_or(address)
}
