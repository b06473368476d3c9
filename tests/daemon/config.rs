//! A configuration file in a directory of its own.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// One node's place: configuration and data.
pub struct Site {
    dir: TempDir,
    file: String,
    text: String,
    /// Where the node listens for clients.
    pub client: String,
    /// Where the node listens for peers.
    pub peer: String,
    /// Where the nodes listen for clients, by rising id.
    pub clients: Vec<String>,
}

impl Site {
    /// The first node of a cluster of so many; the others are never there.
    pub fn new(members: u16) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut text = format!(
            "cluster_id = \"5ca1ab1e0ddba115ea5eca5e0b5e55ed\"\nnode_id = 1\ndata_dir = {:?}\n\
             segment_bytes = 8388608\nmin_free_bytes = 0\nlisten_admin = \"off\"\n",
            data
        );
        let mut addresses = Vec::new();
        for id in 1..=members {
            let (client, peer) = (free_address(), free_address());
            write!(text, "[[member]]\nid = {id}\nclient = \"{client}\"\npeer = \"{peer}\"\n")
                .unwrap();
            addresses.push((client, peer));
        }
        let file = dir.path().join("paxosd.toml");
        std::fs::write(&file, &text).unwrap();
        let file = file.to_str().unwrap().to_string();
        let clients = addresses.iter().map(|(client, _)| client.clone()).collect();
        let (client, peer) = addresses.swap_remove(0);
        Site { dir, file, text, client, peer, clients }
    }

    /// The configuration file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the node `id` has its admin pages, once the environment says so.
    pub fn admin(&self, id: usize) -> String {
        let (host, _) = self.clients[id - 1].split_once(':').unwrap();
        format!("{host}:7422")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
}

/// An address that no other test of this machine uses: two that ask for a free port may get the same.
fn free_address() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    assert!(count < 64 * 250, "more addresses than one process may have");
    let process = std::process::id();
    let (b, c) = (process % 250 + 1, process / 250 % 4 * 64 + count / 250);
    format!("127.{b}.{c}.{}:7420", count % 250 + 1)
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
