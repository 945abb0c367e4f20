//! Request parameters from a JSON body: scalar members of the top level's `parameters` object.
//!
//! Both dialects are read: bare values (`{"user_id": "u7"}`) and protobuf's JSON
//! (`{"user_id": {"stringParam": "u7"}}`). The reader follows strings, nesting and nothing else;
//! it does not validate the document, which is the upstream's business. With a key that comes
//! twice the later value counts, as in most JSON libraries, as far as the reader reads.

use super::Progress;
use crate::message::{LONGEST_VALUE, Message, Needs};
use crate::number::number_text;

/// Deeper documents are not read further: their tensors would have 100 dimensions.
const DEEPEST: u32 = 128;

/// Names under which protobuf's JSON gives a parameter's value.
const TYPED_VALUES: [&[u8]; 10] = [
    b"stringParam",
    b"string_param",
    b"int64Param",
    b"int64_param",
    b"boolParam",
    b"bool_param",
    b"doubleParam",
    b"double_param",
    b"uint64Param",
    b"uint64_param",
];

/// Reads parameters from a JSON body.
#[derive(Debug)]
pub struct JsonReader {
    state: State,
    depth: u32,
    /// One bit a level, the lowest for the innermost: set for an object.
    objects: u128,
    /// Whether the next string of the current object is a key.
    expects_key: bool,
    /// How deep inside `parameters` the reader is.
    inside: Inside,
    /// The parameter whose value comes next or is being read.
    current: Option<usize>,
    /// The bytes of a key or value that matters; `None` while they do not.
    captured: Option<Vec<u8>>,
    escape: Escape,
    needed: Needs,
    message: Message,
    outcome: Option<Progress>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Between tokens.
    Between,
    String,
    Escape,
    /// In `\uXXXX`, so many digits to come.
    Unicode {
        digits: u8,
    },
    /// In a number, `true`, `false` or `null`.
    Literal,
}

/// Where the reader is, relative to the `parameters` object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Inside {
    /// Elsewhere.
    No,
    /// At the value of the top level's `parameters` key.
    AtParameters,
    /// In the object, at depth 2.
    Parameters,
    /// In a parameter's own object, at depth 3.
    Typed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Escape {
    unit: u32,
    high_surrogate: Option<u32>,
}

// === impl JsonReader ===

impl JsonReader {
    /// Reads until every one of `needed` is found.
    pub fn new(needed: Needs) -> Self {
        Self {
            state: State::Between,
            depth: 0,
            objects: 0,
            expects_key: false,
            inside: Inside::No,
            current: None,
            captured: None,
            escape: Escape::default(),
            needed,
            message: Message::default(),
            outcome: None,
        }
    }

    /// Takes the next bytes of the body; `number_of` gives the number of a parameter that routing
    /// looks at. Once it has said anything but [`Progress::More`] it takes no more.
    pub fn feed(&mut self, bytes: &[u8], number_of: impl Fn(&[u8]) -> Option<usize>) -> Progress {
        let mut rest = bytes;
        while self.outcome.is_none() {
            // The bulk of a body is tensor values: skipped without a look at the state machine.
            if self.captured.is_none() {
                rest = self.skip_dull(rest);
            }
            let Some((&byte, after)) = rest.split_first() else { break };
            rest = after;
            self.step(byte, &number_of);
        }
        self.outcome.unwrap_or(Progress::More)
    }

    /// The parameters found.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The rest from the first byte that can change the state.
    fn skip_dull<'a>(&self, rest: &'a [u8]) -> &'a [u8] {
        let interesting = match self.state {
            State::String => rest.iter().position(|byte| matches!(byte, b'"' | b'\\')),
            // Inside an array only structure matters, and where no key or value of ours can come.
            State::Between | State::Literal if self.depth > 0 && self.current.is_none() => {
                rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',' | b':'))
            }
            _ => Some(0),
        };
        interesting.and_then(|position| rest.get(position..)).unwrap_or_default()
    }

    fn step(&mut self, byte: u8, number_of: &impl Fn(&[u8]) -> Option<usize>) {
        match self.state {
            State::String => match byte {
                b'"' => self.end_string(number_of),
                b'\\' => self.state = State::Escape,
                other => {
                    self.flush_surrogate();
                    self.keep(&[other]);
                }
            },
            State::Escape => self.step_escape(byte),
            State::Unicode { digits } => self.step_unicode(byte, digits),
            State::Literal => match byte {
                b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | b':' => {
                    self.end_literal();
                    self.state = State::Between;
                    self.step_between(byte);
                }
                other => self.keep(&[other]),
            },
            State::Between => self.step_between(byte),
        }
    }

    fn step_between(&mut self, byte: u8) {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => {}
            b'"' => {
                self.state = State::String;
                let matters = if self.expects_key { self.key_matters() } else { self.current.is_some() };
                self.captured = matters.then(Vec::new);
            }
            b'{' => self.open(true),
            b'[' => self.open(false),
            b'}' => self.close(true),
            b']' => self.close(false),
            b',' => {
                self.expects_key = self.in_object();
                self.leave_value();
            }
            b':' => self.expects_key = false,
            other => {
                self.state = State::Literal;
                self.captured = (self.current.is_some() && !self.expects_key).then(Vec::new);
                self.keep(&[other]);
            }
        }
        if self.depth == 0 && self.outcome.is_none() && !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            // The top level was no object, or has just been closed: nothing more can come.
            self.outcome = Some(Progress::Done);
        }
    }

    fn key_matters(&self) -> bool {
        match self.inside {
            Inside::No | Inside::AtParameters => self.depth == 1,
            Inside::Parameters => self.depth == 2,
            Inside::Typed => self.depth == 3,
        }
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn open(&mut self, is_object: bool) {
        if self.depth == DEEPEST {
            self.outcome = Some(Progress::Malformed("the JSON is nested deeper than 128 levels"));
            return;
        }
        self.inside = match (self.inside, self.depth, is_object) {
            (Inside::AtParameters, 1, true) => Inside::Parameters,
            (Inside::AtParameters, 1, false) => Inside::No,
            (Inside::Parameters, 2, true) if self.current.is_some() => Inside::Typed,
            (inside, ..) => inside,
        };
        if self.inside != Inside::Typed || !is_object || self.depth != 2 {
            self.current = None;
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        self.expects_key = is_object;
    }

    fn close(&mut self, is_object: bool) {
        if self.depth == 0 || self.in_object() != is_object {
            self.outcome = Some(Progress::Malformed("a bracket of the JSON closes what was not opened"));
            return;
        }
        self.depth -= 1;
        self.objects >>= 1;
        self.expects_key = false;
        self.inside = match (self.inside, self.depth) {
            (Inside::Typed, 2) => Inside::Parameters,
            (Inside::Parameters, 1) => Inside::No,
            (inside, _) => inside,
        };
        self.current = None;
    }

    /// After a comma: the next member is another one.
    fn leave_value(&mut self) {
        match self.inside {
            Inside::AtParameters => self.inside = Inside::No,
            Inside::Parameters if self.depth == 2 => self.current = None,
            _ => {}
        }
    }

    fn end_string(&mut self, number_of: &impl Fn(&[u8]) -> Option<usize>) {
        self.flush_surrogate();
        self.state = State::Between;
        let captured = self.captured.take();
        if self.expects_key {
            if let Some(key) = captured {
                self.end_key(&key, number_of);
            }
            return;
        }
        if let (Some(number), Some(text)) = (self.current, captured) {
            self.found(number, text);
        }
    }

    fn end_key(&mut self, key: &[u8], number_of: &impl Fn(&[u8]) -> Option<usize>) {
        match self.inside {
            Inside::No | Inside::AtParameters => {
                self.inside = if key == b"parameters" { Inside::AtParameters } else { Inside::No };
            }
            Inside::Parameters => self.current = number_of(key),
            // The parameter's own name stays current; a member that is no value ends it.
            Inside::Typed => {
                if !TYPED_VALUES.contains(&key) {
                    self.current = None;
                }
            }
        }
    }

    fn end_literal(&mut self) {
        let (Some(number), Some(literal)) = (self.current, self.captured.take()) else { return };
        let text = match literal.as_slice() {
            b"true" | b"false" => Some(literal),
            literal => std::str::from_utf8(literal).ok().and_then(number_text),
        };
        if let Some(text) = text {
            self.found(number, text);
        }
    }

    fn found(&mut self, number: usize, text: Vec<u8>) {
        self.current = None;
        if text.len() > LONGEST_VALUE {
            return;
        }
        self.message.set_parameter(number, text);
        if self.message.found().contains(self.needed) {
            self.outcome = Some(Progress::Done);
        }
    }

    /// Keeps one byte more than allowed at the most, so that a longer value is seen to be too long.
    fn keep(&mut self, bytes: &[u8]) {
        if let Some(captured) = &mut self.captured
            && captured.len() <= LONGEST_VALUE
        {
            captured.extend_from_slice(bytes);
        }
    }

    fn step_escape(&mut self, byte: u8) {
        self.state = State::String;
        let plain = match byte {
            b'u' => {
                self.escape.unit = 0;
                self.state = State::Unicode { digits: 4 };
                return;
            }
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            other => other,
        };
        self.flush_surrogate();
        self.keep(&[plain]);
    }

    fn step_unicode(&mut self, byte: u8, digits: u8) {
        let Some(digit) = char::from(byte).to_digit(16) else {
            self.outcome = Some(Progress::Malformed("a \\u escape of the JSON is not four hex digits"));
            return;
        };
        self.escape.unit = self.escape.unit << 4 | digit;
        if digits > 1 {
            self.state = State::Unicode { digits: digits - 1 };
            return;
        }
        self.state = State::String;
        let unit = self.escape.unit;
        match (self.escape.high_surrogate.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => self.keep_char(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00)),
            (lone, 0xd800..=0xdbff) => {
                if lone.is_some() {
                    self.keep_char(0xfffd);
                }
                self.escape.high_surrogate = Some(unit);
            }
            (lone, unit) => {
                if lone.is_some() {
                    self.keep_char(0xfffd);
                }
                self.keep_char(unit);
            }
        }
    }

    fn flush_surrogate(&mut self) {
        if self.escape.high_surrogate.take().is_some() {
            self.keep_char(0xfffd);
        }
    }

    fn keep_char(&mut self, code: u32) {
        let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.keep(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
}
