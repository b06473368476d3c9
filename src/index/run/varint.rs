//! Numbers in as few bytes as they need: seven bits a byte, the lowest first, the highest bit of each
//! byte but the last one set (LEB128).

/// Most bytes of one number.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Appends a number.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number from the front; nothing when the bytes end first, or mean more than 64 bits.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        let part = u64::from(byte & 0x7f);
        let shift = 7 * at as u32;
        if part << shift >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

/// A difference of either sign as a number that is small when the difference is.
pub(crate) fn zigzag(difference: u64) -> u64 {
    let signed = difference as i64;
    (signed << 1 ^ signed >> 63) as u64
}

/// The difference that [`zigzag`] was given.
pub(crate) fn unzigzag(value: u64) -> u64 {
    value >> 1 ^ (value & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Numbers of every length, and differences of either sign, come back as they were.
    #[test]
    fn numbers_come_back() {
        let around = |bit: u32| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1];
        for value in (0..64).flat_map(around).chain([0, u64::MAX]) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert!(bytes.len() <= VARINT_BYTES_MAX);
            let mut rest = &bytes[..];
            assert_eq!(take_varint(&mut rest), Some(value));
            assert!(rest.is_empty());
            assert!(take_varint(&mut &bytes[..bytes.len() - 1]).is_none(), "{value} cut short");
            assert_eq!(unzigzag(zigzag(value)), value);
            assert_eq!(unzigzag(zigzag(value.wrapping_neg())), value.wrapping_neg());
        }
        assert_eq!([0, 1, u64::MAX].map(zigzag), [0, 2, 1]);
    }

    /// More than 64 bits are no number.
    #[test]
    fn what_is_too_long_is_refused() {
        assert_eq!(take_varint(&mut &[0xff; 11][..]), None);
        let mut largest = [0xff; 10];
        largest[9] = 1;
        assert_eq!(take_varint(&mut &largest[..]), Some(u64::MAX));
        largest[9] = 2;
        assert_eq!(take_varint(&mut &largest[..]), None);
    }
}
