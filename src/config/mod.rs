//! Configuration: as typed, and as checked.
