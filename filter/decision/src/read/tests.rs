//! The readers against whole-document readers (serde_json, prost), with bodies cut anywhere.

mod grpc;
mod json;
mod openai;
mod strict;

use super::*;

const NAMES: [&str; 3] = ["user_id", "region", "é\"\n"];

fn number_of(name: &[u8]) -> Option<usize> {
    NAMES.iter().position(|known| known.as_bytes() == name)
}

fn all() -> Needs {
    let mut set = Needs::default();
    (0..NAMES.len()).for_each(|number| set.insert(number));
    set
}

/// Never satisfied, so that the reader reads to the end.
fn endless() -> Needs {
    let mut set = Needs::default();
    set.insert(59);
    set
}

struct AllWanted(Needs);

impl Wanted for AllWanted {
    fn parameter(&self, name: &[u8]) -> Option<usize> {
        number_of(name)
    }

    fn needed(&self, _: &[u8], _: Option<&[u8]>) -> Needs {
        self.0
    }
}

/// The pieces of `body` when it is cut at these places.
fn pieces<'a>(body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

/// Everything that a body can tell, and more.
fn everything() -> Needs {
    let mut set = endless();
    set.insert_all(Needs::TENSORS);
    set.insert_all(all());
    set
}

fn fast() -> Plan {
    Plan::default()
}

fn strict() -> Plan {
    Plan { is_strict: true, ..Plan::default() }
}

fn fed_json(mut reader: JsonReader, body: &[u8], cuts: &[usize]) -> (Progress, JsonReader) {
    let mut progress = Progress::More;
    for piece in pieces(body, cuts) {
        progress = reader.feed(piece, &AllWanted(Needs::default()));
    }
    (progress, reader)
}

fn read_json(body: &[u8], cuts: &[usize], needed: Needs) -> (Progress, Message) {
    let (progress, reader) = fed_json(JsonReader::inference(fast(), needed), body, cuts);
    (progress, reader.message().clone())
}

/// Every message is longer than the limit, so that the reader stops as early as it can.
fn read_grpc(body: &[u8], cuts: &[usize], needed: Needs) -> (Progress, GrpcReader) {
    read_grpc_up_to(0, body, cuts, needed)
}

fn read_grpc_up_to(limit: usize, body: &[u8], cuts: &[usize], needed: Needs) -> (Progress, GrpcReader) {
    let mut reader = GrpcReader::new(Plan { whole_up_to: limit, ..Plan::default() });
    let mut progress = Progress::More;
    for piece in pieces(body, cuts) {
        progress = reader.feed(piece, &AllWanted(needed));
    }
    (progress, reader)
}
