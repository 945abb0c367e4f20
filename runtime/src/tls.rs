//! How TLS is done.

use std::sync::Once;

/// Says which library encrypts; before any connection is made.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A program that this library is part of may have chosen another one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
