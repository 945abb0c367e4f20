//! Protocol Buffers' text format, read without a schema: names and values, nothing is interpreted.
//!
//! Source: the language's specification at protobuf.dev, "Text Format Language Specification".

#[cfg(test)]
mod tests;

/// Messages in messages.
const DEEPEST: usize = 32;

/// The fields of a message, in order; a repeated one stands several times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Message(Vec<(String, Value)>);

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A number, a boolean or an enum's name, as it was written.
    Word(String),
    /// In quotes.
    Text(String),
    /// In braces.
    Message(Message),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

// === impl Message ===

impl Message {
    /// Reads a whole file; the error says where it stopped to be text format.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0 };
        let message = reader.fields(None, 0).map_err(|what| {
            let line = text.get(..reader.at).unwrap_or(text).matches('\n').count() + 1;
            format!("line {line}: {what}")
        })?;
        Ok(message)
    }

    /// The values of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value)
    }

    /// The value of a field; of several the last.
    pub(super) fn last<'a>(&'a self, name: &'a str) -> Option<&'a Value> {
        self.all(name).last()
    }
}

// === impl Value ===

impl Value {
    /// A text, or what stands there without quotes.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Word(text) | Self::Text(text) => Some(text),
            Self::Message(_) => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Word(word) => word.parse().ok(),
            Self::Text(_) | Self::Message(_) => None,
        }
    }

    pub(super) fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Word(_) | Self::Text(_) => None,
        }
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// Fields up to the closing bracket, or to the end of the file.
    fn fields(&mut self, close: Option<char>, depth: usize) -> Result<Message, String> {
        if depth > DEEPEST {
            return Err(format!("more than {DEEPEST} messages in each other"));
        }
        let mut message = Message::default();
        loop {
            self.skip_blank();
            match (self.peek(), close) {
                (None, None) => return Ok(message),
                (None, Some(close)) => return Err(format!("expected '{close}' before the end of the file")),
                (Some(next), Some(close)) if next == close => {
                    self.take();
                    return Ok(message);
                }
                (Some(',' | ';'), _) => self.take(),
                (Some(_), _) => self.field(&mut message, depth)?,
            }
        }
    }

    fn field(&mut self, message: &mut Message, depth: usize) -> Result<(), String> {
        let name = self.word();
        if name.is_empty() {
            return Err(format!("expected a field's name, got {:?}", self.peek().unwrap_or(' ')));
        }
        self.skip_blank();
        let has_colon = self.peek() == Some(':');
        if has_colon {
            self.take();
            self.skip_blank();
        }
        if self.peek() != Some('[') {
            let value = self.value(&name, has_colon, depth)?;
            message.0.push((name, value));
            return Ok(());
        }
        self.take();
        loop {
            self.skip_blank();
            match self.peek() {
                Some(']') => {
                    self.take();
                    return Ok(());
                }
                Some(',') => self.take(),
                _ => {
                    let value = self.value(&name, true, depth)?;
                    message.0.push((name.clone(), value));
                }
            }
        }
    }

    fn value(&mut self, name: &str, may_be_scalar: bool, depth: usize) -> Result<Value, String> {
        match self.peek() {
            Some('{') => {
                self.take();
                self.fields(Some('}'), depth + 1).map(Value::Message)
            }
            Some('<') => {
                self.take();
                self.fields(Some('>'), depth + 1).map(Value::Message)
            }
            Some(quote @ ('"' | '\'')) if may_be_scalar => {
                let mut text = self.quoted(quote)?;
                // Texts that stand side by side are one.
                loop {
                    self.skip_blank();
                    let Some(quote @ ('"' | '\'')) = self.peek() else { return Ok(Value::Text(text)) };
                    text.push_str(&self.quoted(quote)?);
                }
            }
            _ if may_be_scalar => {
                let word = self.word();
                if word.is_empty() {
                    return Err(format!("expected a value of '{name}'"));
                }
                Ok(Value::Word(word))
            }
            _ => Err(format!("expected ':' or '{{' after '{name}'")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        self.take();
        let mut text = String::new();
        loop {
            let Some(next) = self.peek() else { return Err("a text without its closing quote".to_owned()) };
            self.take();
            match next {
                _ if next == quote => return Ok(text),
                '\\' => {
                    let escaped = self.peek().unwrap_or('\\');
                    self.take();
                    text.push(match escaped {
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        other => other,
                    });
                }
                other => text.push(other),
            }
        }
    }

    /// A name or an unquoted value: letters, digits and what numbers consist of.
    fn word(&mut self) -> String {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '+' | '.');
        let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default().to_owned()
    }

    fn skip_blank(&mut self) {
        while let Some(next) = self.peek() {
            if next == '#' {
                let rest = self.text.get(self.at..).unwrap_or_default();
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if next.is_whitespace() {
                self.take();
            } else {
                return;
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn take(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }
}
