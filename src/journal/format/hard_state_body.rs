//! The body of a hard state, in its file and in its records: the same bytes in both (C2).

use crate::limits::{CUTS_MAX, LIVES_MAX, MEMBERS_MAX};
use crate::types::{
    Ballot, Configuration, ConfigurationNumber, Cut, Damage, HardState, Incarnation, Life, LifeId,
    Lsn, NodeId, Refuted, Slot, Witness,
};
use byteorder::{LittleEndian, ReadBytesExt};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Most members that either table can name.
const TABLE_MAX: usize = 512;
/// Bytes of a row of either table.
const ROW_BYTES: usize = 2 + 8;
const LIFE_BYTES: usize = 16 + 8 + 8;
const DAMAGE_BYTES: usize = 10 + 8 + 1;
const CUT_BYTES: usize = 16 + 8 + DAMAGE_BYTES;
const CONFIGURATION_BYTES_MAX: usize = 2 + 2 * MEMBERS_MAX + 2 + 2 + 8;
const REFUTED_BYTES: usize = 2 + 16 + 8 + 8;

/// Most bytes of a body.
pub(crate) const BODY_BYTES_MAX: usize = 64
    + 2 * TABLE_MAX * ROW_BYTES
    + LIVES_MAX * LIFE_BYTES
    + CUTS_MAX * CUT_BYTES
    + CONFIGURATION_BYTES_MAX
    + REFUTED_BYTES
    + DAMAGE_BYTES;

/// Bytes of a hard state's encoding.
pub(crate) fn body_bytes(hard: &HardState) -> usize {
    let mut bytes = Vec::new();
    encode_body(hard, &mut bytes);
    bytes.len()
}

/// Appends a hard state's encoding.
pub(crate) fn encode_body(hard: &HardState, out: &mut Vec<u8>) {
    assert!(
        hard.incarnations.len() <= TABLE_MAX && hard.recoveries.len() <= TABLE_MAX,
        "hard state names too many members: {} and {}",
        hard.incarnations.len(),
        hard.recoveries.len(),
    );
    assert!(hard.lives.len() <= LIVES_MAX, "hard state names {} lives", hard.lives.len());
    assert!(hard.cuts.len() <= CUTS_MAX, "hard state names {} cuts", hard.cuts.len());
    put_ballot(out, hard.promised);
    put_u64(out, hard.lease_longest_us);
    put_u64(out, hard.boots);
    out.push(u8::from(hard.formed));
    put_u16(out, hard.incarnations.len() as u16);
    for (node, incarnation) in &hard.incarnations {
        put_u16(out, node.0);
        put_u64(out, incarnation.0);
    }
    put_u16(out, hard.recoveries.len() as u16);
    for (node, number) in &hard.recoveries {
        put_u16(out, node.0);
        put_u64(out, *number);
    }
    put_u16(out, hard.lives.len() as u16);
    for life in &hard.lives {
        put_life_id(out, life.id);
        put_u64(out, life.start.0);
        put_u64(out, life.accounted.0);
    }
    put_u16(out, hard.cuts.len() as u16);
    for cut in &hard.cuts {
        put_life_id(out, cut.life);
        put_u64(out, cut.upto.0);
        put_damage(out, cut.damage);
    }
    out.push(u8::from(hard.configuration.is_some()));
    if let Some(configuration) = &hard.configuration {
        put_configuration(out, configuration);
    }
    out.push(u8::from(hard.refuted.is_some()));
    if let Some(refuted) = hard.refuted {
        put_u16(out, refuted.witness.0);
        put_life_id(out, refuted.seen.life);
        put_u64(out, refuted.seen.durable.0);
        put_u64(out, refuted.held.0);
    }
    out.push(u8::from(hard.cut_damage.is_some()));
    if let Some(damage) = hard.cut_damage {
        put_damage(out, damage);
    }
}

fn put_u16(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_ballot(out: &mut Vec<u8>, ballot: Ballot) {
    put_u64(out, ballot.round);
    put_u16(out, ballot.node.0);
}

fn put_life_id(out: &mut Vec<u8>, life: LifeId) {
    put_u64(out, life.boots);
    put_u64(out, life.nonce);
}

fn put_damage(out: &mut Vec<u8>, damage: Damage) {
    put_ballot(out, damage.ballot_max);
    put_u64(out, damage.upto.0);
    out.push(u8::from(damage.suspect));
}

fn put_configuration(out: &mut Vec<u8>, configuration: &Configuration) {
    // The format has no place for another number: none may be lost in silence.
    let (number, formation) = (configuration.number, ConfigurationNumber::FORMATION);
    assert_eq!(number, formation, "hard state of configuration {number}, not {formation}");
    put_u16(out, configuration.members.len() as u16);
    for node in &configuration.members {
        put_u16(out, node.0);
    }
    put_u16(out, configuration.prepare);
    put_u16(out, configuration.accept);
    put_u64(out, configuration.window_slots);
}

/// Decodes what [`encode_body`] wrote; nothing when the bytes are anything else.
pub(crate) fn decode_body(bytes: &[u8]) -> Option<HardState> {
    let mut rest = bytes;
    let hard = read_body(&mut rest).ok()?;
    rest.is_empty().then_some(hard)
}

fn read_body(from: &mut &[u8]) -> io::Result<HardState> {
    Ok(HardState {
        promised: read_ballot(from)?,
        lease_longest_us: from.read_u64::<LittleEndian>()?,
        boots: from.read_u64::<LittleEndian>()?,
        formed: read_bool(from)?,
        incarnations: read_table(from)?.into_iter().map(|(n, i)| (n, Incarnation(i))).collect(),
        recoveries: read_table(from)?,
        lives: read_list(from, |from| {
            let (id, start) = (read_life_id(from)?, Lsn(from.read_u64::<LittleEndian>()?));
            Ok(Life { id, start, accounted: Lsn(from.read_u64::<LittleEndian>()?) })
        })?,
        cuts: read_list(from, |from| {
            let (life, upto) = (read_life_id(from)?, Lsn(from.read_u64::<LittleEndian>()?));
            Ok(Cut { life, upto, damage: read_damage(from)? })
        })?,
        configuration: read_some(from, read_configuration)?,
        refuted: read_some(from, read_refuted)?,
        cut_damage: read_some(from, read_damage)?,
    })
}

fn read_bool(from: &mut &[u8]) -> io::Result<bool> {
    match from.read_u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("no boolean: {other}"))),
    }
}

fn read_some<T>(
    from: &mut &[u8],
    read: impl Fn(&mut &[u8]) -> io::Result<T>,
) -> io::Result<Option<T>> {
    if read_bool(from)? { read(from).map(Some) } else { Ok(None) }
}

fn read_list<T>(
    from: &mut &[u8],
    read: impl Fn(&mut &[u8]) -> io::Result<T>,
) -> io::Result<Vec<T>> {
    let rows = from.read_u16::<LittleEndian>()?;
    (0..rows).map(|_| read(from)).collect()
}

fn read_ballot(from: &mut &[u8]) -> io::Result<Ballot> {
    let round = from.read_u64::<LittleEndian>()?;
    Ok(Ballot::new(round, NodeId(from.read_u16::<LittleEndian>()?)))
}

fn read_life_id(from: &mut &[u8]) -> io::Result<LifeId> {
    let boots = from.read_u64::<LittleEndian>()?;
    Ok(LifeId { boots, nonce: from.read_u64::<LittleEndian>()? })
}

fn read_damage(from: &mut &[u8]) -> io::Result<Damage> {
    let (ballot_max, upto) = (read_ballot(from)?, Slot(from.read_u64::<LittleEndian>()?));
    Ok(Damage { ballot_max, upto, suspect: read_bool(from)? })
}

fn read_refuted(from: &mut &[u8]) -> io::Result<Refuted> {
    let witness = NodeId(from.read_u16::<LittleEndian>()?);
    let life = read_life_id(from)?;
    let seen = Witness { life, durable: Lsn(from.read_u64::<LittleEndian>()?) };
    Ok(Refuted { witness, seen, held: Lsn(from.read_u64::<LittleEndian>()?) })
}

fn read_configuration(from: &mut &[u8]) -> io::Result<Configuration> {
    let members = read_list(from, |from| Ok(NodeId(from.read_u16::<LittleEndian>()?)))?;
    Ok(Configuration {
        number: ConfigurationNumber::FORMATION,
        members: members.into_iter().collect::<BTreeSet<NodeId>>(),
        prepare: from.read_u16::<LittleEndian>()?,
        accept: from.read_u16::<LittleEndian>()?,
        window_slots: from.read_u64::<LittleEndian>()?,
    })
}

fn read_table(from: &mut &[u8]) -> io::Result<BTreeMap<NodeId, u64>> {
    let rows = read_list(from, |from| {
        let node = NodeId(from.read_u16::<LittleEndian>()?);
        Ok((node, from.read_u64::<LittleEndian>()?))
    })?;
    Ok(rows.into_iter().collect())
}
