//! Errors as bytes. Their layout never changes: they answer a Hello before versions are settled.

use crate::api::error::{Detail, ErrorCode, Leader, Outcome, RequestError, Retry};
use crate::types::NodeId;
use crate::wire::codec::{BodyReader, DecodeError, Writer};
use crate::wire::field::{Encoding, Field, ListLimit};

/// Members of a cluster, by their numbers.
const UNMET: ListLimit = ListLimit { items_max: u16::MAX as usize, item_bytes_min: 2 };

/// What lies behind the fields is a newer node's: whoever takes an error leaves it unread. So is a
/// detail of unknown number.
impl Field for RequestError {
    fn put(&self, body: &mut Vec<u8>) {
        body.put_u16(self.code.number());
        body.put_u8(self.outcome as u8);
        body.put_u8(self.retry as u8);
        body.put_u32(self.retry_after_ms);
        let mut detail = Vec::new();
        let number = put_detail(&mut detail, &self.detail);
        body.put_u8(number);
        body.put_bytes16(&detail);
        body.put_text(&self.text);
    }

    fn take(body: &mut BodyReader<'_>, _: &'static str) -> Result<RequestError, DecodeError> {
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
        let detail = detail(number, BodyReader::new(body.bytes16("detail")?))?;
        let text = Field::take(body, "text")?;
        Ok(RequestError { code, outcome, retry, retry_after_ms, detail, text })
    }
}

fn put_detail(out: &mut Vec<u8>, detail: &Detail) -> u8 {
    match detail {
        Detail::None => 0,
        Detail::Leader(leader) => {
            leader.as_ref().map(|leader| leader.node).put(out);
            out.put_text(leader.as_ref().map_or("", |leader| &leader.address));
            1
        }
        Detail::Next { log, next } => {
            log.put(out);
            next.put(out);
            2
        }
        Detail::Log(log) => {
            log.put(out);
            3
        }
        Detail::Shard(shard) => {
            shard.put(out);
            4
        }
        Detail::Limit(limit) => {
            limit.put(out);
            5
        }
        Detail::Versions { min, max } => {
            min.put(out);
            max.put(out);
            6
        }
        Detail::Unformed(unmet) => {
            UNMET.put(unmet, out);
            7
        }
        Detail::First { log, first } => {
            log.put(out);
            first.put(out);
            8
        }
        Detail::Lost { log, range } => {
            log.put(out);
            range.put(out);
            9
        }
    }
}

fn detail(number: u8, mut body: BodyReader<'_>) -> Result<Detail, DecodeError> {
    let body = &mut body;
    Ok(match number {
        1 => {
            let node: Option<NodeId> = Field::take(body, "leader")?;
            let address = Field::take(body, "leader address")?;
            Detail::Leader(node.map(|node| Leader { node, address }))
        }
        2 => Detail::Next { log: Field::take(body, "log")?, next: Field::take(body, "next")? },
        3 => Detail::Log(Field::take(body, "log")?),
        4 => Detail::Shard(Field::take(body, "shard")?),
        5 => Detail::Limit(Field::take(body, "limit")?),
        6 => Detail::Versions {
            min: Field::take(body, "version_min")?,
            max: Field::take(body, "version_max")?,
        },
        7 => Detail::Unformed(UNMET.take(body, "unmet")?),
        8 => Detail::First { log: Field::take(body, "log")?, first: Field::take(body, "first")? },
        9 => Detail::Lost { log: Field::take(body, "log")?, range: Field::take(body, "range")? },
        0 | 10.. => Detail::None,
    })
}
