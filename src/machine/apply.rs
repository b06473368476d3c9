//! Applying chosen values: the one place where the machine changes.

use super::assembly::MachineOutcome;
use super::batch::Commands;
use super::command::CommandError;
use super::feature::CommandPlace;
use super::logs::SlotExtents;
use super::state::Machine;
use crate::types::{Extent, LogId, Slot, Value};
use thiserror::Error;

/// A chosen value that this node cannot apply. Nothing of it was applied. The node must stop: to
/// skip what its peers may have understood would be to part from them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("slot {slot} cannot be applied: {source}")]
pub struct MachineError {
    /// The slot whose value it is: the one after those applied.
    pub slot: Slot,
    /// What is wrong with its value.
    pub source: CommandError,
}

/// What applying a slot's value came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedSlot {
    /// What became of each command, in their order; none for a no-op or a void value.
    pub outcomes: Vec<MachineOutcome>,
    /// Where the entries lie that were appended.
    pub extents: Vec<(LogId, Extent)>,
}

impl Machine {
    /// Applies the value chosen for `slot`, the next one (R18). The watermark moves with the effects: either all
    /// of the value is applied or, in case of an error, nothing.
    ///
    /// A leadership proposes its values for consecutive slots, and a later one may find some of
    /// them and not others, because what it finds depends on whom it asks. So that nothing takes
    /// effect without all that the same leadership proposed before, on whatever connection it was
    /// sent, a value is *void*, with no outcomes, unless every slot from the last value that its
    /// leadership marked as a first one up to it holds a value of that leadership. What a leader
    /// acknowledges is never void: it was chosen in one ballot together with all of these. A leadership
    /// marks a value as first when all that it proposed before is chosen.
    ///
    /// # Errors
    /// When the value holds anything that this node does not understand.
    ///
    /// # Panics
    /// When `slot` is not the one after [`Machine::applied_upto`].
    pub fn apply(&mut self, slot: Slot, value: &Value) -> Result<AppliedSlot, MachineError> {
        let next = self.applied_upto.next();
        assert!(slot == next, "slots are applied in order: slot={slot} next={next}");
        let applied = if value.is_noop() {
            self.applying_leadership = None;
            AppliedSlot::default()
        } else {
            self.execute_all(slot, value).map_err(|source| MachineError { slot, source })?
        };
        self.applied_upto = slot;
        Ok(applied)
    }

    fn execute_all(&mut self, slot: Slot, value: &Value) -> Result<AppliedSlot, CommandError> {
        // All of it is decoded before anything takes effect, so that an error leaves no half of it.
        let (count, raised) = Commands::check(value)?;
        let commands = Commands::new(value)?;
        let leadership = Some(commands.leadership());
        if !commands.is_first() && self.applying_leadership != leadership {
            self.applying_leadership = None;
            return Ok(AppliedSlot::default());
        }
        if raised > self.known {
            // What comes behind may be of that level (C44d).
            return Err(CommandError::Level { found: raised, known: self.known });
        }
        self.applying_leadership = leadership;
        // One clock that was set back moves no stamp back.
        self.stamp_ms = self.stamp_ms.max(commands.stamp_ms());
        let mut extents = SlotExtents::new(slot, self.stamp_ms);
        let mut outcomes = Vec::with_capacity(count as usize);
        for item in commands {
            let (offset, command) = item.expect("the whole value was decoded just before");
            let place = CommandPlace { slot, offset };
            outcomes.push(self.features.execute(place, &command, &mut extents));
        }
        Ok(AppliedSlot { outcomes, extents: extents.finish() })
    }
}
