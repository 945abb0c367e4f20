//! Numbers, texts and bytes, which stand in the instruction itself.

use super::Reader;
use super::opcode;
use crate::formats::LoadError;
use crate::formats::sklearn::value::Value;

/// The value of this instruction, whose code is read already; nothing where it is another kind of instruction.
pub(super) fn read<'a>(reader: &mut Reader<'a>, code: u8) -> Result<Option<Value<'a>>, LoadError> {
    Ok(Some(match code {
        opcode::NONE => Value::None,
        opcode::NEWTRUE => Value::Bool(true),
        opcode::NEWFALSE => Value::Bool(false),
        opcode::BININT => Value::Int(i64::from(reader.i32()?)),
        opcode::BININT1 => Value::Int(i64::from(reader.byte()?)),
        opcode::BININT2 => Value::Int(i64::from(reader.u16()?)),
        opcode::INT => decimal(reader.line()?)?,
        opcode::LONG => decimal(reader.line()?.trim_end_matches('L'))?,
        opcode::LONG1 => {
            let length = reader.byte()?;
            little_endian(reader.take(usize::from(length))?)
        }
        opcode::LONG4 => {
            let length = reader.u32()?;
            little_endian(reader.take_length(u64::from(length))?)
        }
        opcode::FLOAT => {
            let line = reader.line()?;
            Value::Float(line.parse().map_err(|_| LoadError::Malformed(format!("'{line}' is no number")))?)
        }
        opcode::BINFLOAT => Value::Float(f64::from_be_bytes(reader.array()?)),
        opcode::SHORT_BINUNICODE | opcode::BINUNICODE | opcode::BINUNICODE8 => {
            let length = match code {
                opcode::SHORT_BINUNICODE => u64::from(reader.byte()?),
                opcode::BINUNICODE => u64::from(reader.u32()?),
                _ => reader.u64()?,
            };
            let bytes = reader.take_length(length)?;
            Value::Text(reader.utf8(bytes)?)
        }
        opcode::SHORT_BINBYTES | opcode::BINBYTES | opcode::BINBYTES8 | opcode::BYTEARRAY8 => {
            let length = match code {
                opcode::SHORT_BINBYTES => u64::from(reader.byte()?),
                opcode::BINBYTES => u64::from(reader.u32()?),
                _ => reader.u64()?,
            };
            Value::Bytes(reader.take_length(length)?)
        }
        opcode::SHORT_BINSTRING | opcode::BINSTRING => {
            let length = match code {
                opcode::SHORT_BINSTRING => u32::from(reader.byte()?),
                _ => reader.u32()?,
            };
            Value::ByteText(reader.take_length(u64::from(length))?)
        }
        _ => return Ok(None),
    }))
}

/// An integer in decimal digits; `00` and `01` are how old protocols write `False` and `True`.
fn decimal<'a>(line: &str) -> Result<Value<'a>, LoadError> {
    let digits = line.strip_prefix('-').unwrap_or(line);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(LoadError::Malformed(format!("'{line}' is no integer")));
    }
    Ok(match line {
        "00" => Value::Bool(false),
        "01" => Value::Bool(true),
        _ => line.parse().map_or(Value::BigInt, Value::Int),
    })
}

/// An integer in two's complement of any length.
fn little_endian<'a>(bytes: &[u8]) -> Value<'a> {
    if bytes.len() > 8 {
        return Value::BigInt;
    }
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut word = [if negative { 0xff } else { 0 }; 8];
    for (place, &byte) in word.iter_mut().zip(bytes) {
        *place = byte;
    }
    Value::Int(i64::from_le_bytes(word))
}
