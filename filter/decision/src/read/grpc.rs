//! Model, version and parameters from the first message of a gRPC stream.
//!
//! Wire format: <https://protobuf.dev/programming-guides/encoding/>, framing:
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>. Fields of the v2 requests:
//! 1 is the model's name and 2 its version in all of them, 4 is `ModelInferRequest.parameters`.
//!
//! Serialisers write fields in ascending order, but any order is legal, and the last of a repeated
//! field counts. A message that fits into the limit is read to its end, so whatever its order, the
//! reader and the upstream agree. A longer one is read to the first field that is neither name nor
//! version once there is a name: by then a serialiser has written the version if there is one.
//! While it has no name, or misses a parameter that routing needs, the reader reads on. Tensors are
//! skipped by their length.

use std::ops::Range;

use super::Progress;
use crate::message::{LONGEST_VALUE, Message, Needs};
use crate::number::double_text;

/// The frame's prefix: a compression flag and four bytes of length.
pub(crate) const FRAME_PREFIX: usize = 5;

/// Longest name or version.
const LONGEST_NAME: usize = 1024;

/// How often name and version may come together. Serialisers write each once; what routing needs is
/// asked anew behind each.
const MOST_NAMES: usize = 8;

/// Longest `parameters` entry that is looked into.
const LONGEST_ENTRY: usize = LONGEST_VALUE + 256;

/// Field numbers.
const NAME: u64 = 1;
const VERSION: u64 = 2;
const PARAMETERS: u64 = 4;

/// Reads model, version and parameters from a gRPC body.
#[derive(Debug, Default)]
pub struct GrpcReader {
    /// A body that is no longer is read to its end.
    whole_up_to: usize,
    state: State,
    /// Body bytes taken so far.
    offset: usize,
    /// Where the message ends, counted from the body's start.
    message_end: usize,
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
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Frame,
    Tag,
    Length {
        field: u64,
    },
    SkipVarint,
    Skip {
        remaining: usize,
    },
    Capture {
        field: u64,
        remaining: usize,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Varint {
    value: u64,
    bytes: u32,
}

/// What a reader is asked for.
pub trait Wanted {
    /// The number of the parameter of this name, if routing looks at it at all.
    fn parameter(&self, name: &[u8]) -> Option<usize>;

    /// The parameters that routing needs for this model.
    fn needed(&self, name: &[u8], version: Option<&[u8]>) -> Needs;
}

// === impl GrpcReader ===

impl GrpcReader {
    /// A reader of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { whole_up_to: limit, ..Self::default() }
    }

    /// Takes the next bytes of the body. Once it has said anything but [`Progress::More`] it takes no more.
    pub fn feed(&mut self, bytes: &[u8], wanted: &impl Wanted) -> Progress {
        let mut rest = bytes;
        while self.outcome.is_none() {
            if self.offset >= self.message_end && !matches!(self.state, State::Frame) {
                self.outcome = Some(match self.at_message_end() {
                    true => Progress::Done,
                    false => Progress::Malformed("the message ends inside a field"),
                });
                break;
            }
            let Some((&byte, _)) = rest.split_first() else { break };
            let taken = self.step(byte, rest, wanted);
            self.offset += taken;
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.outcome.unwrap_or(Progress::More)
    }

    /// The model's name. An absent field is the empty name, as protobuf has it.
    pub fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// The version, unless absent or empty.
    pub fn version(&self) -> Option<&[u8]> {
        self.version.as_deref().filter(|version| !version.is_empty())
    }

    /// The parameters found.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Body bytes read: a rewrite replaces no more than these.
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

    fn at_message_end(&self) -> bool {
        matches!(self.state, State::Tag) && self.varint.bytes == 0 && self.offset == self.message_end
    }

    /// Takes at least one byte of `rest`, whose first is `byte`; gives how many, or 0 with an outcome.
    fn step(&mut self, byte: u8, rest: &[u8], wanted: &impl Wanted) -> usize {
        match self.state {
            State::Frame => self.step_frame(byte),
            State::Tag => {
                if self.varint.bytes == 0 {
                    self.field_start = self.offset;
                }
                match self.varint.push(byte) {
                    Ok(Some(tag)) => return self.begin_field(tag, wanted),
                    Ok(None) => {}
                    Err(fault) => self.fail(fault),
                }
            }
            State::Length { field } => match self.varint.push(byte) {
                Ok(Some(length)) => self.begin_payload(field, length, wanted),
                Ok(None) => {}
                Err(fault) => self.fail(fault),
            },
            State::SkipVarint => match self.varint.push(byte) {
                Ok(Some(_)) => self.state = State::Tag,
                Ok(None) => {}
                Err(fault) => self.fail(fault),
            },
            State::Skip { remaining } => {
                let taken = remaining.min(rest.len());
                self.state = match remaining - taken {
                    0 => State::Tag,
                    remaining => State::Skip { remaining },
                };
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

    fn step_frame(&mut self, byte: u8) {
        if let Some(slot) = self.frame.get_mut(self.offset) {
            *slot = byte;
        }
        if self.offset + 1 < FRAME_PREFIX {
            return;
        }
        let [flag, length @ ..] = self.frame;
        if flag != 0 {
            return self.fail("the message is compressed");
        }
        self.message_end = FRAME_PREFIX.saturating_add(u32::from_be_bytes(length) as usize);
        self.state = State::Tag;
    }

    /// Gives how many bytes of the tag are taken: none if the reader stops before it.
    fn begin_field(&mut self, tag: u64, wanted: &impl Wanted) -> usize {
        let (field, wire_type) = (tag >> 3, tag & 7);
        if field == 0 {
            self.fail("a field has the number 0");
            return 0;
        }
        let may_stop = field != NAME && field != VERSION && self.message_end > self.whole_up_to;
        if may_stop && self.has_what_is_needed(wanted) {
            // The tag's bytes belong to what is left alone.
            self.offset = self.field_start;
            self.outcome = Some(Progress::Done);
            return 0;
        }
        let is_text = matches!(field, NAME | VERSION | PARAMETERS);
        match wire_type {
            2 => self.state = State::Length { field },
            _ if is_text => self.fail("a name, version or parameters field is not length-delimited"),
            0 => self.state = State::SkipVarint,
            1 => self.skip(8),
            5 => self.skip(4),
            _ => self.fail("a field has a wire type that proto3 does not use"),
        }
        usize::from(self.outcome.is_none())
    }

    fn skip(&mut self, length: usize) {
        // The tag's last byte is not counted in the offset yet.
        if length > self.message_end.saturating_sub(self.offset + 1) {
            return self.fail("a field is longer than its message");
        }
        self.state = State::Skip { remaining: length };
    }

    fn begin_payload(&mut self, field: u64, length: u64, wanted: &impl Wanted) {
        let left = self.message_end.saturating_sub(self.offset + 1);
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= left) else {
            return self.fail("a field is longer than its message");
        };
        let longest = match field {
            NAME | VERSION => LONGEST_NAME,
            PARAMETERS => LONGEST_ENTRY,
            _ => 0,
        };
        self.captured.clear();
        if length == 0 {
            return self.end_capture(field, self.offset + 1, wanted);
        }
        if length <= longest {
            self.state = State::Capture { field, remaining: length };
        } else if field == PARAMETERS || longest == 0 {
            self.state = State::Skip { remaining: length };
        } else {
            self.fail("the model's name or version is longer than 1024 bytes");
        }
    }

    fn end_capture(&mut self, field: u64, end: usize, wanted: &impl Wanted) {
        self.state = State::Tag;
        match field {
            NAME => self.name = Some(std::mem::take(&mut self.captured)),
            VERSION => self.version = Some(std::mem::take(&mut self.captured)),
            PARAMETERS => return self.keep_parameter(wanted),
            _ => return,
        }
        if self.names_at.len() == MOST_NAMES {
            return self.fail("the model's name or version is repeated too often");
        }
        self.names_at.push(self.field_start..end);
        self.needed = None;
    }

    fn keep_parameter(&mut self, wanted: &impl Wanted) {
        let Some((name, value)) = map_entry(&self.captured) else { return };
        let Some(number) = wanted.parameter(name) else { return };
        if let Some(text) = parameter_text(value) {
            self.message.set_parameter(number, text);
        }
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

// === impl Varint ===

impl Varint {
    /// The value when this was its last byte.
    fn push(&mut self, byte: u8) -> Result<Option<u64>, &'static str> {
        let shift = self.bytes * 7;
        let part = u64::from(byte & 0x7f);
        if shift > 63 || (shift == 63 && part > 1) {
            return Err("a varint is longer than 64 bits");
        }
        self.value |= part << shift;
        self.bytes += 1;
        if byte & 0x80 != 0 {
            return Ok(None);
        }
        let value = self.value;
        *self = Self::default();
        Ok(Some(value))
    }
}

/// One field of a message that is whole in memory.
enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32,
}

/// Takes the next field off the front; `None` at the end or where it is malformed.
fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let tag = next_varint(rest)?;
    let field = match tag & 7 {
        0 => Field::Varint(next_varint(rest)?),
        1 => Field::Fixed64(take(rest, 8)?.try_into().ok()?),
        2 => {
            let length = usize::try_from(next_varint(rest)?).ok()?;
            Field::Bytes(take(rest, length)?)
        }
        5 => {
            take(rest, 4)?;
            Field::Fixed32
        }
        _ => return None,
    };
    Some((tag >> 3, field))
}

fn next_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut varint = Varint::default();
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        if let Some(value) = varint.push(byte).ok()? {
            return Some(value);
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Name and value of a `map<string, InferParameter>` entry.
fn map_entry(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut name, mut value) = (&b""[..], &b""[..]);
    let mut rest = entry;
    while !rest.is_empty() {
        match next_field(&mut rest)? {
            (1, Field::Bytes(bytes)) => name = bytes,
            (2, Field::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Some((name, value))
}

/// An `InferParameter` as text: bool 1, int64 2, string 3, double 4, uint64 5.
fn parameter_text(message: &[u8]) -> Option<Vec<u8>> {
    let mut text = None;
    let mut rest = message;
    while !rest.is_empty() {
        match next_field(&mut rest)? {
            (1, Field::Varint(value)) => text = Some(if value == 0 { b"false".to_vec() } else { b"true".to_vec() }),
            (2, Field::Varint(value)) => text = Some((value as i64).to_string().into_bytes()),
            (3, Field::Bytes(bytes)) => text = Some(bytes.to_vec()),
            (4, Field::Fixed64(bytes)) => text = Some(double_text(f64::from_le_bytes(bytes))),
            (5, Field::Varint(value)) => text = Some(value.to_string().into_bytes()),
            _ => {}
        }
    }
    text.filter(|text| text.len() <= LONGEST_VALUE)
}
