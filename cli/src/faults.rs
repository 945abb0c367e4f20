//! Every fault of a configuration, not only the first.
//!
//! What is at fault is taken out of a copy, and the rest is read again: serde stops at the first
//! fault, and the router judges the whole only where every field can be read. What that makes wrong
//! elsewhere is not told: the next run will.

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
    let routing = reading.read(|value| Routing::from_json(value.to_string().as_bytes()).map_err(|error| told(&error)));
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
            vec![Told::at(&path, with_nearest(&error.inner().to_string()))]
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
    /// Members that were taken out, where they stand in the file.
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

    fn read<T>(&mut self, read: impl Fn(&Value) -> Result<T, Vec<Told>>) -> Option<T> {
        loop {
            let told = match read(&self.rest) {
                Ok(read) => return Some(read),
                Err(told) => told,
            };
            for told in &told {
                self.add(told);
            }
            // From the end, so that what is taken out of a list moves nothing that is still to be taken out.
            let are_out = told.iter().rev().filter(|told| self.take_out(told)).count();
            if are_out == 0 || self.faults.len() >= MOST_FAULTS {
                return None;
            }
        }
    }

    fn add(&mut self, told: &Told) {
        let full = Path::parse(&told.path);
        let path = full.within(&self.rest);
        // An object that a member was taken out of may lack that member now.
        let mut shown = self.in_file(&path);
        if self.members.iter().any(|member| is_member_of(member, &shown)) {
            return;
        }
        // A path may go on behind what is there.
        shown.0.extend(full.0.iter().skip(path.0.len()).cloned());
        self.faults.push(Fault { path: shown, message: told.message.clone() });
    }

    /// Removes what is at fault; false if there is nothing to remove.
    fn take_out(&mut self, told: &Told) -> bool {
        let path = Path::parse(&told.path).within(&self.rest);
        let in_file = self.in_file(&path);
        let Some((last, parent)) = path.0.split_last() else { return false };
        let parent = Path(parent.to_vec());
        match (last, at_mut(&mut self.rest, &parent)) {
            (Segment::Index(index), Some(Value::Array(values))) if *index < values.len() => {
                values.remove(*index);
                self.touched.push(in_file);
                self.taken.push(path);
                true
            }
            (Segment::Key(key), Some(Value::Object(members))) => {
                let was_there = members.shift_remove(key).is_some();
                self.members.push(in_file);
                was_there
            }
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

fn is_member_of(member: &Path, object: &Path) -> bool {
    matches!(member.0.split_last(), Some((Segment::Key(_), parent)) if parent == object.0)
}

fn at_mut<'v>(value: &'v mut Value, path: &Path) -> Option<&'v mut Value> {
    path.0.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(key),
        Segment::Index(index) => value.get_mut(index),
    })
}
