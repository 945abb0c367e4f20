//! A JSON document as a tree.
//!
//! <https://www.rfc-editor.org/rfc/rfc8259>. Read once, when a configuration is loaded: small code
//! counts for more than speed here, because the gateway carries it for ever.

/// One value. A number stays as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Deeper documents are refused; no configuration comes near.
const DEEPEST: usize = 64;

/// Reads a document; the error says at which byte what was expected.
pub(super) fn parse(json: &[u8]) -> Result<Node, String> {
    let text = std::str::from_utf8(json).map_err(|error| format!("byte {}: expected UTF-8", error.valid_up_to()))?;
    let mut parser = Parser { text, at: 0, depth: 0 };
    let node = parser.value()?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.expected("the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

// === impl Node ===

impl Node {
    /// What it is, for an error.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

// === impl Parser ===

impl Parser<'_> {
    fn value(&mut self) -> Result<Node, String> {
        self.skip_space();
        if self.depth == DEEPEST {
            return Err(self.expected("no more than 64 levels"));
        }
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.list(),
            Some(b'"') => self.string().map(Node::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let words = [("true", Node::Bool(true)), ("false", Node::Bool(false)), ("null", Node::Null)];
                for (word, node) in words {
                    if self.rest().starts_with(word) {
                        self.at += word.len();
                        return Ok(node);
                    }
                }
                Err(self.expected("a value"))
            }
        }
    }

    fn object(&mut self) -> Result<Node, String> {
        let mut fields: Vec<(String, Node)> = Vec::new();
        self.items(b'}', |parser| {
            parser.skip_space();
            let name = parser.string()?;
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(parser.expected("each field once"));
            }
            parser.skip_space();
            parser.take(b':', "`:`")?;
            fields.push((name, parser.value()?));
            Ok(())
        })?;
        Ok(Node::Object(fields))
    }

    fn list(&mut self) -> Result<Node, String> {
        let mut items = Vec::new();
        self.items(b']', |parser| {
            items.push(parser.value()?);
            Ok(())
        })?;
        Ok(Node::List(items))
    }

    /// From an opening bracket to the closing one.
    fn items(&mut self, closing: u8, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.at += 1;
        self.depth += 1;
        self.skip_space();
        if self.peek() != Some(closing) {
            loop {
                item(self)?;
                self.skip_space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.at += 1;
            }
        }
        self.depth -= 1;
        self.take(closing, "`,` or the closing bracket")
    }

    fn string(&mut self) -> Result<String, String> {
        self.take(b'"', "`\"`")?;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.bytes().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
            text.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escaped()?);
                }
                _ => return Err(self.expected("the end of a text")),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        let letter = self.peek();
        self.at += 1;
        Ok(match letter {
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = self.hex()?;
                let mut code = unit;
                if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with("\\u") {
                    self.at += 2;
                    let low = self.hex()?.wrapping_sub(0xdc00);
                    code = if low < 0x400 { 0x10000 + ((unit - 0xd800) << 10) + low } else { unit };
                }
                char::from_u32(code).ok_or_else(|| self.expected("both halves of a surrogate pair before this"))?
            }
            _ => return Err(self.expected("an escape such as `\\n`")),
        })
    }

    fn hex(&mut self) -> Result<u32, String> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(unit) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return Err(self.expected("four hexadecimal digits"));
        };
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Node, String> {
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.rest().bytes().take_while(|byte| is_part(byte)).count();
        let literal = self.rest().get(..length).unwrap_or_default();
        if !is_json_number(literal) || !literal.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(self.expected("a number"));
        }
        let literal = literal.to_owned();
        self.at += length;
        Ok(Node::Number(literal))
    }

    fn take(&mut self, byte: u8, expected: &str) -> Result<(), String> {
        if self.peek() != Some(byte) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, what: &str) -> String {
        let found = self.rest().chars().next().map_or("the end".to_owned(), |letter| format!("`{letter}`"));
        format!("byte {}: expected {what}, got {found}", self.at)
    }
}

/// Of what Rust takes for a number, JSON does not have leading zeros and points without digits around them.
fn is_json_number(literal: &str) -> bool {
    let mut bytes = literal.trim_start_matches('-').bytes().peekable();
    let first = bytes.next();
    if !first.is_some_and(|byte| byte.is_ascii_digit())
        || first == Some(b'0') && bytes.peek().is_some_and(u8::is_ascii_digit)
    {
        return false;
    }
    while let Some(byte) = bytes.next() {
        if byte == b'.' && !bytes.peek().is_some_and(u8::is_ascii_digit) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same tree as serde_json reads it.
    fn of_value(value: &serde_json::Value) -> Node {
        match value {
            serde_json::Value::Null => Node::Null,
            serde_json::Value::Bool(value) => Node::Bool(*value),
            serde_json::Value::Number(number) => Node::Number(number.to_string()),
            serde_json::Value::String(text) => Node::Text(text.clone()),
            serde_json::Value::Array(items) => Node::List(items.iter().map(of_value).collect()),
            serde_json::Value::Object(fields) => {
                Node::Object(fields.iter().map(|(name, value)| (name.clone(), of_value(value))).collect())
            }
        }
    }

    #[test]
    fn documents_are_read_as_serde_json_reads_them() {
        for json in [
            r#"{"a": [1, -2.5, true, false, null, {}, []], "b": {"c": "d"}}"#,
            r#" "\u00e9\ud83d\ude00\n\t\"\\\/ é" "#,
            "[[[[]]], 0]",
        ] {
            let expected = of_value(&serde_json::from_str(json).unwrap());
            assert_eq!(parse(json.as_bytes()), Ok(expected), "{json}");
        }
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        for (json, expected) in [
            (r#"{"a": 1 "b": 2}"#, "byte 8: expected `,` or the closing bracket, got `\"`"),
            (r#"{"models":["#, "byte 11: expected a value, got the end"),
            ("{} x", "byte 3: expected the end, got `x`"),
            (r#"{"a": 1, "a": 2}"#, "byte 12: expected each field once, got `:`"),
            ("models: []", "byte 0: expected a value, got `m`"),
            (r#""\x""#, "byte 3: expected an escape such as `\\n`, got `\"`"),
            (r#""\ud800\u0041""#, "byte 13: expected both halves of a surrogate pair before this, got `\"`"),
            (r#""\udc00""#, "byte 7: expected both halves of a surrogate pair before this, got `\"`"),
            ("007", "byte 0: expected a number, got `0`"),
            ("-.5", "byte 0: expected a number, got `-`"),
            ("1.", "byte 0: expected a number, got `1`"),
            ("1.e5", "byte 0: expected a number, got `1`"),
            ("1e999", "byte 0: expected a number, got `1`"),
            ("\"a\nb\"", "byte 2: expected the end of a text, got `\n`"),
        ] {
            assert_eq!(parse(json.as_bytes()).unwrap_err(), expected, "{json}");
        }
        assert!(parse(&[b'['; 1000]).unwrap_err().contains("64 levels"));
        assert!(parse(b"\"\xff\"").unwrap_err().contains("UTF-8"));
    }
}
