//! A small engine for regular expressions: the module's size is a goal, and so is time that does not
//! depend on the value's malice.
//!
//! It matches whole values, bytes not characters: literals, `.`, classes (`[a-z]`, `\d`, `\w`, `\s`
//! and their negations), groups, `|`, `?`, `*`, `+`, `{m,n}`. There are no captures, look-around or
//! back-references. A pattern becomes a program of at most [`LONGEST_PROGRAM`] instructions that is
//! run as Thompson's simulation (CACM 1968): every state that is possible at a byte is followed at
//! once, so a value of n bytes takes at most n × program steps. Bytes that the pattern begins with are
//! compared before that, and the states of a short program are the bits of one word.

mod parse;
#[cfg(test)]
mod tests;

use self::parse::Node;

/// More instructions are refused when the configuration is loaded.
const LONGEST_PROGRAM: usize = 2000;

/// The states of a program that is no longer are bits of one word.
const SHORT_PROGRAM: usize = 64;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    program: Vec<Step>,
    /// For a short program: the states that each state reaches without a byte, itself included.
    reached: Vec<u64>,
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct ByteSet([u64; 4]);

#[derive(Clone, Copy, Debug)]
enum Step {
    Byte(ByteSet),
    /// Both ways are possible.
    Fork(usize, usize),
    Jump(usize),
    Accept,
}

/// States that are possible, each once.
struct States {
    list: Vec<usize>,
    is_in: Vec<bool>,
}

// === impl Pattern ===

impl Pattern {
    /// The error says what is wrong and where.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let node = parse::parse(text)?;
        let mut program = Vec::new();
        compile(&node, &mut program)?;
        program.push(Step::Accept);
        let mut pattern = Self { program, reached: Vec::new() };
        if pattern.program.len() <= SHORT_PROGRAM {
            pattern.reached = (0..pattern.program.len()).map(|state| pattern.reached_from(state)).collect();
        }
        Ok(pattern)
    }

    /// Whether the whole value matches.
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        let mut state = 0;
        let mut rest = value;
        while let Some(Step::Byte(set)) = self.program.get(state) {
            match rest.split_first() {
                Some((byte, after)) if set.contains(*byte) => rest = after,
                _ => return false,
            }
            state += 1;
        }
        if self.reached.is_empty() { self.matches_from(state, rest) } else { self.matches_shortly_from(state, rest) }
    }

    fn matches_shortly_from(&self, state: usize, value: &[u8]) -> bool {
        let reached = |state: usize| self.reached.get(state).copied().unwrap_or_default();
        let mut now = reached(state);
        for &byte in value {
            let mut next = 0;
            while now != 0 {
                let state = now.trailing_zeros() as usize;
                now &= now - 1;
                if let Some(Step::Byte(set)) = self.program.get(state)
                    && set.contains(byte)
                {
                    next |= reached(state + 1);
                }
            }
            if next == 0 {
                return false;
            }
            now = next;
        }
        // A program ends with its only `Accept`.
        now >> (self.program.len() - 1) & 1 == 1
    }

    fn reached_from(&self, state: usize) -> u64 {
        let mut states = States::new(self.program.len());
        self.follow(state, &mut states);
        states.list.iter().fold(0, |bits, state| bits | 1 << state)
    }

    fn matches_from(&self, state: usize, value: &[u8]) -> bool {
        let mut now = States::new(self.program.len());
        let mut next = States::new(self.program.len());
        self.follow(state, &mut now);
        for &byte in value {
            for &state in &now.list {
                if let Some(Step::Byte(set)) = self.program.get(state)
                    && set.contains(byte)
                {
                    self.follow(state + 1, &mut next);
                }
            }
            if next.list.is_empty() {
                return false;
            }
            std::mem::swap(&mut now, &mut next);
            next.clear();
        }
        now.list.iter().any(|&state| matches!(self.program.get(state), Some(Step::Accept)))
    }

    /// Adds a state and all that it reaches without a byte.
    fn follow(&self, state: usize, states: &mut States) {
        let mut waiting = vec![state];
        while let Some(state) = waiting.pop() {
            if !states.insert(state) {
                continue;
            }
            match self.program.get(state) {
                Some(Step::Jump(to)) => waiting.push(*to),
                Some(Step::Fork(left, right)) => waiting.extend([*left, *right]),
                Some(Step::Byte(_) | Step::Accept) | None => {}
            }
        }
    }
}

/// Appends the steps of a node; they end where the next node's begin.
fn compile(node: &Node, program: &mut Vec<Step>) -> Result<(), String> {
    if program.len() > LONGEST_PROGRAM {
        return Err(format!("expected a shorter pattern: it needs more than {LONGEST_PROGRAM} steps"));
    }
    match node {
        Node::Empty => {}
        Node::Byte(set) => program.push(Step::Byte(*set)),
        Node::Sequence(nodes) => {
            for node in nodes {
                compile(node, program)?;
            }
        }
        Node::Either(nodes) => {
            let mut jumps = Vec::new();
            let Some((last, others)) = nodes.split_last() else { return Ok(()) };
            for node in others {
                let fork = program.len();
                program.push(Step::Accept);
                compile(node, program)?;
                jumps.push(program.len());
                program.push(Step::Accept);
                let other = program.len();
                set(program, fork, Step::Fork(fork + 1, other));
            }
            compile(last, program)?;
            let end = program.len();
            for jump in jumps {
                set(program, jump, Step::Jump(end));
            }
        }
        Node::Repeat { node, least, most } => {
            for _ in 0..*least {
                let before = program.len();
                compile(node, program)?;
                if program.len() == before {
                    // Nothing, however often it is repeated.
                    return Ok(());
                }
            }
            match most {
                None => {
                    let fork = program.len();
                    program.push(Step::Accept);
                    compile(node, program)?;
                    program.push(Step::Jump(fork));
                    let end = program.len();
                    set(program, fork, Step::Fork(fork + 1, end));
                }
                Some(most) => {
                    let mut forks = Vec::new();
                    for _ in *least..*most {
                        forks.push(program.len());
                        program.push(Step::Accept);
                        compile(node, program)?;
                    }
                    let end = program.len();
                    for fork in forks {
                        set(program, fork, Step::Fork(fork + 1, end));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Fills in a step whose goal was not known when its place was taken.
fn set(program: &mut [Step], place: usize, step: Step) {
    if let Some(slot) = program.get_mut(place) {
        *slot = step;
    }
}

// === impl ByteSet ===

impl ByteSet {
    fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        let mut set = Self::default();
        for byte in bytes {
            set.insert(byte);
        }
        set
    }

    fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    fn union(self, other: Self) -> Self {
        let mut words = self.0;
        for (word, more) in words.iter_mut().zip(other.0) {
            *word |= more;
        }
        Self(words)
    }

    fn complement(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

// === impl States ===

impl States {
    fn new(count: usize) -> Self {
        Self { list: Vec::with_capacity(16), is_in: vec![false; count] }
    }

    /// Whether it is new.
    fn insert(&mut self, state: usize) -> bool {
        match self.is_in.get_mut(state) {
            Some(is_in) if !*is_in => {
                *is_in = true;
                self.list.push(state);
                true
            }
            _ => false,
        }
    }

    fn clear(&mut self) {
        for state in self.list.drain(..) {
            if let Some(is_in) = self.is_in.get_mut(state) {
                *is_in = false;
            }
        }
    }
}
