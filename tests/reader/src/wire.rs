//! Protobuf's wire format, and gzip around it.
use std::io::Read;

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Fixed-width fields: pprof has none.
    Fixed,
}

/// The body of a file, which must be gzipped and nothing else.
///
/// # Errors
/// A sentence on what is wrong.
pub fn unzip(file: &[u8]) -> Result<Vec<u8>, String> {
    if !file.starts_with(&[0x1f, 0x8b]) {
        return Err(format!("not gzipped: {} bytes that begin {:?}", file.len(), &file[..file.len().min(8)]));
    }
    let mut body = Vec::new();
    let mut decoder = flate2::bufread::GzDecoder::new(file);
    decoder.read_to_end(&mut body).map_err(|error| format!("gzip: {error}"))?;
    match decoder.into_inner() {
        [] => Ok(body),
        rest => Err(format!("gzip: {} bytes follow its end", rest.len())),
    }
}

/// All fields of a message, in order, with their numbers.
pub(crate) fn fields(mut data: &[u8]) -> Result<Vec<(u64, Value<'_>)>, String> {
    let mut fields = Vec::new();
    while !data.is_empty() {
        let tag = varint(&mut data)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut data)?),
            1 => take(&mut data, 8).map(|_| Value::Fixed)?,
            2 => {
                let size = varint(&mut data)?;
                Value::Bytes(take(&mut data, size)?)
            }
            5 => take(&mut data, 4).map(|_| Value::Fixed)?,
            other => return Err(format!("wire type {other}")),
        };
        match tag >> 3 {
            0 => return Err("field number 0".into()),
            number => fields.push((number, value)),
        }
    }
    Ok(fields)
}

/// The numbers of a repeated field: packed, or one of them.
pub(crate) fn numbers(value: Value<'_>, into: &mut Vec<u64>) -> Result<(), String> {
    match value {
        Value::Number(number) => into.push(number),
        Value::Bytes(mut data) => {
            while !data.is_empty() {
                into.push(varint(&mut data)?);
            }
        }
        Value::Fixed => return Err("a fixed-width number".into()),
    }
    Ok(())
}

fn take<'a>(data: &mut &'a [u8], size: u64) -> Result<&'a [u8], String> {
    match usize::try_from(size).ok().and_then(|size| data.split_at_checked(size)) {
        Some((taken, rest)) => {
            *data = rest;
            Ok(taken)
        }
        None => Err(format!("a field of {size} bytes, and {} are left", data.len())),
    }
}

fn varint(data: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let Some((&byte, rest)) = data.split_first() else { return Err("a truncated number".into()) };
        *data = rest;
        if shift == 63 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number above 64 bits".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_of_every_size() {
        for (bytes, expected) in [
            (&[0x00][..], Ok(0)),
            (&[0x96, 0x01], Ok(150)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(u64::MAX)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], Err(())),
            (&[0x80], Err(())),
            (&[], Err(())),
        ] {
            assert_eq!(varint(&mut &bytes[..]).map_err(drop), expected, "{bytes:?}");
        }
    }

    #[test]
    fn refuses_broken_messages() {
        assert_eq!(fields(&[0x08, 0x07]).unwrap(), [(1, Value::Number(7))]);
        for broken in [&[0x08][..], &[0x12, 0x05, 0x00], &[0x00, 0x01], &[0x0b], &[0x09, 0x00]] {
            assert!(fields(broken).is_err(), "{broken:?}");
        }
    }
}
