//! The body of a `Witnessed` record: what other members were seen to acknowledge (C13).

use crate::types::{LifeId, Lsn, NodeId, Witness};
use byteorder::{LittleEndian, ReadBytesExt};
use std::io;

/// Bytes of one member's row.
const ROW_BYTES: usize = 2 + 8 + 8 + 8;

/// Bytes of a table's encoding.
pub(crate) fn body_bytes(table: &[(NodeId, Witness)]) -> usize {
    2 + table.len() * ROW_BYTES
}

/// Appends a table's encoding.
pub(crate) fn encode_body(table: &[(NodeId, Witness)], out: &mut Vec<u8>) {
    out.extend_from_slice(&(table.len() as u16).to_le_bytes());
    for (node, seen) in table {
        out.extend_from_slice(&node.0.to_le_bytes());
        out.extend_from_slice(&seen.life.boots.to_le_bytes());
        out.extend_from_slice(&seen.life.nonce.to_le_bytes());
        out.extend_from_slice(&seen.durable.0.to_le_bytes());
    }
}

/// Decodes what [`encode_body`] wrote; nothing when the bytes are anything else.
pub(crate) fn decode_body(bytes: &[u8]) -> Option<Vec<(NodeId, Witness)>> {
    let mut rest = bytes;
    let table = read(&mut rest).ok()?;
    rest.is_empty().then_some(table)
}

fn read(from: &mut &[u8]) -> io::Result<Vec<(NodeId, Witness)>> {
    let rows = from.read_u16::<LittleEndian>()?;
    let row = |from: &mut &[u8]| {
        let node = NodeId(from.read_u16::<LittleEndian>()?);
        let boots = from.read_u64::<LittleEndian>()?;
        let life = LifeId { boots, nonce: from.read_u64::<LittleEndian>()? };
        Ok((node, Witness { life, durable: Lsn(from.read_u64::<LittleEndian>()?) }))
    };
    (0..rows).map(|_| row(from)).collect()
}
