//! What serde would let pass: it reads a struct from a list, too, field by field.

use super::fault::{ConfigError, Fault};

/// Refuses a configuration that is no object, and a list directly inside a list: no field has one,
/// so an object was meant.
pub(super) fn check(json: &[u8]) -> Result<(), ConfigError> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Fault::new("", "expected an object, such as {\"models\": [{\"name\": \"iris\"}]}").into());
    }
    let mut open = Vec::new();
    let mut in_string = false;
    let mut bytes = json.iter().enumerate();
    while let Some((position, byte)) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            _ if in_string => {}
            b'[' if open.last() == Some(&b'[') => {
                return Err(Fault::new(
                    "",
                    format!("byte {position}: expected an object or a value, got a list in a list"),
                )
                .into());
            }
            b'[' | b'{' => open.push(*byte),
            b']' | b'}' => {
                open.pop();
            }
            _ => {}
        }
    }
    Ok(())
}
