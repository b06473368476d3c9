//! What a node has on its disk: the data directory, and the threads that write it and read it.
//!
//! [`data_dir`] opens it and [`initialise`] makes it; [`workers`] run the jobs of a shard's journal, and
//! [`shortage`] waits for what the system is short of meanwhile.

pub mod cow;
pub mod data_dir;
pub mod data_layout;
pub mod in_memory;
pub mod initialise;
pub mod path_failure;
pub mod shortage;
pub mod workers;
