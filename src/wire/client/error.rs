//! Errors as bytes. Their layout never changes: they answer a Hello before versions are settled.

use crate::api::error::{Detail, ErrorCode, Leader, Outcome, RequestError, Retry};
use crate::types::{Index, LogId, NodeId, ShardId};
use crate::wire::codec::{DecodeError, ListLimit, Reader, Writer};

/// Members of a cluster, by their numbers.
const UNMET: ListLimit = ListLimit { items_max: u16::MAX as usize, item_bytes_min: 2 };

/// Appends an error behind the reply header.
pub(in crate::wire) fn put_error(body: &mut Vec<u8>, error: &RequestError) {
    body.put_u16(error.code.number());
    body.put_u8(error.outcome as u8);
    body.put_u8(error.retry as u8);
    body.put_u32(error.retry_after_ms);
    let mut detail = Vec::new();
    let number = put_detail(&mut detail, &error.detail);
    body.put_u8(number);
    body.put_bytes16(&detail);
    body.put_text(&error.text);
}

fn put_detail(out: &mut Vec<u8>, detail: &Detail) -> u8 {
    match detail {
        Detail::None => 0,
        Detail::Leader(leader) => {
            out.put_node_or_none(leader.as_ref().map(|leader| leader.node));
            out.put_text(leader.as_ref().map_or("", |leader| &leader.address));
            1
        }
        Detail::Next { log, next } => {
            out.put_u64(log.0);
            out.put_u64(next.0);
            2
        }
        Detail::Log(log) => {
            out.put_u64(log.0);
            3
        }
        Detail::Shard(shard) => {
            out.put_u16(shard.0);
            4
        }
        Detail::Limit(limit) => {
            out.put_u64(*limit);
            5
        }
        Detail::Versions { min, max } => {
            out.put_u16(*min);
            out.put_u16(*max);
            6
        }
        Detail::Unformed(unmet) => {
            out.put_list(unmet, |out, node| out.put_u16(node.0));
            7
        }
    }
}

/// Reads an error behind the reply header. What lies behind its fields is a newer node's, and
/// ignored; so is a detail of unknown number.
pub(in crate::wire) fn error(body: &mut Reader<'_>) -> Result<RequestError, DecodeError> {
    let code = ErrorCode::from_number(body.u16("code")?);
    let outcome = match body.u8("outcome")? {
        0 => Outcome::NotExecuted,
        1 => Outcome::Executed,
        // What a newer node means is not known here: to claim less would be a lie.
        2.. => Outcome::Unknown,
    };
    let retry = match body.u8("retry")? {
        1 => Retry::Here,
        2 => Retry::Elsewhere,
        0 | 3.. => Retry::No,
    };
    let retry_after_ms = body.u32("retry_after_ms")?;
    let number = body.u8("detail_kind")?;
    let detail = detail(number, Reader::new(body.bytes16("detail")?))?;
    let text = body.text("text")?.to_string();
    Ok(RequestError { code, outcome, retry, retry_after_ms, detail, text })
}

fn detail(number: u8, mut body: Reader<'_>) -> Result<Detail, DecodeError> {
    Ok(match number {
        1 => {
            let node = body.node_or_none("leader")?;
            let address = body.text("leader address")?.to_string();
            Detail::Leader(node.map(|node| Leader { node, address }))
        }
        2 => Detail::Next { log: LogId(body.u64("log")?), next: Index(body.u64("next")?) },
        3 => Detail::Log(LogId(body.u64("log")?)),
        4 => Detail::Shard(ShardId(body.u16("shard")?)),
        5 => Detail::Limit(body.u64("limit")?),
        6 => Detail::Versions { min: body.u16("version_min")?, max: body.u16("version_max")? },
        7 => Detail::Unformed(body.list("unmet", UNMET, |body| Ok(NodeId(body.u16("unmet")?)))?),
        0 | 8.. => Detail::None,
    })
}
