//! Every fault of a configuration, not only the first.
//!
//! serde stops at the first fault, so what is at fault is taken out of a copy and the rest is read
//! again. What that makes wrong elsewhere is not told: the next run will.

#[cfg(test)]
mod tests;

use std::fmt;

use modelway_decision::Router;
use modelway_decision::config::{ConfigError, Routing};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::yaml::{Path, Segment};

/// More than anybody mends in one go.
const MOST_FAULTS: usize = 100;

/// One fault, by its path in what was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    pub(crate) path: Path,
    pub(crate) message: String,
}

/// The routing, or why it is none.
pub(crate) fn of_routing(value: &Value) -> Result<(Routing, Router), Vec<Fault>> {
    let mut reading = Reading::new(value);
    let routing = reading.read(|value| {
        let json = serde_json::to_vec(value).map_err(|error| Told::at("", error.to_string()))?;
        Routing::from_json(&json).map_err(|error| told(&error).remove(0))
    });
    let Some(routing) = routing else { return Err(reading.faults) };
    match Router::new(&routing) {
        Ok(router) if reading.faults.is_empty() => return Ok((routing, router)),
        Ok(_) => {}
        Err(error) => reading.add_what_the_whole_shows(told(&error)),
    }
    Err(reading.faults)
}

/// A section that serde alone checks.
pub(crate) fn of_section<T: DeserializeOwned>(value: &Value) -> Result<T, Vec<Fault>> {
    let mut reading = Reading::new(value);
    let section = reading.read(|value| {
        serde_path_to_error::deserialize(value.clone()).map_err(|error| {
            let path = Some(error.path().to_string()).filter(|path| path != ".").unwrap_or_default();
            Told::at(&path, with_nearest(&error.inner().to_string()))
        })
    });
    match section {
        Some(section) if reading.faults.is_empty() => Ok(section),
        _ => Err(reading.faults),
    }
}

/// `unknown field …, expected one of …` with the nearest of what was expected.
pub(crate) fn with_nearest(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let given = quoted.next().unwrap_or_default();
    if !message.starts_with("unknown ") {
        return message.to_owned();
    }
    match nearest(given, quoted) {
        Some(known) => format!("{message}; did you mean `{known}`?"),
        None => message.to_owned(),
    }
}

/// The one of `known` that is mistyped at most a little as `given`.
pub(crate) fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let nearest = known.map(|known| (strsim::osa_distance(given, known), known)).min_by_key(|(distance, _)| *distance);
    nearest.filter(|(distance, _)| *distance <= 3 && *distance < given.chars().count()).map(|(_, known)| known)
}

/// A fault as serde or the router tells it.
struct Told {
    path: String,
    message: String,
}

/// A value that loses what is at fault in it.
struct Reading {
    rest: Value,
    faults: Vec<Fault>,
    /// Items taken out of lists, in that order: later paths are to be mapped back.
    taken: Vec<Path>,
    /// The same items, where they stand in the file.
    touched: Vec<Path>,
    /// Members that were taken out: that they are missing now is no fault of the file.
    members: Vec<Path>,
}

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.0.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

// === impl Told ===

impl Told {
    fn at(path: &str, message: String) -> Self {
        Self { path: path.to_owned(), message }
    }
}

fn told(error: &ConfigError) -> Vec<Told> {
    error.faults().iter().map(|fault| Told::at(&fault.path, fault.message.clone())).collect()
}

// === impl Reading ===

impl Reading {
    fn new(value: &Value) -> Self {
        Self { rest: value.clone(), faults: Vec::new(), taken: Vec::new(), touched: Vec::new(), members: Vec::new() }
    }

    fn read<T>(&mut self, read: impl Fn(&Value) -> Result<T, Told>) -> Option<T> {
        loop {
            let told = match read(&self.rest) {
                Ok(read) => return Some(read),
                Err(told) => told,
            };
            let full = Path::parse(&told.path);
            let mut path = full.within(&self.rest);
            let mut message = told.message;
            if path.0.is_empty() && message.contains("list in a list") {
                path = list_in_a_list(&self.rest, &Path::default()).unwrap_or_default();
                "expected an object or a value, got a list in a list".clone_into(&mut message);
            }
            let is_of_our_making = message.starts_with("missing field")
                && self.members.iter().any(|member| is_member_of(member, &path, &message));
            if !is_of_our_making {
                let mut shown = self.in_file(&path);
                // A path may go on behind what is there: the member that is unknown, say.
                shown.0.extend(full.0.iter().skip(path.0.len()).cloned());
                self.faults.push(Fault { path: shown, message: message.clone() });
            }
            if self.faults.len() >= MOST_FAULTS || !self.take_out(&path, &message) {
                return None;
            }
        }
    }

    /// Removes what is at fault; false if nothing would be left.
    fn take_out(&mut self, path: &Path, message: &str) -> bool {
        // Without a field that it must have, the object itself has to go; so has an item of a list.
        let Some((last, parent)) = path.0.split_last() else { return self.take_out_unknown(message) };
        let parent = Path(parent.to_vec());
        let in_file = self.in_file(path);
        match (last, at_mut(&mut self.rest, &parent)) {
            (Segment::Index(index), Some(Value::Array(values))) if *index < values.len() => {
                values.remove(*index);
                self.touched.push(in_file);
                self.taken.push(path.clone());
                true
            }
            (Segment::Key(key), Some(Value::Object(members))) => {
                let was_there = members.shift_remove(key).is_some();
                self.members.push(path.clone());
                was_there
            }
            _ => false,
        }
    }

    /// An unknown field of the whole, which has no path.
    fn take_out_unknown(&mut self, message: &str) -> bool {
        let field = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        match (field, &mut self.rest) {
            (Some(field), Value::Object(members)) => members.shift_remove(field).is_some(),
            _ => false,
        }
    }

    /// Where it stood before anything was taken out.
    fn in_file(&self, path: &Path) -> Path {
        let mut path = path.clone();
        for taken in self.taken.iter().rev() {
            let Some((Segment::Index(gone), list)) = taken.0.split_last() else { continue };
            if !path.0.starts_with(list) {
                continue;
            }
            if let Some(Segment::Index(index)) = path.0.get_mut(list.len())
                && *index >= *gone
            {
                *index += 1;
            }
        }
        path
    }

    /// Adds what the router found, except for models that something was taken out of, and for rules
    /// over all models then.
    fn add_what_the_whole_shows(&mut self, faults: Vec<Told>) {
        let touched: Vec<Path> =
            self.touched.iter().map(|taken| Path(taken.0.iter().take(2).cloned().collect())).collect();
        for told in faults {
            let path = Path::parse(&told.path);
            let shown = self.in_file(&path);
            let is_doubtful = touched.iter().any(|touched| shown.starts_with(touched))
                || (!touched.is_empty() && path.0.first() == Some(&Segment::Key("rules".to_owned())));
            if !is_doubtful {
                self.faults.push(Fault { path: shown, message: told.message });
            }
        }
    }
}

fn is_member_of(member: &Path, object: &Path, message: &str) -> bool {
    match member.0.split_last() {
        Some((Segment::Key(key), parent)) => parent == object.0 && message.contains(&format!("`{key}`")),
        _ => false,
    }
}

fn at_mut<'v>(value: &'v mut Value, path: &Path) -> Option<&'v mut Value> {
    path.0.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(key),
        Segment::Index(index) => value.get_mut(index),
    })
}

fn list_in_a_list(value: &Value, path: &Path) -> Option<Path> {
    match value {
        Value::Array(values) => values.iter().enumerate().find_map(|(index, item)| {
            let path = path.clone().index(index);
            if item.is_array() { Some(path) } else { list_in_a_list(item, &path) }
        }),
        Value::Object(members) => members.iter().find_map(|(key, value)| list_in_a_list(value, &path.clone().key(key))),
        _ => None,
    }
}
