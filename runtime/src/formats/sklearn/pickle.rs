//! Pickles as data: Python's stack machine, protocols 2 to 5, that makes values and runs nothing.
//!
//! A pickle is a program. This machine knows the instructions that build values; where a pickle calls a
//! function, only the few that NumPy, joblib and scikit-learn need to say "this array", "this dtype" are
//! understood, see [`reduce`], and anything else is refused by name. No class is looked up, no code is run.
//!
//! Bounds hold whatever the file says: a length is checked against the bytes that are left before anything
//! is allocated, the machine keeps no stack of its own calls, and steps, values and stack are limited.

mod literal;
mod opcode;
mod reader;
mod reduce;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub(super) use reader::Reader;

use super::joblib;
use super::value::{Global, Heap, Id, Object, Value};
use crate::formats::LoadError;

/// A model takes thousands of steps, one with a large vocabulary some millions.
const MAX_STEPS: u32 = 32_000_000;
/// Python's pickler keeps at most some thousands.
const MAX_STACK: usize = 2_000_000;
/// Marks stand on each other only where containers are nested; Python gives up at about a thousand.
const MAX_MARKS: usize = 65_536;
const MAX_MEMO: usize = 4_000_000;

/// Reads the pickle that these bytes begin with: all values, and which of them is the result.
pub(super) fn load(bytes: &[u8]) -> Result<(Heap<'_>, Id), LoadError> {
    let mut session = Session { reader: Reader::new(bytes), heap: Heap::default(), steps: 0 };
    let root = session.run(Arrays::FollowTheirWrapper)?;
    Ok((session.heap, root))
}

/// Where the bytes of arrays stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arrays {
    /// joblib: between the instructions, right behind the object that announces them.
    FollowTheirWrapper,
    /// Python's own pickler, also where joblib calls it: within the instructions.
    AreValues,
}

/// What a pickle and the pickles within it share.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) heap: Heap<'a>,
    steps: u32,
}

/// One run of the machine, from the first instruction to STOP.
struct Machine<'s, 'a> {
    session: &'s mut Session<'a>,
    arrays: Arrays,
    stack: Vec<Id>,
    /// Lengths that the stack had when MARK was read.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

// === impl Session ===

impl<'a> Session<'a> {
    /// Reads one pickle from where the reader stands to its STOP; gives its result.
    pub(super) fn run(&mut self, arrays: Arrays) -> Result<Id, LoadError> {
        let start = self.reader.position();
        let head = self.reader.take(2).unwrap_or_default();
        if !matches!(head, [opcode::PROTO, 2..=5]) {
            return Err(LoadError::Malformed(format!(
                "no pickle of protocol 2 to 5 at byte {start}: starts with {head:02x?}; \
                 save the model with joblib.dump, or with pickle.dump and protocol=4"
            )));
        }
        let mut machine = Machine { session: self, arrays, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        loop {
            let at = machine.session.reader.position();
            let code = machine.session.reader.byte()?;
            machine.session.steps += 1;
            if machine.session.steps > MAX_STEPS {
                return Err(LoadError::Malformed(format!("the pickle has more than {MAX_STEPS} instructions")));
            }
            if code == opcode::STOP {
                return machine.pop();
            }
            machine.step(code).map_err(|error| match error {
                LoadError::Malformed(text) if !text.contains("byte ") => {
                    LoadError::Malformed(format!("{text} (at byte {at})"))
                }
                other => other,
            })?;
        }
    }
}

// === impl Machine ===

impl<'a> Machine<'_, 'a> {
    fn step(&mut self, code: u8) -> Result<(), LoadError> {
        match code {
            opcode::PROTO => self.session.reader.take(1).map(|_| ()),
            // Frames group instructions for reading ahead, and joblib's arrays cut through them.
            opcode::FRAME => self.session.reader.take(8).map(|_| ()),
            opcode::MARK => self.mark(),
            opcode::POP => self.pop_or_mark(),
            opcode::POP_MARK => self.pop_to_mark().map(|_| ()),
            opcode::DUP => {
                let top = self.top()?;
                self.push_id(top)
            }
            opcode::PUT | opcode::BINPUT | opcode::LONG_BINPUT | opcode::MEMOIZE => self.store(code),
            opcode::GET | opcode::BINGET | opcode::LONG_BINGET => self.recall(code),
            opcode::GLOBAL | opcode::STACK_GLOBAL => self.global(code),
            opcode::REDUCE => self.reduce(),
            opcode::NEWOBJ | opcode::NEWOBJ_EX | opcode::INST | opcode::OBJ => self.instance(code),
            opcode::BUILD => self.build(),
            _ => match literal::read(&mut self.session.reader, code)? {
                Some(value) => self.push(value),
                None => self.container(code),
            },
        }
    }

    /// Tuples, lists, dictionaries and sets, which take their items from the stack.
    fn container(&mut self, code: u8) -> Result<(), LoadError> {
        match code {
            opcode::EMPTY_TUPLE => self.push(Value::Tuple(Box::default())),
            opcode::TUPLE1 => self.tuple(1),
            opcode::TUPLE2 => self.tuple(2),
            opcode::TUPLE3 => self.tuple(3),
            opcode::TUPLE => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items.into()))
            }
            opcode::EMPTY_LIST => self.push(Value::List(Vec::new())),
            opcode::LIST => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items))
            }
            opcode::APPEND => {
                let item = self.pop()?;
                self.extend_list(&[item])
            }
            opcode::APPENDS => {
                let items = self.pop_to_mark()?;
                self.extend_list(&items)
            }
            opcode::EMPTY_DICT => self.push(Value::Dict(Vec::new())),
            opcode::DICT => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.extend_dict(&items)
            }
            opcode::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(&[key, value])
            }
            opcode::SETITEMS => {
                let items = self.pop_to_mark()?;
                self.extend_dict(&items)
            }
            opcode::EMPTY_SET => self.push(Value::Set(Vec::new())),
            opcode::FROZENSET => {
                let items = self.pop_to_mark()?;
                self.push(Value::Set(items))
            }
            opcode::ADDITEMS => {
                let items = self.pop_to_mark()?;
                let set = self.top()?;
                match self.session.heap.get_mut(set) {
                    Some(Value::Set(members)) => {
                        members.extend_from_slice(&items);
                        Ok(())
                    }
                    _ => Err(self.wrong("a set to add to", set)),
                }
            }
            opcode::PERSID | opcode::BINPERSID => {
                Err(unsupported("a persistent id, which only its own program can read"))
            }
            opcode::EXT1 | opcode::EXT2 | opcode::EXT4 => Err(unsupported("a code of Python's extension registry")),
            opcode::NEXT_BUFFER | opcode::READONLY_BUFFER => {
                Err(unsupported("buffers outside the file; save the model without buffer_callback"))
            }
            opcode::STRING | opcode::UNICODE => {
                Err(unsupported("texts of protocol 0; save the model with joblib.dump, or with protocol=4"))
            }
            other => Err(LoadError::Malformed(format!("{other:#04x} is no pickle instruction"))),
        }
    }

    fn tuple(&mut self, length: usize) -> Result<(), LoadError> {
        let start = self.stack.len().checked_sub(length).filter(|&start| start >= self.floor());
        let Some(start) = start else {
            return Err(underflow());
        };
        let items = self.stack.split_off(start);
        self.push(Value::Tuple(items.into()))
    }

    fn extend_list(&mut self, items: &[Id]) -> Result<(), LoadError> {
        let list = self.top()?;
        match self.session.heap.get_mut(list) {
            Some(Value::List(members)) => {
                members.extend_from_slice(items);
                Ok(())
            }
            _ => Err(self.wrong("a list to append to", list)),
        }
    }

    fn extend_dict(&mut self, items: &[Id]) -> Result<(), LoadError> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(LoadError::Malformed("a dict's key has no value".into()));
        }
        match self.session.heap.get_mut(dict) {
            Some(Value::Dict(entries)) => {
                entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(self.wrong("a dict to set items of", dict)),
        }
    }

    /// The name of a class or function.
    fn global(&mut self, code: u8) -> Result<(), LoadError> {
        if code == opcode::GLOBAL {
            let module = self.session.reader.line()?;
            let name = self.session.reader.line()?;
            return self.push(Value::Global(Global { module, name }));
        }
        let name = self.pop()?;
        let module = self.pop()?;
        match (self.session.heap.get(module), self.session.heap.get(name)) {
            (&Value::Text(module), &Value::Text(name)) => self.push(Value::Global(Global { module, name })),
            _ => Err(LoadError::Malformed("the name of a class or function is no text".into())),
        }
    }

    /// A call, of the few that are understood.
    fn reduce(&mut self) -> Result<(), LoadError> {
        let arguments = self.pop()?;
        let callable = self.pop()?;
        let &Value::Global(global) = self.session.heap.get(callable) else {
            return Err(self.wrong("a function to call", callable));
        };
        let value = reduce::call(&self.session.heap, global, arguments)?;
        self.push(value)
    }

    /// An instance of a class, without its state.
    fn instance(&mut self, code: u8) -> Result<(), LoadError> {
        let class = match code {
            opcode::INST => {
                let module = self.session.reader.line()?;
                let name = self.session.reader.line()?;
                self.pop_to_mark()?;
                Value::Global(Global { module, name })
            }
            opcode::OBJ => {
                let items = self.pop_to_mark()?;
                let class = *items.first().ok_or_else(underflow)?;
                self.class(class)?
            }
            _ => {
                if code == opcode::NEWOBJ_EX {
                    self.pop()?;
                }
                self.pop()?;
                let class = self.pop()?;
                self.class(class)?
            }
        };
        let Value::Global(global) = class else {
            return Err(underflow());
        };
        let object = reduce::instance(global)?;
        self.push(object)
    }

    fn class(&self, id: Id) -> Result<Value<'a>, LoadError> {
        match *self.session.heap.get(id) {
            Value::Global(global) => Ok(Value::Global(global)),
            _ => Err(self.wrong("a class", id)),
        }
    }

    /// Gives an object its state; for joblib's arrays this is where their bytes begin.
    fn build(&mut self) -> Result<(), LoadError> {
        let state = self.pop()?;
        let target = self.top()?;
        let heap = &mut self.session.heap;
        let completed = match heap.get(target) {
            Value::Dtype(dtype) => {
                let mut dtype = *dtype;
                dtype.complete(heap, state)?;
                Some(Value::Dtype(dtype))
            }
            Value::Array(_) => Some(reduce::array_from_state(heap, state)?),
            Value::Object(object) if self.arrays == Arrays::FollowTheirWrapper && joblib::is_wrapper(object.class) => {
                Some(joblib::read_array(self.session, state)?)
            }
            Value::Object(object) if object.state.is_some() => {
                return Err(LoadError::Malformed(format!("a '{}' gets its state twice", object.class)));
            }
            Value::Object(object) => Some(Value::Object(Box::new(Object { class: object.class, state: Some(state) }))),
            _ => return Err(self.wrong("an object to give a state to", target)),
        };
        if let Some(value) = completed {
            self.session.heap.replace(target, value);
        }
        Ok(())
    }

    fn store(&mut self, code: u8) -> Result<(), LoadError> {
        let place = match code {
            opcode::MEMOIZE => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
            _ => self.memo_place(code)?,
        };
        let top = self.top()?;
        if self.memo.len() >= MAX_MEMO {
            return Err(LoadError::Malformed(format!("the pickle remembers more than {MAX_MEMO} values")));
        }
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, code: u8) -> Result<(), LoadError> {
        let place = self.memo_place(code)?;
        let Some(&id) = self.memo.get(&place) else {
            return Err(LoadError::Malformed(format!("the pickle refers to value {place}, which it does not have")));
        };
        self.push_id(id)
    }

    fn memo_place(&mut self, code: u8) -> Result<u32, LoadError> {
        let reader = &mut self.session.reader;
        match code {
            opcode::BINPUT | opcode::BINGET => reader.byte().map(u32::from),
            opcode::LONG_BINPUT | opcode::LONG_BINGET => reader.u32(),
            _ => {
                let line = reader.line()?;
                line.parse().map_err(|_| LoadError::Malformed(format!("'{line}' is no place in the memo")))
            }
        }
    }

    fn mark(&mut self) -> Result<(), LoadError> {
        if self.marks.len() >= MAX_MARKS {
            return Err(LoadError::Malformed(format!("the pickle nests deeper than {MAX_MARKS}")));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// The lowest place that belongs to the innermost mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), LoadError> {
        let id = self.session.heap.add(value)?;
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<(), LoadError> {
        if self.stack.len() >= MAX_STACK {
            return Err(LoadError::Malformed(format!("the pickle's stack is deeper than {MAX_STACK}")));
        }
        self.stack.push(id);
        Ok(())
    }

    fn top(&self) -> Result<Id, LoadError> {
        self.stack.get(self.floor()..).and_then(<[Id]>::last).copied().ok_or_else(underflow)
    }

    fn pop(&mut self) -> Result<Id, LoadError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// POP takes the mark, where nothing lies above it.
    fn pop_or_mark(&mut self) -> Result<(), LoadError> {
        if self.stack.len() == self.floor() && self.marks.pop().is_some() {
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, LoadError> {
        let start = self.marks.pop().filter(|&start| start <= self.stack.len()).ok_or_else(underflow)?;
        Ok(self.stack.split_off(start))
    }

    fn wrong(&self, expected: &str, found: Id) -> LoadError {
        LoadError::Malformed(format!("expected {expected}, found {}", self.session.heap.describe(found)))
    }
}

fn underflow() -> LoadError {
    LoadError::Malformed("a pickle instruction needs more values than there are".into())
}

fn unsupported(what: &str) -> LoadError {
    LoadError::Unsupported(format!("the pickle uses {what}; nothing was executed"))
}
