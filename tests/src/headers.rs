//! Header fields as a proxy sees them: an ordered list of byte strings, names in lower case, repeats allowed.

use std::fmt;

/// An ordered header map. Pseudo headers (`:path`) stand in it like any other.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

// === impl Headers ===

impl Headers {
    /// A map without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same map with one more field at the end.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.add(name.as_bytes(), value.as_ref());
        self
    }

    /// Appends a field, even if one of that name is there.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        self.fields.push((name.to_ascii_lowercase(), value.to_vec()));
    }

    /// Removes every field of that name, then appends this one.
    pub fn replace(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    /// Removes every field of that name.
    pub fn remove(&mut self, name: &[u8]) {
        self.fields.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.first(name.as_bytes())
    }

    /// The first value of that name, which is given as bytes.
    pub fn first(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// Every value of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The first value of that name as text, with what is not UTF-8 replaced.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl FromIterator<(Vec<u8>, Vec<u8>)> for Headers {
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, Vec<u8>)>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.add(&name, &value);
        }
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            self.fields.iter().map(|(name, value)| (name.escape_ascii().to_string(), value.escape_ascii().to_string()));
        formatter.debug_map().entries(shown).finish()
    }
}
