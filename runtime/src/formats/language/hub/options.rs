//! Where the hub is, and who asks: by the names of Hugging Face's own libraries.

use std::path::PathBuf;
use std::time::Duration;

const ENDPOINT: &str = "https://huggingface.co";
/// Each forbids the network.
const OFFLINE: [&str; 3] = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"];

/// What can be set.
#[derive(Clone, Debug)]
pub(in crate::formats::language) struct HubOptions {
    /// A URL, without a slash at its end.
    pub(super) endpoint: String,
    /// The folder of all models; none where nobody says where.
    pub(super) cache: Option<PathBuf>,
    pub(super) token: Option<String>,
    /// Has the token where `token` does not, if it is there. Read when it is needed: it may be mounted later.
    pub(super) token_file: Option<PathBuf>,
    /// The variable that forbids the network.
    pub(super) offline: Option<&'static str>,
    /// Before a download goes on that was cut; doubled each time that nothing came in between.
    pub(super) pause: Duration,
}

// === impl HubOptions ===

impl HubOptions {
    /// What the environment says.
    pub(in crate::formats::language) fn of_environment() -> Self {
        Self::of(|variable| std::env::var(variable).ok())
    }

    /// What these variables say.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let said = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let path = |name: &str| said(name).map(PathBuf::from);
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| path("HOME").map(|home| home.join(".cache/huggingface")));
        let below_home = |name: &str| home.as_ref().map(|home| home.join(name));
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")).or_else(|| below_home("hub"));
        let is_on = |name: &&str| said(name).is_some_and(|value| is_true(&value));
        Self {
            endpoint: said("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()).trim_end_matches('/').to_owned(),
            cache,
            token: said("HF_TOKEN").or_else(|| said("HUGGING_FACE_HUB_TOKEN")),
            token_file: path("HF_TOKEN_PATH").or_else(|| below_home("token")),
            offline: OFFLINE.into_iter().find(is_on),
            ..Self::default()
        }
    }

    /// Who asks, if that was said.
    pub(super) fn token(&self) -> Option<String> {
        let of_file = || {
            let text = std::fs::read_to_string(self.token_file.as_ref()?).ok()?;
            Some(text.trim().to_owned()).filter(|token| !token.is_empty())
        };
        self.token.clone().or_else(of_file)
    }
}

impl Default for HubOptions {
    /// The public hub; there is no cache, so nothing is fetched.
    fn default() -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            cache: None,
            token: None,
            token_file: None,
            offline: None,
            pause: Duration::from_secs(1),
        }
    }
}

fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|known| value.eq_ignore_ascii_case(known))
}
