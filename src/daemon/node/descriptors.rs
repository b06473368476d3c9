//! Descriptors: what the system allows, what the node's own files and peers need, and what is left
//! for those who call. Callers never take what the node needs to write, to vote and to be watched.

use crate::config::Config;
use crate::daemon::exit::{FatalError, NodeExit};
use crate::limits::{ADMIN_CONNECTIONS_MAX, GREETINGS_MAX, READ_FILES_MAX, READERS_MAX};
use crate::storage::FileStorage;
use rustix::process::{Resource, getrlimit};

/// Of the process: standard streams, signals, the main loop, the lock, listeners, the resolver's
/// sockets, pages of /proc, connections that were just accepted or are about to be closed, and a file for
/// each thread that reads.
const PROCESS: u64 = 48 + READERS_MAX as u64;
/// Of each shard, beside its files: what its loop polls and is woken by.
const LOOP: u64 = 2;
/// Of each peer and shard: the link, the one that replaces it, and one that is refused.
const PEER: u64 = 3;
/// Files that one shard keeps open for readers, at least.
const READ_FILES_MIN: u64 = 2;
/// Connections of one port that have not greeted, at least.
const GREETINGS_MIN: u64 = 8;
/// Connections of the admin port, at least.
const ADMIN_MIN: u64 = 4;
/// Clients, at least: as many as the smallest `connections_max`.
const CLIENTS_MIN: u64 = 16;

/// How the process's descriptors are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// How many the system allows.
    pub allowed: u64,
    /// Files that each shard keeps open for readers alone.
    pub read_files: usize,
    /// Connections of one port that have not said Hello.
    pub greetings_max: usize,
    /// Connections of the admin port.
    pub admin_max: usize,
    /// Connections of clients, were there no `connections_max`.
    pub clients_max: usize,
}

impl Descriptors {
    /// Shares out what the system allows.
    ///
    /// # Errors
    /// 78 where that is too little for the node itself.
    pub fn of_process(config: &Config) -> Result<Descriptors, FatalError> {
        let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Descriptors::share(allowed, config.shards, config.members.len())
    }

    fn share(allowed: u64, shards: u16, members: usize) -> Result<Descriptors, FatalError> {
        let peers = members.saturating_sub(1) as u64;
        let (shards, of_shard) =
            (u64::from(shards), LOOP + FileStorage::DESCRIPTORS as u64 + PEER * peers);
        let least = PROCESS
            + shards * (of_shard + READ_FILES_MIN)
            + 2 * GREETINGS_MIN
            + ADMIN_MIN
            + CLIENTS_MIN;
        if allowed < least {
            let text = format!(
                "the system allows this process {allowed} open files, and a node with {shards} \
                 shards and {members} members needs {least} at least: raise LimitNOFILE= of the \
                 service, or `ulimit -Hn`"
            );
            return Err(FatalError::new(NodeExit::Config, text));
        }
        let read_files = READ_FILES_MIN + (allowed - least) / 8 / shards;
        let read_files = read_files.min(READ_FILES_MAX as u64);
        let spare = allowed - least - shards * (read_files - READ_FILES_MIN);
        let greetings = (GREETINGS_MIN + spare / 8).min(GREETINGS_MAX as u64);
        let admin = (ADMIN_MIN + spare / 16).min(ADMIN_CONNECTIONS_MAX as u64);
        let others = 2 * (greetings - GREETINGS_MIN) + (admin - ADMIN_MIN);
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Descriptors {
            allowed,
            read_files: count(read_files),
            greetings_max: count(greetings),
            admin_max: count(admin),
            clients_max: count(CLIENTS_MIN + spare - others),
        })
    }

    /// Says so where fewer clients fit than are configured.
    pub fn warn(&self, connections_max: usize) {
        let Descriptors { allowed, clients_max, .. } = self;
        if *clients_max < connections_max {
            log::warn!(
                "the system allows {allowed} open files, so that {clients_max} client connections fit \
                 beside files and peers, not connections_max = {connections_max}: raise LimitNOFILE, \
                 or lower connections_max"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What all callers may take and what the node needs never comes to more than is allowed.
    #[test]
    fn callers_never_take_what_the_node_needs() {
        let (mut shared, mut refused) = (0, 0);
        for allowed in (0..3000).chain([4096, 65_536, 1 << 20, u64::MAX]) {
            for (shards, members) in [(1, 1), (1, 3), (4, 5), (16, 3), (64, 3), (256, 15)] {
                let Ok(share) = Descriptors::share(allowed, shards, members) else {
                    refused += 1;
                    continue;
                };
                shared += 1;
                let of_shard = LOOP as usize
                    + FileStorage::DESCRIPTORS
                    + share.read_files
                    + PEER as usize * (members - 1);
                let own = PROCESS as usize + of_shard * usize::from(shards);
                let callers = share.clients_max + share.admin_max + 2 * share.greetings_max;
                let all = own as u64 + callers as u64;
                assert!(all <= allowed, "{allowed} allowed, {shards} shards: {all}, {share:?}");
                assert!(share.clients_max >= 16 && share.admin_max >= 4, "{share:?}");
                assert!(share.greetings_max >= 8 && share.read_files >= 2, "{share:?}");
            }
        }
        assert!(shared > 5000 && refused > 500, "{shared} {refused}");
    }

    /// With plenty, all bounds are those of `limits.rs`; with too little the error names the
    /// numbers.
    #[test]
    fn plenty_changes_nothing_and_too_little_is_refused() {
        let plenty = Descriptors::share(65_536, 16, 3).expect("plenty");
        assert_eq!(plenty.greetings_max, GREETINGS_MAX);
        assert_eq!(plenty.admin_max, ADMIN_CONNECTIONS_MAX);
        assert_eq!(plenty.read_files, READ_FILES_MAX);
        assert!(plenty.clients_max > 60_000, "{plenty:?}");
        let refused = Descriptors::share(256, 16, 3).expect_err("too little");
        assert_eq!(refused.exit, NodeExit::Config);
        assert!(refused.text.contains("256 open files") && refused.text.contains("16 shards"));
    }
}
