//! `docs/protocol-vectors.txt` and the worked example of `docs/PROTOCOL.md` against the code, in
//! both directions: what the code writes is what the documents show, and what the documents show
//! is read as the message it stands for. `REWRITE_VECTORS=1` writes the file anew.

#[path = "vectors/client.rs"]
mod client;
#[path = "vectors/document.rs"]
mod document;
#[path = "vectors/file.rs"]
mod file;
#[path = "vectors/model.rs"]
mod model;
#[path = "vectors/peer.rs"]
mod peer;
#[path = "vectors/refused.rs"]
mod refused;
#[path = "vectors/tables.rs"]
mod tables;
