//! Model, version and what else routing needs from the first message of a gRPC stream.
//!
//! Wire format: <https://protobuf.dev/programming-guides/encoding/>, framing:
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>. Fields of the v2 requests:
//! 1 is the model's name and 2 its version in all of them; 3 to 7 are `ModelInferRequest`'s.
//!
//! Serialisers write fields in ascending order, but any order is legal, and the last of a repeated
//! field counts. A message that fits into the limit is read to its end, so whatever its order, the
//! reader and the upstream agree. A longer one is read to the first field that is neither name nor
//! version once there is a name and what routing needs: by then a serialiser has written the version
//! if there is one, and behind a later field the id and the inputs too. A strict reader reads on,
//! and refuses what comes twice. Tensors are skipped by their length.

mod field;
mod wire;

use std::ops::Range;

use self::field::Field;
pub(crate) use self::wire::Varint;
use self::wire::{map_entry, next_varint, parameter_text};
use super::{LONGEST_NAME, MOST_NAMES, Plan, Progress, Wanted};
use crate::message::{Encoding, Input, LONGEST_VALUE, MOST_DIMENSIONS, MOST_INPUTS, Message, Needs};

/// The frame's prefix: a compression flag and four bytes of length.
pub(crate) const FRAME_PREFIX: usize = 5;

/// Longest `parameters` entry that is looked into.
const LONGEST_ENTRY: usize = LONGEST_VALUE + 256;

/// Longest list of dimensions that is looked into: so many varints at their longest.
const LONGEST_SHAPE: usize = MOST_DIMENSIONS * 10;

/// Reads a gRPC body.
#[derive(Debug)]
pub struct GrpcReader {
    plan: Plan,
    state: State,
    /// Body bytes taken so far.
    offset: usize,
    /// Where the message ends, counted from the body's start.
    message_end: usize,
    /// Where the input ends that the reader is in.
    input_end: Option<usize>,
    keeps_input: bool,
    field_start: usize,
    varint: Varint,
    captured: Vec<u8>,
    frame: [u8; FRAME_PREFIX],
    name: Option<Vec<u8>>,
    version: Option<Vec<u8>>,
    names_at: Vec<Range<usize>>,
    message: Message,
    /// What routing needs, known once the name is; asked again when the name changes.
    needed: Option<Needs>,
    outcome: Option<Progress>,
}

/// Where in the message the next byte stands.
#[derive(Clone, Copy, Debug)]
enum State {
    Frame,
    Tag,
    Length { field: Field },
    Varint { field: Field },
    Skip { remaining: usize },
    Capture { field: Field, remaining: usize },
}

// === impl GrpcReader ===

impl GrpcReader {
    /// A reader of the first message.
    pub fn new(mut plan: Plan) -> Self {
        let message = std::mem::take(&mut plan.known);
        Self {
            plan,
            state: State::Frame,
            offset: 0,
            message_end: 0,
            input_end: None,
            keeps_input: true,
            field_start: 0,
            varint: Varint::default(),
            captured: Vec::new(),
            frame: [0; FRAME_PREFIX],
            name: None,
            version: None,
            names_at: Vec::new(),
            message,
            needed: None,
            outcome: None,
        }
    }

    /// Takes the next bytes of the body. Once it has said anything but [`Progress::More`] it takes no more.
    pub fn feed(&mut self, bytes: &[u8], wanted: &impl Wanted) -> Progress {
        let mut rest = bytes;
        while self.outcome.is_none() {
            let is_framed = !matches!(self.state, State::Frame);
            if is_framed && self.offset >= self.end() {
                self.leave();
                continue;
            }
            let Some((&byte, _)) = rest.split_first() else { break };
            let taken = self.step(byte, rest, wanted);
            self.offset += taken;
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.outcome.unwrap_or(Progress::More)
    }

    /// Passes over as many of the next bytes as do not matter, without being shown them; gives how many.
    pub fn pass(&mut self, at_hand: usize) -> usize {
        let State::Skip { remaining } = self.state else { return 0 };
        let taken = remaining.min(at_hand);
        self.pass_over(remaining, taken);
        self.offset += taken;
        taken
    }

    /// The model's name. An absent field is the empty name, as protobuf has it.
    pub fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// The version, unless absent or empty.
    pub fn version(&self) -> Option<&[u8]> {
        self.version.as_deref().filter(|version| !version.is_empty())
    }

    /// What was found.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Body bytes read.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Where the name and version fields stand in the body, tags and lengths included, in order.
    pub fn name_fields(&self) -> &[Range<usize>] {
        &self.names_at
    }

    /// The message's length as the frame says it; `None` before the frame's prefix was read.
    pub fn message_length(&self) -> Option<u32> {
        let [_, length @ ..] = self.frame;
        (self.offset >= FRAME_PREFIX).then(|| u32::from_be_bytes(length))
    }

    /// Where the message ends, or the input that the reader is in.
    fn end(&self) -> usize {
        self.input_end.unwrap_or(self.message_end)
    }

    /// At the end of the message, or of the input that the reader is in.
    fn leave(&mut self) {
        if !matches!(self.state, State::Tag) || self.varint.has_begun() || self.offset != self.end() {
            self.fail("the message ends inside a field");
        } else if self.input_end.take().is_none() {
            self.message.mark_found(Needs::TENSORS);
            self.outcome = Some(Progress::Done);
        }
    }

    /// Takes at least one byte of `rest`, whose first is `byte`; gives how many, or 0 with an outcome.
    fn step(&mut self, byte: u8, rest: &[u8], wanted: &impl Wanted) -> usize {
        match self.state {
            State::Frame => return self.step_frame(rest),
            State::Tag => {
                if !self.varint.has_begun() {
                    self.field_start = self.offset;
                }
                if let Some(tag) = self.push_varint(byte) {
                    return self.begin_field(tag, wanted);
                }
            }
            State::Length { field } => {
                if let Some(length) = self.push_varint(byte) {
                    self.begin_payload(field, length, wanted);
                }
            }
            State::Varint { field } => {
                if let Some(value) = self.push_varint(byte) {
                    self.state = State::Tag;
                    if field == Field::InputShape {
                        self.with_input(|input| input.push_dimension(value as i64));
                    }
                }
            }
            State::Skip { remaining } => {
                let taken = remaining.min(rest.len());
                self.pass_over(remaining, taken);
                return taken;
            }
            State::Capture { field, remaining } => {
                let taken = remaining.min(rest.len());
                self.captured.extend_from_slice(rest.get(..taken).unwrap_or_default());
                match remaining - taken {
                    0 => self.end_capture(field, self.offset + taken, wanted),
                    remaining => self.state = State::Capture { field, remaining },
                }
                return taken;
            }
        }
        usize::from(self.outcome.is_none())
    }

    fn pass_over(&mut self, remaining: usize, taken: usize) {
        self.state = match remaining - taken {
            0 => State::Tag,
            remaining => State::Skip { remaining },
        };
    }

    fn push_varint(&mut self, byte: u8) -> Option<u64> {
        if byte < 0x80 && !self.varint.has_begun() {
            return Some(u64::from(byte));
        }
        self.varint.push(byte).unwrap_or_else(|fault| {
            self.fail(fault);
            None
        })
    }

    /// Gives how many bytes it takes.
    fn step_frame(&mut self, rest: &[u8]) -> usize {
        let left = self.frame.get_mut(self.offset..).unwrap_or_default();
        let taken = left.len().min(rest.len());
        left.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
        if self.offset + taken < FRAME_PREFIX {
            return taken;
        }
        let [flag, length @ ..] = self.frame;
        if flag != 0 {
            self.outcome = Some(Progress::Compressed);
            // The byte that led to it is not taken.
            return taken.saturating_sub(1);
        }
        self.message_end = FRAME_PREFIX.saturating_add(u32::from_be_bytes(length) as usize);
        self.state = State::Tag;
        taken
    }

    /// Gives how many bytes of the tag are taken: none if the reader stops before it.
    fn begin_field(&mut self, tag: u64, wanted: &impl Wanted) -> usize {
        if tag > u64::from(u32::MAX) {
            // Some readers drop the bits behind 32, and then it is another field.
            self.fail("a tag is longer than 32 bits");
            return 0;
        }
        let (number, wire_type) = (tag >> 3, tag & 7);
        if number == 0 {
            self.fail("a field has the number 0");
            return 0;
        }
        let is_in_input = self.input_end.is_some();
        let field = Field::of(number, is_in_input);
        if !is_in_input {
            self.pass_by(number);
        }
        if field == Field::InputContents {
            self.found_encoding(Encoding::Contents);
        }
        let may_stop = !matches!(field, Field::Name | Field::Version) && !self.reads_whole();
        if may_stop && self.has_what_is_needed(wanted) {
            // The tag's bytes belong to what is left alone.
            self.offset = self.field_start;
            self.outcome = Some(Progress::Done);
            return 0;
        }
        match (wire_type, field) {
            (2, _) => self.state = State::Length { field },
            (0, Field::Other | Field::InputShape) => self.state = State::Varint { field },
            (1, Field::Other) => self.skip(8),
            (5, Field::Other) => self.skip(4),
            (_, Field::Other) => self.fail("a field has a wire type that proto3 does not use"),
            _ => self.fail("a text or a message among the fields is not length-delimited"),
        }
        usize::from(self.outcome.is_none())
    }

    /// Behind a field of this number a serialiser writes none of a lower one.
    fn pass_by(&mut self, number: u64) {
        if number > 3 {
            self.message.mark_found(Needs::ID);
        }
        if number > 5 {
            self.message.mark_found(Needs::INPUTS);
        }
        if number == 7 {
            self.found_encoding(Encoding::Raw);
        }
        if number > 7 {
            self.message.mark_found(Needs::ENCODING);
        }
    }

    fn found_encoding(&mut self, encoding: Encoding) {
        self.message.encoding.get_or_insert(encoding);
        self.message.mark_found(Needs::ENCODING);
    }

    fn skip(&mut self, length: usize) {
        // The last byte of the tag or of the length is not counted in the offset yet.
        if length > self.end().saturating_sub(self.offset + 1) {
            return self.fail("a field is longer than its message");
        }
        self.state = if length == 0 { State::Tag } else { State::Skip { remaining: length } };
    }

    fn begin_payload(&mut self, field: Field, length: u64, wanted: &impl Wanted) {
        let start = self.offset + 1;
        let left = self.end().saturating_sub(start);
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= left) else {
            return self.fail("a field is longer than its message");
        };
        let longest = match field {
            Field::Name | Field::Version => LONGEST_NAME,
            Field::Id | Field::InputName | Field::InputDatatype => LONGEST_VALUE,
            Field::Parameter => LONGEST_ENTRY,
            Field::InputShape => LONGEST_SHAPE,
            Field::Input => return self.begin_input(start + length),
            Field::InputContents if start + length == self.message_end => {
                // Nothing stands behind the last input's elements.
                self.message.mark_found(Needs::INPUTS);
                return self.skip(length);
            }
            Field::InputContents | Field::Raw | Field::Other => return self.skip(length),
        };
        if length > longest {
            match field {
                Field::Name | Field::Version => self.fail("the model's name or version is longer than 1024 bytes"),
                _ if self.plan.is_strict => self.fail("a value that routing looks at is longer than 1024 bytes"),
                _ => self.skip(length),
            }
            return;
        }
        let is_of_input = matches!(field, Field::InputName | Field::InputDatatype | Field::InputShape);
        if is_of_input && !self.keeps_input {
            return self.skip(length);
        }
        self.captured.clear();
        match length {
            0 => self.end_capture(field, start, wanted),
            remaining => self.state = State::Capture { field, remaining },
        }
    }

    fn begin_input(&mut self, end: usize) {
        self.state = State::Tag;
        self.input_end = Some(end);
        self.keeps_input = !self.plan.leaves_inputs && self.message.inputs.len() < MOST_INPUTS;
        if self.keeps_input {
            self.message.inputs.push(Input::default());
        } else {
            self.message.mark_found(Needs::INPUTS);
        }
    }

    /// The input that is open, unless there are too many.
    fn with_input(&mut self, change: impl FnOnce(&mut Input)) {
        if let Some(input) = self.message.inputs.last_mut().filter(|_| self.keeps_input) {
            change(input);
        }
    }

    fn end_capture(&mut self, field: Field, end: usize, wanted: &impl Wanted) {
        self.state = State::Tag;
        let captured = std::mem::take(&mut self.captured);
        match field {
            Field::Name | Field::Version => return self.end_name(field, captured, end),
            Field::Id => {
                if self.plan.is_strict && self.message.id.is_some() {
                    return self.fail("the message's id comes twice");
                }
                self.message.id = Some(captured);
                self.message.mark_found(Needs::ID);
                return;
            }
            Field::Parameter => self.keep_parameter(&captured, wanted),
            Field::InputName => self.with_input(|input| input.name.clone_from(&captured)),
            Field::InputDatatype => self.with_input(|input| input.datatype.clone_from(&captured)),
            Field::InputShape => self.keep_shape(&captured),
            _ => {}
        }
        self.captured = captured;
    }

    fn end_name(&mut self, field: Field, value: Vec<u8>, end: usize) {
        let slot = if field == Field::Name { &mut self.name } else { &mut self.version };
        let is_repeated = slot.replace(value).is_some();
        if is_repeated && self.plan.is_strict {
            return self.fail("the model's name or version comes twice");
        }
        if self.names_at.len() == MOST_NAMES {
            return self.fail("the model's name or version is repeated too often");
        }
        self.names_at.push(self.field_start..end);
        self.needed = None;
    }

    fn keep_parameter(&mut self, entry: &[u8], wanted: &impl Wanted) {
        let Some((name, value)) = map_entry(entry) else { return };
        let Some(number) = wanted.parameter(name) else { return };
        if self.plan.is_strict && self.message.found().contains(Needs::parameter(number)) {
            return self.fail("a parameter that routing looks at comes twice");
        }
        match parameter_text(value) {
            Some(text) => self.message.set_parameter(number, text),
            None => self.message.forget_parameter(number),
        }
    }

    fn keep_shape(&mut self, packed: &[u8]) {
        let mut rest = packed;
        while let Some(dimension) = next_varint(&mut rest) {
            self.with_input(|input| input.push_dimension(dimension as i64));
        }
    }

    fn reads_whole(&self) -> bool {
        self.plan.is_strict || self.message_end <= self.plan.whole_up_to
    }

    fn has_what_is_needed(&mut self, wanted: &impl Wanted) -> bool {
        let Some(name) = &self.name else { return false };
        let version = self.version.as_deref().filter(|version| !version.is_empty());
        let needed = *self.needed.get_or_insert_with(|| wanted.needed(name, version));
        self.message.found().contains(needed)
    }

    fn fail(&mut self, fault: &'static str) {
        self.outcome = Some(Progress::Malformed(fault));
    }
}
