//! The pattern's text as a tree.

use super::ByteSet;

/// Groups within groups.
const DEEPEST: usize = 50;

/// The largest number in `{m,n}`.
const MOST_REPEATS: u32 = 200;

#[derive(Debug)]
pub(super) enum Node {
    Empty,
    Byte(ByteSet),
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    /// `most` is without end where it is `None`.
    Repeat {
        node: Box<Node>,
        least: u32,
        most: Option<u32>,
    },
}

struct Parser<'t> {
    rest: &'t str,
    length: usize,
    depth: usize,
}

/// A pattern is anchored at both ends; a `^` at the start and a `$` at the end say the same.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let text = text.strip_prefix('^').unwrap_or(text);
    let is_escaped = |before: &str| before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
    let text = text.strip_suffix('$').filter(|before| !is_escaped(before)).unwrap_or(text);
    let mut parser = Parser { rest: text, length: text.len(), depth: 0 };
    let node = parser.alternatives()?;
    match parser.rest.chars().next() {
        None => Ok(node),
        Some(letter) => Err(parser.unexpected(letter)),
    }
}

impl Parser<'_> {
    fn alternatives(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("expected at most {DEEPEST} groups within each other"));
        }
        let first = self.sequence()?;
        let mut all = vec![first];
        while self.take('|') {
            all.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(Node::Either(all))
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut nodes = Vec::new();
        while let Some(letter) = self.rest.chars().next() {
            if matches!(letter, '|' | ')') {
                break;
            }
            let atom = self.atom()?;
            nodes.push(self.repeated(atom)?);
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            _ => Node::Sequence(nodes),
        })
    }

    fn atom(&mut self) -> Result<Node, String> {
        let Some(letter) = self.next() else { return Err("expected more of the pattern".to_owned()) };
        Ok(match letter {
            '(' => {
                if self.take('?') && !self.take(':') {
                    return Err(self.fault("expected `(…)` or `(?:…)`, there are no flags and no look-around"));
                }
                let group = self.alternatives()?;
                if !self.take(')') {
                    return Err(self.fault("expected `)`"));
                }
                group
            }
            '[' => Node::Byte(self.class()?),
            '.' => Node::Byte(ByteSet::of(*b"\n").complement()),
            '\\' => Node::Byte(self.escape()?),
            '^' | '$' => return Err(self.fault("expected no anchor within a pattern: the whole value is matched")),
            '*' | '+' | '?' | '{' | '}' | ')' | ']' => return Err(self.unexpected(letter)),
            letter => {
                let mut bytes = [0; 4];
                let bytes = letter.encode_utf8(&mut bytes).bytes();
                Node::Sequence(bytes.map(|byte| Node::Byte(ByteSet::of([byte]))).collect())
            }
        })
    }

    fn repeated(&mut self, mut node: Node) -> Result<Node, String> {
        let (least, most) = match self.rest.chars().next() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                self.next();
                let (least, most) = self.bounds()?;
                node = Node::Repeat { node: Box::new(node), least, most };
                return self.no_further_repeat(node);
            }
            _ => return Ok(node),
        };
        self.next();
        // Lazy or greedy, the whole value matches or not.
        self.take('?');
        node = Node::Repeat { node: Box::new(node), least, most };
        self.no_further_repeat(node)
    }

    fn no_further_repeat(&self, node: Node) -> Result<Node, String> {
        match self.rest.chars().next() {
            Some(letter @ ('*' | '+' | '?' | '{')) => Err(self.unexpected(letter)),
            _ => Ok(node),
        }
    }

    fn bounds(&mut self) -> Result<(u32, Option<u32>), String> {
        let least = self.number()?;
        let most = match self.take(',') {
            false => Some(least),
            true if self.rest.starts_with('}') => None,
            true => Some(self.number()?),
        };
        if !self.take('}') {
            return Err(self.fault("expected `}`"));
        }
        if most.is_some_and(|most| most < least) {
            return Err(self.fault("expected {least,most}, the greater number behind"));
        }
        Ok((least, most))
    }

    fn number(&mut self) -> Result<u32, String> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at_checked(digits).unwrap_or_default();
        self.rest = rest;
        let number: Option<u32> = number.parse().ok();
        number
            .filter(|number| *number <= MOST_REPEATS)
            .ok_or_else(|| self.fault(&format!("expected a number up to {MOST_REPEATS}")))
    }

    fn class(&mut self) -> Result<ByteSet, String> {
        let is_negated = self.take('^');
        let mut set = ByteSet::default();
        let mut is_first = true;
        loop {
            let Some(letter) = self.next() else { return Err("expected `]`".to_owned()) };
            match letter {
                ']' if !is_first => break,
                '[' => return Err(self.fault("expected `\\[` within a class")),
                '\\' => {
                    let escaped = self.escape()?;
                    set = set.union(escaped);
                    if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                        return Err(self.fault("expected a range without escapes"));
                    }
                }
                letter => {
                    let low = self.ascii(letter)?;
                    let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
                    let high = if is_range {
                        self.next();
                        let high = self.next().unwrap_or_default();
                        self.ascii(high)?
                    } else {
                        low
                    };
                    if matches!(high, b'\\' | b'[') && is_range || high < low {
                        return Err(self.fault("expected a range such as a-z"));
                    }
                    set = set.union(ByteSet::of(low..=high));
                }
            }
            is_first = false;
        }
        Ok(if is_negated { set.complement() } else { set })
    }

    fn ascii(&self, letter: char) -> Result<u8, String> {
        u8::try_from(letter)
            .ok()
            .filter(u8::is_ascii)
            .ok_or_else(|| self.fault("expected ASCII letters within a class"))
    }

    fn escape(&mut self) -> Result<ByteSet, String> {
        let digits = ByteSet::of(b'0'..=b'9');
        let words = digits.union(ByteSet::of(b'a'..=b'z')).union(ByteSet::of(b'A'..=b'Z')).union(ByteSet::of([b'_']));
        let spaces = ByteSet::of(*b" \t\n\r\x0b\x0c");
        Ok(match self.next() {
            Some('d') => digits,
            Some('D') => digits.complement(),
            Some('w') => words,
            Some('W') => words.complement(),
            Some('s') => spaces,
            Some('S') => spaces.complement(),
            Some('t') => ByteSet::of(*b"\t"),
            // Other engines take `\<` and `\>` for the bounds of a word.
            Some(letter) if letter.is_ascii_punctuation() && !matches!(letter, '<' | '>') => {
                ByteSet::of([self.ascii(letter)?])
            }
            _ => return Err(self.fault("expected \\d, \\w, \\s, their negations, or a sign to be taken as it is")),
        })
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = self.rest.get(letter.len_utf8()..).unwrap_or_default();
        Some(letter)
    }

    fn take(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn unexpected(&self, letter: char) -> String {
        self.fault(&format!("did not expect `{letter}`, write `\\{letter}` for the sign itself"))
    }

    fn fault(&self, text: &str) -> String {
        format!("{text} (at byte {} of the pattern)", self.length - self.rest.len())
    }
}
