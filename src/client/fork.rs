//! What comes out of a client and stands on its own.

use super::core::{Client, Target, entropy};
use crate::types::{Random, ShardId};

impl Client {
    /// Another client of the same cluster. It takes this one's connection for a shard along; this
    /// one makes itself another when it needs one. So a pipeline and the client that it came from
    /// never have requests under way on the same connection, and neither waits for the other.
    pub(super) fn fork(&mut self, shard: ShardId, target: Target) -> Client {
        Client {
            options: self.options.clone(),
            routes: self.routes.clone(),
            limits: self.limits,
            whole: self.whole,
            map_is_new: false,
            links: self.links.remove_entry(&(shard, target)).into_iter().collect(),
            local_turn: self.local_turn,
            random: Random::new(entropy()),
            last_chain: self.last_chain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Appender, Client, Follow, Reader};

    /// Each of them may be given to another thread, and lives as long as that wants.
    #[test]
    fn what_comes_out_of_a_client_goes_to_any_thread() {
        fn goes_anywhere<T: Send + 'static>() {}
        goes_anywhere::<Client>();
        goes_anywhere::<Appender>();
        goes_anywhere::<Reader>();
        goes_anywhere::<Follow>();
    }
}
