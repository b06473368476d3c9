//! The replicated state machine: logs by name.
