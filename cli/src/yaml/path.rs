//! Where a value stands in a document: `models[2].variants[0].weight`.

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

/// From the root to a value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Path(pub(crate) Vec<Segment>);

/// One step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Segment {
    Key(String),
    Index(usize),
}

// === impl Path ===

impl Path {
    /// Reads what [`fmt::Display`] writes. A key with a dot in it becomes two; [`Self::within`] mends that.
    pub(crate) fn parse(text: &str) -> Self {
        let mut segments = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (key, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
            if !key.is_empty() {
                segments.push(Segment::Key(key.to_owned()));
            }
            for index in indices.split(['[', ']']).filter(|index| !index.is_empty()) {
                segments.push(match index.parse() {
                    Ok(index) => Segment::Index(index),
                    Err(_) => Segment::Key(index.to_owned()),
                });
            }
        }
        Self(segments)
    }

    /// The longest part of it that `value` has, with keys that hold dots put together again.
    pub(crate) fn within(&self, value: &Value) -> Self {
        let mut found = Vec::new();
        let mut current = value;
        let mut rest = self.0.as_slice();
        'steps: while let Some((first, _)) = rest.split_first() {
            match (first, current) {
                (Segment::Index(index), Value::Array(values)) => {
                    let Some(next) = values.get(*index) else { break };
                    (current, rest) = (next, rest.get(1..).unwrap_or_default());
                    found.push(first.clone());
                }
                (Segment::Key(_), Value::Object(members)) => {
                    for length in 1..=rest.len() {
                        let Some(key) = joined(rest.get(..length).unwrap_or_default()) else { break };
                        if let Some(next) = members.get(&key) {
                            (current, rest) = (next, rest.get(length..).unwrap_or_default());
                            found.push(Segment::Key(key));
                            continue 'steps;
                        }
                    }
                    break;
                }
                _ => break,
            }
        }
        Self(found)
    }

    pub(crate) fn join(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    pub(crate) fn key(mut self, key: &str) -> Self {
        self.0.push(Segment::Key(key.to_owned()));
        self
    }

    pub(crate) fn index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    pub(crate) fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The value there.
    pub(crate) fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, segment| match segment {
            Segment::Key(key) => value.get(key),
            Segment::Index(index) => value.get(index),
        })
    }
}

fn joined(segments: &[Segment]) -> Option<String> {
    let keys = segments.iter().map(|segment| match segment {
        Segment::Key(key) => Some(key.as_str()),
        Segment::Index(_) => None,
    });
    keys.collect::<Option<Vec<_>>>().map(|keys| keys.join("."))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}
