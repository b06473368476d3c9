//! What answers take of a shard's memory (R39): what waits on connections, what was handed out in
//! this turn, and what is set aside for answers in the making.

use crate::api::{Listed, LogStat, ReadDone, Reply};
use crate::limits::{
    SHARD_ANSWER_BYTES_MAX, SMALL_READ_BYTES, SMALL_READS_BYTES, TURN_ANSWER_BYTES_MAX,
};

/// Bytes of an answer beside what it carries.
const ANSWER_BYTES: usize = 64;

/// The bytes of all answers of a shard.
#[derive(Debug, Default)]
pub struct Budget {
    /// They wait on connections, as the driver said at the beginning of this turn.
    unsent: usize,
    /// They were handed to the driver in this turn: answers to reads.
    read: usize,
    /// They were handed to the driver in this turn: all other answers.
    other: usize,
    /// They are set aside for answers in the making, with what these read from the disk.
    reserved: usize,
}

impl Budget {
    /// A turn of the driver's loop begins, and so many bytes wait on connections.
    pub(super) fn begin_turn(&mut self, unsent: usize) {
        (self.unsent, self.read, self.other) = (unsent, 0, 0);
    }

    /// Bytes that are taken.
    pub(super) fn in_use(&self) -> usize {
        self.unsent + self.read + self.other + self.reserved
    }

    /// This turn has answered as many reads as one turn may: peers and disk come first.
    pub(super) fn is_spent(&self) -> bool {
        self.read >= TURN_ANSWER_BYTES_MAX
    }

    /// This turn has made as many other answers as one turn may. They never wait, so the driver should
    /// take in no more requests.
    pub(super) fn is_full(&self) -> bool {
        self.other >= TURN_ANSWER_BYTES_MAX
    }

    /// Any read can be answered now, whatever it brings.
    pub(super) fn has_plenty(&self) -> bool {
        !self.is_spent() && self.in_use() <= SHARD_ANSWER_BYTES_MAX / 2
    }

    /// There is memory for so many bytes more. Large reads leave a part to small ones, so that these
    /// never wait for clients that take nothing of a large answer.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        let most = match bytes {
            ..=SMALL_READ_BYTES => SHARD_ANSWER_BYTES_MAX,
            _ => SHARD_ANSWER_BYTES_MAX - SMALL_READS_BYTES,
        };
        self.in_use() + bytes <= most
    }

    /// Bytes set aside.
    pub(super) fn reserved(&self) -> usize {
        self.reserved
    }

    /// Sets bytes aside.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.reserved += bytes;
    }

    /// Gives back what was set aside.
    pub(super) fn release(&mut self, bytes: usize) {
        assert!(bytes <= self.reserved, "released {bytes} bytes of {}", self.reserved);
        self.reserved -= bytes;
    }

    /// An answer leaves the shard.
    pub(super) fn hand(&mut self, reply: &Reply) {
        let bytes = answer_bytes(reply);
        let is_read = matches!(reply, Reply::ReadDone(_));
        *(if is_read { &mut self.read } else { &mut self.other }) += bytes;
    }
}

/// Bytes of an answer, about.
pub fn answer_bytes(reply: &Reply) -> usize {
    let carried = if let Reply::ReadDone(ReadDone { entries, .. }) = reply {
        entries.byte_len()
    } else if let Reply::Listed(Listed { logs, .. }) = reply {
        let of = |log: &LogStat| size_of::<LogStat>() + log.name.as_str().len();
        logs.iter().map(of).sum()
    } else {
        0
    };
    ANSWER_BYTES + carried
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R39: whatever is unsent, handed out or set aside counts; large reads leave memory to small ones.
    #[test]
    fn r39_all_that_answers_take_counts() {
        let mut budget = Budget::default();
        let large = SHARD_ANSWER_BYTES_MAX - SMALL_READS_BYTES;
        assert!(budget.has_plenty() && budget.fits(large) && !budget.fits(large + 1));
        budget.begin_turn(large / 2);
        budget.reserve(large / 4);
        budget.other = large / 4;
        assert!(!budget.has_plenty() && !budget.fits(SMALL_READ_BYTES + 1));
        assert!(budget.fits(SMALL_READ_BYTES));
        budget.begin_turn(SHARD_ANSWER_BYTES_MAX - large / 4);
        assert!(!budget.fits(1), "small reads have a bound too");
        budget.release(large / 4);
        assert!(budget.fits(1));
    }

    /// A turn makes so many bytes of answers and no more, though there is memory for more.
    #[test]
    fn a_turn_is_spent() {
        let mut budget = Budget::default();
        budget.hand(&Reply::Pong);
        assert!(budget.in_use() > 0 && budget.has_plenty() && !budget.is_full());
        budget.read = TURN_ANSWER_BYTES_MAX;
        assert!(budget.is_spent() && !budget.has_plenty() && budget.fits(1));
        budget.begin_turn(0);
        assert!(!budget.is_spent());
        budget.other = TURN_ANSWER_BYTES_MAX;
        assert!(budget.is_full() && !budget.is_spent());
    }
}
