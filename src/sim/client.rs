//! One simulated client: what it waits for, and what it was answered of the cluster.

use super::rng::Rng;
use crate::api::name::LogName;
use crate::types::{ConnId, Index, LogId, LostRange};
use std::collections::BTreeMap;

/// One client: at most one connection at a time.
#[derive(Debug)]
pub(super) struct SimClient {
    /// The node it keeps to, whoever leads.
    pub(super) keeps_to: Option<usize>,
    /// It keeps to a node, and asks for all that other clients ask for.
    pub(super) loyal: bool,
    pub(super) target: usize,
    pub(super) conn: Option<ConnId>,
    /// Answers that wait, by correlation number, which is the operation's.
    pub(super) pending: BTreeMap<usize, u64>,
    /// Where to go when nothing is pending any more.
    pub(super) moves_to: Option<usize>,
    pub(super) chain: u32,
    /// The log of each name and its next index, as last answered.
    pub(super) known: BTreeMap<LogName, (LogId, Index)>,
    /// Nothing overtakes, neither on the way there nor on the way back.
    pub(super) there_at: u64,
    back_at: u64,
    pub(super) retired: bool,
    /// A reader's work: the logs that it reads to their ends, and how far it is.
    pub(super) unread: Option<Vec<(LogId, Index)>>,
    /// An operator's work: entries that are to be declared lost.
    pub(super) declares: Vec<(LogId, LostRange)>,
}

impl SimClient {
    /// A client that has asked for nothing yet; a prober, if it keeps to a node.
    pub(super) fn new(keeps_to: Option<usize>, target: usize) -> SimClient {
        SimClient {
            keeps_to,
            loyal: false,
            target,
            conn: None,
            pending: BTreeMap::new(),
            moves_to: None,
            chain: 1,
            known: BTreeMap::new(),
            there_at: 0,
            back_at: 0,
            retired: false,
            unread: None,
            declares: Vec::new(),
        }
    }

    /// When something sent to the client now arrives.
    pub(super) fn arrival(&mut self, now: u64, delay_us: u64, rng: &mut Rng) -> u64 {
        self.back_at = self.back_at.max(now + rng.duration(delay_us));
        self.back_at
    }

    /// It only asks whether appends are acknowledged.
    pub(super) fn is_prober(&self) -> bool {
        self.keeps_to.is_some() && !self.loyal
    }

    /// It waits for no answer, and has nothing left to read or to declare.
    pub(super) fn is_idle(&self) -> bool {
        let has_read = self.unread.as_ref().is_none_or(Vec::is_empty);
        self.pending.is_empty() && has_read && self.declares.is_empty()
    }
}
