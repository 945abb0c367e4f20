//! A document's nodes, each with the bytes where it stands.

#[cfg(test)]
mod tests;

use std::ops::Range;

use anyhow::{Context, anyhow, bail};
use granit_parser::{Event, Parser, Span, StructureStyle};

use super::path::{Path, Segment};

/// How a list or an object is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    /// One member a line, by indentation.
    Block,
    /// In brackets, as JSON.
    Flow,
}

/// A value as it stands in the text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Bytes of the text. Of a block only its start is exact.
    pub(crate) bytes: Range<usize>,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Scalar(String),
    List(Vec<Node>),
    Object(Style, Vec<Entry>),
    /// `*name`: what it stands for stands elsewhere.
    Alias,
}

/// A member of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Node,
    pub(crate) value: Node,
}

/// A list or an object whose end has not come yet.
struct Open {
    style: Option<Style>,
    start: Span,
    children: Vec<Node>,
}

/// The nodes of each document of a text.
pub(crate) fn documents(text: &str) -> anyhow::Result<Vec<Node>> {
    let mut found = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| anyhow!("{error}"))?;
        let node = match event {
            Event::Scalar(value, ..) => Node::new(Kind::Scalar(value.into_owned()), span, span),
            Event::Alias(_) => Node::new(Kind::Alias, span, span),
            Event::SequenceStart(..) => {
                open.push(Open { style: None, start: span, children: Vec::new() });
                continue;
            }
            Event::MappingStart(style, ..) => {
                open.push(Open { style: Some(Style::of(style)), start: span, children: Vec::new() });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().context("an end without a start")?.close(span)?,
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => found.push(node),
        }
    }
    Ok(found)
}

// === impl Style ===

impl Style {
    fn of(style: StructureStyle) -> Self {
        if style == StructureStyle::Flow { Self::Flow } else { Self::Block }
    }
}

// === impl Open ===

impl Open {
    fn close(self, end: Span) -> anyhow::Result<Node> {
        let Some(style) = self.style else {
            return Ok(Node::new(Kind::List(self.children), self.start, end));
        };
        let mut members = Vec::with_capacity(self.children.len() / 2);
        let mut children = self.children.into_iter();
        while let Some(key) = children.next() {
            let Some(value) = children.next() else { bail!("a key without a value") };
            members.push(Entry { key, value });
        }
        Ok(Node::new(Kind::Object(style, members), self.start, end))
    }
}

// === impl Node ===

impl Node {
    fn new(kind: Kind, start: Span, end: Span) -> Self {
        let from = start.start.byte_offset().unwrap_or_default();
        let to = end.end.byte_offset().unwrap_or(from);
        Self { kind, bytes: from..to.max(from), line: start.start.line(), column: start.start.col() + 1 }
    }

    /// The member of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        let Kind::Object(_, members) = &self.kind else { return None };
        members.iter().find(|member| matches!(&member.key.kind, Kind::Scalar(key) if key == name))
    }

    /// The node at the path, or the nearest one above it; a member's key stands for the member.
    pub(crate) fn nearest(&self, path: &Path) -> &Self {
        let mut node = self;
        let mut shown = self;
        for segment in &path.0 {
            let next = match (segment, &node.kind) {
                (Segment::Key(key), _) => node.get(key).map(|entry| (&entry.value, &entry.key)),
                (Segment::Index(index), Kind::List(items)) => items.get(*index).map(|item| (item, item)),
                _ => None,
            };
            let Some((value, place)) = next else { break };
            (node, shown) = (value, place);
        }
        shown
    }

    /// The node at the path.
    pub(crate) fn find(&self, path: &Path) -> Option<&Self> {
        path.0.iter().try_fold(self, |node, segment| match (segment, &node.kind) {
            (Segment::Key(key), _) => node.get(key).map(|entry| &entry.value),
            (Segment::Index(index), Kind::List(items)) => items.get(*index),
            _ => None,
        })
    }
}
