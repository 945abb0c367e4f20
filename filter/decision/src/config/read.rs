//! From a JSON tree to the types of the configuration.
//!
//! Reading goes on behind a fault, so that all faults of a file are told at once; what stands in the
//! place of a faulty value does not matter, because nobody gets it.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::json::Node;
use crate::nearest::nearest;

/// A type that can be read.
pub(super) trait Read: Sized {
    /// What `node` says; `None` with at least one fault.
    fn read(node: &Node, place: &mut Place) -> Option<Self>;
}

/// Where in the configuration a value stands, and the faults so far.
#[derive(Default)]
pub(super) struct Place {
    path: String,
    faults: Vec<Fault>,
}

/// The fields of an object, while they are taken one by one.
pub(super) struct Fields<'n> {
    fields: &'n [(String, Node)],
    /// Names that were asked for, in the spelling of Rust, or of the configuration where they differ.
    known: Vec<&'static str>,
}

// === impl Place ===

impl Place {
    pub(super) fn fault(&mut self, message: impl Into<String>) {
        self.faults.push(Fault::new(self.path.as_str(), message));
    }

    pub(super) fn expected(&mut self, what: &str, found: &Node) {
        self.fault(format!("expected {what}, got {}", found.kind()));
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    fn within<T>(&mut self, segment: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 && !segment.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(segment);
        let result = read(self);
        self.path.truncate(length);
        result
    }

    /// Reads the items of a list.
    fn items(&mut self, node: &Node, item: &mut dyn FnMut(&Node, &mut Self)) -> Option<()> {
        let Node::List(nodes) = node else {
            self.expected("a list", node);
            return None;
        };
        for (index, node) in nodes.iter().enumerate() {
            self.within(&format!("[{index}]"), |place| item(node, place));
        }
        Some(())
    }

    /// Reads one of several words.
    pub(super) fn word(&mut self, node: &Node, words: &[&'static str]) -> Option<usize> {
        let Node::Text(text) = node else {
            self.expected(&one_of(words), node);
            return None;
        };
        let position = words.iter().position(|word| word == text);
        if position.is_none() {
            let meant = nearest(text, words.iter().copied()).map(|word| format!("; did you mean `{word}`?"));
            self.fault(format!("expected {}, got `{text}`{}", one_of(words), meant.unwrap_or_default()));
        }
        position
    }
}

// === impl Fields ===

impl<'n> Fields<'n> {
    pub(super) fn of(node: &'n Node, place: &mut Place) -> Option<Self> {
        let Node::Object(fields) = node else {
            place.expected("an object", node);
            return None;
        };
        Some(Self { fields, known: Vec::new() })
    }

    /// The field of this name; `None` if it is absent or null.
    pub(super) fn optional<T: Read>(&mut self, name: &'static str, place: &mut Place) -> Option<T> {
        let node = self.take(name)?;
        place.within(&camel_case(name), |place| T::read(node, place))
    }

    pub(super) fn required<T: Read + Default>(&mut self, name: &'static str, place: &mut Place) -> T {
        match self.take(name) {
            Some(node) => place.within(&camel_case(name), |place| T::read(node, place)).unwrap_or_default(),
            None => {
                place.fault(format!("expected `{}`, which is missing", camel_case(name)));
                T::default()
            }
        }
    }

    /// Fields that nobody asked for are faults; tells whether there are any.
    pub(super) fn finish(self, place: &mut Place) -> bool {
        let mut has_unknown = false;
        for (name, _) in self.fields {
            if self.known.iter().any(|known| is_camel_case_of(name, known)) {
                continue;
            }
            has_unknown = true;
            let known: Vec<String> = self.known.iter().map(|known| camel_case(known)).collect();
            let meant = nearest(name, known.iter().map(String::as_str));
            let message = match meant {
                Some(meant) => format!("unknown field `{name}`; did you mean `{meant}`?"),
                None => format!("unknown field `{name}`, expected one of `{}`", known.join("`, `")),
            };
            place.within(name, |place| place.fault(message));
        }
        has_unknown
    }

    fn take(&mut self, name: &'static str) -> Option<&'n Node> {
        self.known.push(name);
        let field = self.fields.iter().find(|(field, _)| is_camel_case_of(field, name));
        field.map(|(_, node)| node).filter(|node| **node != Node::Null)
    }
}

/// `peek_limit` is `peekLimit`.
fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut begins_word = false;
    for letter in name.chars() {
        match letter {
            '_' => begins_word = true,
            letter if begins_word => {
                camel.push(letter.to_ascii_uppercase());
                begins_word = false;
            }
            letter => camel.push(letter),
        }
    }
    camel
}

fn is_camel_case_of(field: &str, name: &str) -> bool {
    camel_case(name) == field
}

fn one_of(words: &[&str]) -> String {
    format!("one of `{}`", words.join("`, `"))
}

// === impl Read ===

impl Read for bool {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        match node {
            Node::Bool(value) => Some(*value),
            other => {
                place.expected("true or false", other);
                None
            }
        }
    }
}

impl Read for f64 {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        match node {
            Node::Number(literal) => literal.parse().ok(),
            other => {
                place.expected("a number", other);
                None
            }
        }
    }
}

impl Read for u32 {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        let number = f64::read(node, place)?;
        if number.fract() != 0.0 || !(0.0..=f64::from(Self::MAX)).contains(&number) {
            place.fault(format!("expected a whole number not below 0, got {number}"));
            return None;
        }
        Some(number as Self)
    }
}

impl Read for String {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        match node {
            Node::Text(text) => Some(text.clone()),
            other => {
                place.expected("a text", other);
                None
            }
        }
    }
}

impl<T: Read> Read for Option<T> {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        T::read(node, place).map(Some)
    }
}

impl<T: Read> Read for Box<T> {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        T::read(node, place).map(Self::new)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        let mut items = Self::new();
        place.items(node, &mut |node, place| items.extend(T::read(node, place)))?;
        Some(items)
    }
}

impl<T: Read> Read for BTreeMap<String, T> {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        let Node::Object(fields) = node else {
            place.expected("an object", node);
            return None;
        };
        let mut map = Self::new();
        for (name, node) in fields {
            if let Some(value) = place.within(name, |place| T::read(node, place)) {
                map.insert(name.clone(), value);
            }
        }
        Some(map)
    }
}

/// Objects of the configuration: the type, its reader and its schema from one definition. A field may
/// be absent unless it is `[required]`; then it is the type's default, or the function's that `[or …]`
/// names (twice: as a path and as the text that the schema wants). `[as …]` names it otherwise than Rust.
macro_rules! settings {
    ($(#[$meta:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        $crate::config::read::settings! { @field [$(#[$meta])*] $name node place [] [] $($fields)* }
    };
    (@field $meta:tt $name:ident $n:ident $p:ident [$($defined:tt)*] [$($read:tt)*]
        $(#[$doc:meta])* pub $field:ident: $type:ty [required], $($rest:tt)*) => {
        $crate::config::read::settings! { @field $meta $name $n $p
            [$($defined)* $(#[$doc])* pub $field: $type,]
            [$($read)* $field (required stringify!($field))] $($rest)* }
    };
    (@field $meta:tt $name:ident $n:ident $p:ident [$($defined:tt)*] [$($read:tt)*]
        $(#[$doc:meta])* pub $field:ident: $type:ty [required as $text:literal], $($rest:tt)*) => {
        $crate::config::read::settings! { @field $meta $name $n $p
            [$($defined)* $(#[$doc])* #[cfg_attr(feature = "schema", schemars(rename = $text))] pub $field: $type,]
            [$($read)* $field (required $text)] $($rest)* }
    };
    (@field $meta:tt $name:ident $n:ident $p:ident [$($defined:tt)*] [$($read:tt)*]
        $(#[$doc:meta])* pub $field:ident: $type:ty [as $text:literal], $($rest:tt)*) => {
        $crate::config::read::settings! { @field $meta $name $n $p
            [$($defined)* $(#[$doc])* #[cfg_attr(feature = "schema", schemars(rename = $text, default))] pub $field: $type,]
            [$($read)* $field (default $text)] $($rest)* }
    };
    (@field $meta:tt $name:ident $n:ident $p:ident [$($defined:tt)*] [$($read:tt)*]
        $(#[$doc:meta])* pub $field:ident: $type:ty [or $default:ident $text:literal], $($rest:tt)*) => {
        $crate::config::read::settings! { @field $meta $name $n $p
            [$($defined)* $(#[$doc])* #[cfg_attr(feature = "schema", schemars(default = $text))] pub $field: $type,]
            [$($read)* $field (or $default stringify!($field))] $($rest)* }
    };
    (@field $meta:tt $name:ident $n:ident $p:ident [$($defined:tt)*] [$($read:tt)*]
        $(#[$doc:meta])* pub $field:ident: $type:ty, $($rest:tt)*) => {
        $crate::config::read::settings! { @field $meta $name $n $p
            [$($defined)* $(#[$doc])* #[cfg_attr(feature = "schema", schemars(default))] pub $field: $type,]
            [$($read)* $field (default stringify!($field))] $($rest)* }
    };
    (@field [$($meta:tt)*] $name:ident $node:ident $place:ident [$($defined:tt)*] [$($field:ident $how:tt)*]) => {
        $($meta)*
        #[derive(Clone, Debug)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(rename_all = "camelCase", deny_unknown_fields))]
        pub struct $name { $($defined)* }

        impl $crate::config::read::Read for $name {
            fn read($node: &$crate::config::json::Node, $place: &mut $crate::config::read::Place) -> Option<Self> {
                let mut fields = $crate::config::read::Fields::of($node, $place)?;
                let read = Self { $($field: $crate::config::read::settings!(@read fields $place $how),)* };
                fields.finish($place);
                Some(read)
            }
        }
    };
    (@read $fields:ident $place:ident (required $name:expr)) => { $fields.required($name, $place) };
    (@read $fields:ident $place:ident (default $name:expr)) => { $fields.optional($name, $place).unwrap_or_default() };
    (@read $fields:ident $place:ident (or $default:ident $name:expr)) => {
        $fields.optional($name, $place).unwrap_or_else($default)
    };
}
pub(super) use settings;

/// Words of the configuration: the type, its reader and its schema from one definition. The first is the default.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $(#[$doc0:meta])* $first:ident $text0:literal, $($(#[$doc:meta])* $variant:ident $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $(#[$doc0])*
            #[cfg_attr(feature = "schema", schemars(rename = $text0))]
            #[default]
            $first,
            $($(#[$doc])* #[cfg_attr(feature = "schema", schemars(rename = $text))] $variant,)*
        }

        impl $crate::config::read::Read for $name {
            fn read(node: &$crate::config::json::Node, place: &mut $crate::config::read::Place) -> Option<Self> {
                let values = [Self::$first, $(Self::$variant,)*];
                values.get(place.word(node, &[$text0, $($text,)*])?).copied()
            }
        }
    };
}
pub(super) use words;
