//! One shard alone, driven step by step: what its clients are promised.

mod absent;
mod chains;
mod checkpoints;
mod clocks;
mod cold_reads;
mod compaction;
mod fates;
mod fates_rig;
mod heal;
mod heal_races;
mod install;
mod installing;
mod levels;
mod memory;
mod node;
mod peers;
mod reads;
mod release;
mod released_starts;
mod rules;
mod snapshots;
mod trim;
mod trio;
mod trio_rig;
mod waiting;
mod writes;
