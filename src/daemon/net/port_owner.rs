//! Who holds a port that a node cannot have, where the system lets it be known.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};

/// The state of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";
/// Most processes that are looked at.
const PROCESSES_MAX: usize = 65_536;

/// The process that listens at an address, as `process 17 (nginx)`; none where there is none, or
/// where it belongs to another user and this process is not root.
#[must_use]
pub fn owner(address: SocketAddr) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables.iter().filter_map(|path| fs::read_to_string(path).ok());
    let inodes: BTreeSet<String> = tables.flat_map(|table| listeners(&table, address)).collect();
    if inodes.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok).take(PROCESSES_MAX);
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let mut pids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let pid = pids.find(|pid| holds(pid, &inodes))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({})", name.trim()))
}

/// The inodes of sockets that listen where nobody else can listen at `address`: on that port, at that
/// address or at all of them. A table of the kernel has one line a socket, with its local address
/// second, its state fourth and its inode tenth.
fn listeners(table: &str, address: SocketAddr) -> Vec<String> {
    let port = format!(":{:04X}", address.port());
    let ip = hexadecimal(address.ip());
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let at = local.strip_suffix(&port).filter(|_| *state == LISTENING)?;
        let all = |at: &str| at.bytes().all(|digit| digit == b'0');
        (at == ip || all(at) || all(&ip)).then(|| (*inode).to_string())
    };
    table.lines().skip(1).filter_map(of).collect()
}

/// An address as those tables have it: in words of 32 bits, each in the machine's order of bytes.
fn hexadecimal(ip: IpAddr) -> String {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]);
    words.map(|word| format!("{:08X}", u32::from_ne_bytes(word))).collect()
}

/// True when a process has one of these sockets open.
fn holds(pid: &str, inodes: &BTreeSet<String>) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.filter_map(Result::ok).any(|file| {
        let target = fs::read_link(file.path()).ok();
        let target = target.and_then(|path| path.into_os_string().into_string().ok());
        let inode = target.as_deref().and_then(|name| name.strip_prefix("socket:["));
        inode.and_then(|rest| rest.strip_suffix(']')).is_some_and(|inode| inodes.contains(inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A port that this very process listens at is its own; one that nobody has is nobody's.
    #[test]
    fn the_owner_of_a_port_is_found() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let taken = TcpListener::bind(address).expect("some port is free");
            let at = taken.local_addr().expect("a listener has an address");
            let shown = owner(at).expect("this process holds it");
            assert!(shown.starts_with(&format!("process {} (", std::process::id())), "{shown}");
            drop(taken);
        }
        assert_eq!(owner(SocketAddr::from(([127, 0, 0, 1], 1))), None);
    }

    /// Only sockets that listen at that port count, and of those only the ones at that address, or at
    /// every address.
    #[test]
    fn tables_of_the_kernel_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1CFC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n\
            \x20  1: 0100007F:1CFC 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n\
            \x20  2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0\n";
        let listeners = |at: &str| listeners(table, at.parse().expect("an address"));
        assert_eq!(listeners("127.0.0.1:7420"), ["4711"]);
        assert_eq!(listeners("0.0.0.0:7420"), ["4711"]);
        assert_eq!(listeners("127.0.0.2:7420"), Vec::<String>::new());
        assert_eq!(listeners("127.0.0.2:22"), ["4713"]);
        assert_eq!(listeners("127.0.0.2:23"), Vec::<String>::new());
    }
}
