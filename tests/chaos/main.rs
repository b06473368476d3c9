//! Chaos: clients append to a cluster of real processes while nodes are killed, frozen and
//! restarted; afterwards nothing that was acknowledged may be lost, moved or doubled, and every
//! replica must hold the same. `scripts/chaos.sh` runs it for longer.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test that cannot go on has failed, and says so.

mod clients;
mod killer;
mod planted;
#[path = "../process/rig/mod.rs"]
mod rig;
mod run;
mod watchers;

use run::Settings;

/// Zero acknowledged entries lost, moved, or doubled under `kill -9`, pauses and restarts; reads
/// are linearizable; all replicas end identical.
#[test]
fn nothing_acknowledged_is_lost() {
    let settings = Settings::from_environment();
    for run in 0..settings.runs {
        run::once(&settings, run);
    }
}
