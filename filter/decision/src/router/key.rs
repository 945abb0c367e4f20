//! Keys: what identifies the unit (a user, a session) that a request belongs to.

use std::borrow::Cow;

use crate::header::Headers;
use crate::message::{Message, Needs};

/// Keys in the order in which they are tried.
#[derive(Debug, Default)]
pub(super) struct Keys(pub(super) Vec<Key>);

#[derive(Debug)]
pub(super) enum Key {
    Header(Vec<u8>),
    Cookie(Vec<u8>),
    Claim(Vec<u8>),
    /// By its number; the name is for explanations.
    Parameter(usize, Vec<u8>),
    RequestId,
    SourceAddress,
}

// === impl Keys ===

impl Keys {
    /// The first key that the request has, and its value; an empty one is none.
    pub(super) fn value<'k, 'a>(
        &'k self,
        head: &'a impl Headers,
        message: &'a Message,
    ) -> Option<(&'k Key, Cow<'a, [u8]>)> {
        self.0.iter().find_map(|key| {
            let value = key.value(head, message).filter(|value| !value.is_empty())?;
            Some((key, value))
        })
    }

    /// What of the body can change [`Self::value`]. A key of the headers that is there ends the search.
    pub(super) fn needed(&self, head: &impl Headers) -> Needs {
        let mut needed = Needs::default();
        let nothing = Message::default();
        for key in &self.0 {
            match key {
                Key::Parameter(number, _) => needed.insert(*number),
                Key::RequestId => needed.insert_all(Needs::ID),
                other if other.value(head, &nothing).is_some_and(|value| !value.is_empty()) => break,
                _ => {}
            }
        }
        needed
    }
}

// === impl Key ===

impl Key {
    fn value<'a>(&self, head: &'a impl Headers, message: &'a Message) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Header(name) => head.first(name).map(Cow::Borrowed),
            Self::Cookie(name) => head.cookie(name).map(Cow::Borrowed),
            Self::Claim(name) => head.claim(name),
            Self::Parameter(number, _) => message.parameter(*number).map(Cow::Borrowed),
            Self::RequestId => message.id.as_deref().map(Cow::Borrowed),
            Self::SourceAddress => head.source_address(),
        }
    }

    /// What kind of key, and which: `header x-user-id`.
    pub(super) fn shown(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Header(name) => ("header ", name),
            Self::Cookie(name) => ("cookie ", name),
            Self::Claim(name) => ("claim ", name),
            Self::Parameter(_, name) => ("parameter ", name),
            Self::RequestId => ("request id", b""),
            Self::SourceAddress => ("source address", b""),
        }
    }
}
