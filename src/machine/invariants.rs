//! What holds in every state of a machine. Tests and the simulator check it after every step.

use super::state::Machine;

/// Checks a whole state; its work grows with the size of the features' states.
///
/// # Panics
/// When an invariant is broken.
pub fn check_state(machine: &Machine) {
    machine.features.check();
}
