//! What routing needs of a JSON body: of the Open Inference Protocol, parameters, id, inputs and
//! encoding; of OpenAI's, the model and the top level's other scalars.
//!
//! Both dialects of the Open Inference Protocol are read: bare parameters (`{"user_id": "u7"}`) and
//! protobuf's JSON (`{"user_id": {"stringParam": "u7"}}`). Where nothing of routing's can stand,
//! the reader follows strings and brackets only; the document is the upstream's to validate. With a
//! key that comes twice the later value counts, as in most JSON libraries, as far as the reader
//! reads; a strict reader refuses it.

mod keys;
mod place;
mod scan;
mod text;

use std::ops::Range;

use self::keys::Keys;
use self::place::{Place, Slot};
use self::text::Text;
use super::{LONGEST_NAME, MOST_NAMES, Plan, Progress, Wanted};
use crate::message::{Encoding, Input, LONGEST_VALUE, MOST_INPUTS, Message, Needs};
use crate::number::{is_json_number, number_text, whole_number};

/// Deeper documents are not read further: their tensors would have 100 dimensions.
const DEEPEST: u32 = 128;

/// What kind of document a body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Document {
    /// A request of the Open Inference Protocol, whose model stands in the path.
    Inference,
    /// A request of OpenAI's protocol: `model` and scalars at the top level.
    OpenAi,
}

/// Reads a JSON body.
#[derive(Debug)]
pub struct JsonReader {
    document: Document,
    plan: Plan,
    state: State,
    /// What may come next in a place that matters.
    next: Next,
    place: Place,
    /// Where a container is open of which nothing is read: how deep the reader was before it.
    dull_below: Option<u32>,
    /// What the value that comes next, or is being read, is for.
    slot: Slot,
    depth: u32,
    /// One bit a level, the lowest for the innermost: set for an object.
    objects: u128,
    /// The parameter whose own object is open, and whether that has told its value.
    typed: (usize, bool),
    keeps_input: bool,
    keys: Keys,
    text: Text,
    /// Bytes taken so far.
    offset: usize,
    value_start: usize,
    name: Option<Vec<u8>>,
    names_at: Vec<Range<usize>>,
    /// What routing needs, once that can be known.
    needed: Option<Needs>,
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

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    /// The document is over.
    Nothing,
}

// === impl JsonReader ===

impl JsonReader {
    /// A reader of a request whose model stands in the path: `needed` is what routing needs for it.
    pub fn inference(plan: Plan, needed: Needs) -> Self {
        Self::new(Document::Inference, plan, Some(needed))
    }

    /// A reader of OpenAI's requests, for a model that the body names.
    pub fn open_ai(mut plan: Plan) -> Self {
        // It has no tensors, which is known before anything is read.
        plan.known.mark_found(Needs::TENSORS);
        Self::new(Document::OpenAi, plan, None)
    }

    fn new(document: Document, mut plan: Plan, needed: Option<Needs>) -> Self {
        let message = std::mem::take(&mut plan.known);
        Self {
            document,
            plan,
            state: State::Between,
            next: Next::Value,
            place: Place::Start,
            dull_below: None,
            slot: Slot::Nothing,
            depth: 0,
            objects: 0,
            typed: (0, false),
            keeps_input: true,
            keys: Keys::default(),
            text: Text::default(),
            offset: 0,
            value_start: 0,
            name: None,
            names_at: Vec::new(),
            needed,
            message,
            outcome: None,
        }
    }

    /// Takes the next bytes of the body. Once it has said anything but [`Progress::More`] it takes no more.
    pub fn feed(&mut self, bytes: &[u8], wanted: &impl Wanted) -> Progress {
        let mut rest = bytes;
        while self.outcome.is_none() {
            let (plain, behind) = rest.split_at_checked(self.plain_bytes(rest)).unwrap_or((rest, &[]));
            self.text.keep(plain);
            self.offset += plain.len();
            let Some((&byte, behind)) = behind.split_first() else { break };
            self.step(byte, wanted);
            self.offset += 1;
            rest = behind;
        }
        self.outcome.unwrap_or(Progress::More)
    }

    /// What was found.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The model's name, if the body is to tell it.
    pub fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// Where the values that name the model stand in the body, quotes included, in order.
    pub fn name_values(&self) -> &[Range<usize>] {
        &self.names_at
    }

    /// Whether the document has come to its end.
    pub fn is_complete(&self) -> bool {
        self.place == Place::End
    }

    /// How many bytes from the start of `rest` do not change the state: the bulk of a body.
    fn plain_bytes(&self, rest: &[u8]) -> usize {
        match self.state {
            State::String => scan::plain_text(rest),
            State::Between if self.dull_below.is_some() => scan::unstructured(rest),
            _ => 0,
        }
    }

    fn step(&mut self, byte: u8, wanted: &impl Wanted) {
        match self.state {
            State::Between if self.dull_below.is_some() => self.step_dull(byte),
            State::Between => self.step_between(byte),
            State::String => match byte {
                b'"' => self.end_string(wanted),
                _ => self.state = State::Escape,
            },
            // Where nobody wants the text, an escape is a backslash and what it hides.
            State::Escape if byte == b'u' && self.text.is_wanted() => self.state = State::Unicode { digits: 4 },
            State::Escape => {
                self.text.keep_escaped(byte);
                self.state = State::String;
            }
            State::Unicode { digits } => {
                if !self.text.keep_hex(byte, digits == 4, digits == 1) {
                    return self.fail("a \\u escape of the JSON is not four hex digits");
                }
                self.state = if digits == 1 { State::String } else { State::Unicode { digits: digits - 1 } };
            }
            State::Literal => match byte {
                b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | b':' | b'"' | b'{' | b'[' => {
                    self.end_literal(wanted);
                    if self.outcome.is_none() {
                        self.step_between(byte);
                    }
                }
                other => self.text.keep(&[other]),
            },
        }
    }

    fn step_between(&mut self, byte: u8) {
        let takes_value = matches!(self.next, Next::Value | Next::ValueOrEnd);
        match (byte, self.next) {
            (b' ' | b'\n' | b'\r' | b'\t', _) => {}
            _ if self.place == Place::Start && byte != b'{' => self.fail("the body is not a JSON object"),
            (_, Next::Nothing) => self.fail("bytes stand behind the end of the JSON"),
            (b'"', Next::Key | Next::KeyOrEnd) => self.begin_text(State::String, true),
            (b'"', _) if takes_value => self.begin_text(State::String, self.wants_scalar()),
            (b'{' | b'[', _) if takes_value => self.open(byte == b'{'),
            (b'}', Next::KeyOrEnd | Next::CommaOrEnd) if self.in_object() => self.close(),
            (b']', Next::ValueOrEnd | Next::CommaOrEnd) if !self.in_object() => self.close(),
            (b',', Next::CommaOrEnd) => self.next = if self.in_object() { Next::Key } else { Next::Value },
            (b':', Next::Colon) => self.next = Next::Value,
            (b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z', _) if takes_value => {
                self.begin_text(State::Literal, true);
                self.text.keep(&[byte]);
            }
            _ => self.fail("the body is not JSON"),
        }
    }

    fn step_dull(&mut self, byte: u8) {
        match byte {
            b'"' => self.begin_text(State::String, false),
            b'{' | b'[' => self.deepen(byte == b'{'),
            b'}' | b']' => {
                if self.in_object() != (byte == b'}') {
                    return self.fail("a bracket of the JSON closes what was not opened");
                }
                self.depth -= 1;
                self.objects >>= 1;
                if self.dull_below == Some(self.depth) {
                    self.dull_below = None;
                    self.end_value();
                }
            }
            b'/' | b'\'' | b'#' => self.fail("the body is not JSON"),
            _ => {}
        }
    }

    fn begin_text(&mut self, state: State, is_wanted: bool) {
        self.state = state;
        self.value_start = self.offset;
        self.text.begin(is_wanted);
    }

    fn wants_scalar(&self) -> bool {
        !matches!(self.slot, Slot::Nothing) || self.place == Place::Shape
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn deepen(&mut self, is_object: bool) {
        if self.depth == DEEPEST {
            return self.fail("the JSON is nested deeper than 128 levels");
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
    }

    fn open(&mut self, is_object: bool) {
        match (self.place.opened(self.slot, is_object), self.slot) {
            (None, _) => self.dull_below = Some(self.depth),
            (Some(place), slot) => self.enter(place, slot),
        }
        self.slot = Slot::Nothing;
        self.next = if is_object { Next::KeyOrEnd } else { Next::ValueOrEnd };
        self.deepen(is_object);
    }

    fn enter(&mut self, place: Place, slot: Slot) {
        self.place = place;
        match (place, slot) {
            (Place::Parameters, _) => {
                self.message.forget_parameters();
                self.keys.begin_inner();
            }
            (Place::Typed, Slot::Parameter(number)) => self.typed = (number, false),
            (Place::Inputs, _) => self.begin_inputs(),
            (Place::Input, _) => self.begin_input(),
            (Place::Shape, _) => self.with_input(|input| input.shape.clear()),
            _ => {}
        }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
        let closed = self.place;
        self.place = closed.parent();
        self.end_value();
        match closed {
            Place::Inputs => self.found(Needs::INPUTS),
            Place::Top => {
                self.next = Next::Nothing;
                self.message.mark_found(Needs::TENSORS);
                if !self.plan.is_strict {
                    self.outcome = Some(Progress::Done);
                }
            }
            _ => {}
        }
    }

    fn end_value(&mut self) {
        self.slot = Slot::Nothing;
        self.next = Next::CommaOrEnd;
    }

    fn end_string(&mut self, wanted: &impl Wanted) {
        self.state = State::Between;
        if self.dull_below.is_some() {
            return;
        }
        let text = self.text.end();
        if matches!(self.next, Next::Key | Next::KeyOrEnd) {
            self.next = Next::Colon;
            self.end_key(&text, wanted);
        } else {
            self.end_scalar(Some(&text), true, wanted);
        }
        self.text.recycle(text);
    }

    fn end_literal(&mut self, wanted: &impl Wanted) {
        self.state = State::Between;
        let literal = self.text.end();
        let is_word = matches!(literal.as_slice(), b"true" | b"false");
        if self.plan.is_strict && !is_word && literal != b"null" && !is_json_number(&literal) {
            return self.fail("the body is not JSON");
        }
        let number = if is_word { None } else { number_text(&literal) };
        self.end_scalar(number.as_deref().or(is_word.then_some(&literal)), false, wanted);
        self.text.recycle(literal);
    }

    fn end_key(&mut self, key: &[u8], wanted: &impl Wanted) {
        if self.plan.is_strict {
            if key.len() > LONGEST_VALUE {
                return self.fail("a key of the JSON is longer than 1024 bytes");
            }
            // A parameter's own object may have one value only, which is looked at there.
            if self.place != Place::Typed
                && let Err(fault) = self.keys.add(key, self.place == Place::Top)
            {
                return self.fail(fault);
            }
        }
        self.slot = self.slot_of(key, wanted);
        match self.slot {
            Slot::Parameter(number) if self.place != Place::Typed => self.message.forget_parameter(number),
            Slot::Name => {
                self.name = None;
                self.needed = None;
            }
            Slot::Encoding(encoding) => self.found_encoding(encoding),
            _ => {}
        }
    }

    fn slot_of(&self, key: &[u8], wanted: &impl Wanted) -> Slot {
        let parameter = || wanted.parameter(key).map_or(Slot::Nothing, Slot::Parameter);
        match (self.place, self.document) {
            (Place::Top, Document::Inference) => Slot::of_request(key, self.reads_inputs()),
            (Place::Top, Document::OpenAi) if key == b"model" => Slot::Name,
            (Place::Top, Document::OpenAi) | (Place::Parameters, _) => parameter(),
            (Place::Typed, _) => Slot::of_typed(key, self.typed.0),
            (Place::Input, _) => Slot::of_input(key),
            _ => Slot::Nothing,
        }
    }

    fn reads_inputs(&self) -> bool {
        let inputs = |needed: Needs| needed.intersects(Needs::INPUTS) || needed.intersects(Needs::ENCODING);
        self.plan.is_strict || self.needed.is_some_and(inputs)
    }

    /// A value that is no object and no array; `None` where it is `null` or nothing that JSON knows.
    fn end_scalar(&mut self, text: Option<&[u8]>, is_string: bool, wanted: &impl Wanted) {
        let slot = self.slot;
        if self.place == Place::Shape {
            let dimension = text.and_then(whole_number).unwrap_or(-1);
            self.with_input(|input| input.push_dimension(dimension));
        }
        self.end_value();
        let Some(text) = text else { return };
        if slot == Slot::Name && is_string {
            return self.found_name(text, wanted);
        }
        if text.len() > LONGEST_VALUE {
            if self.plan.is_strict && slot != Slot::Nothing {
                self.fail("a value that routing looks at is longer than 1024 bytes");
            }
            return;
        }
        match slot {
            Slot::Parameter(number) => self.found_parameter(number, text),
            Slot::Id => {
                self.message.id = Some(text.to_vec());
                self.found(Needs::ID);
            }
            Slot::InputName => self.with_input(|input| input.name = text.to_vec()),
            Slot::InputDatatype => self.with_input(|input| input.datatype = text.to_vec()),
            _ => {}
        }
    }

    fn found_name(&mut self, name: &[u8], wanted: &impl Wanted) {
        if name.len() > LONGEST_NAME {
            return self.fail("the model's name is longer than 1024 bytes");
        }
        if self.names_at.len() == MOST_NAMES {
            return self.fail("the model's name is repeated too often");
        }
        self.name = Some(name.to_vec());
        self.names_at.push(self.value_start..self.offset + 1);
        self.needed = Some(wanted.needed(name, None));
        self.stop_if_enough();
    }

    fn found_parameter(&mut self, number: usize, text: &[u8]) {
        if self.place == Place::Typed {
            if self.typed.1 && self.plan.is_strict {
                return self.fail("a parameter of the JSON has two values");
            }
            self.typed.1 = true;
        }
        self.message.set_parameter(number, text.to_vec());
        self.stop_if_enough();
    }

    fn begin_inputs(&mut self) {
        self.message.inputs.clear();
        if matches!(self.message.encoding, Some(Encoding::Json | Encoding::Contents)) {
            self.message.encoding = None;
        }
    }

    fn begin_input(&mut self) {
        self.keys.begin_inner();
        self.keeps_input = self.message.inputs.len() < MOST_INPUTS;
        if self.keeps_input {
            self.message.inputs.push(Input::default());
        } else {
            self.found(Needs::INPUTS);
        }
    }

    /// The input that is open, unless there are too many.
    fn with_input(&mut self, change: impl FnOnce(&mut Input)) {
        if let Some(input) = self.message.inputs.last_mut().filter(|_| self.keeps_input) {
            change(input);
        }
    }

    fn found_encoding(&mut self, encoding: Encoding) {
        self.message.encoding.get_or_insert(encoding);
        self.found(Needs::ENCODING);
    }

    fn found(&mut self, found: Needs) {
        self.message.mark_found(found);
        self.stop_if_enough();
    }

    fn stop_if_enough(&mut self) {
        let is_short = self.plan.length.is_none_or(|length| length <= self.plan.whole_up_to);
        let reads_on = self.plan.is_strict || (self.document == Document::OpenAi && is_short);
        if !reads_on && self.needed.is_some_and(|needed| self.message.found().contains(needed)) {
            self.outcome = Some(Progress::Done);
        }
    }

    fn fail(&mut self, fault: &'static str) {
        self.outcome = Some(Progress::Malformed(fault));
    }
}
