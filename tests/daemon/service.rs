//! A daemon under a service manager that is a socket of the test's.

use crate::config::Site;
use crate::rig::{PATIENCE, paxosd, run};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Child;

/// A running `paxosd run`, and all that it sends to its manager.
pub struct Service {
    pub site: Site,
    child: Child,
    socket: UnixDatagram,
    log: PathBuf,
}

impl Service {
    /// A node in a fresh directory, just started.
    pub fn start(site: Site, environment: &[(&str, &str)]) -> Service {
        let made = run(&["init", "--config", site.file()], &[]);
        assert!(made.status.success(), "{made:?}");
        let folder = site.data().parent().unwrap().to_path_buf();
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let log = folder.join("log");
        let child = paxosd()
            .args(["run", "--config", site.file()])
            .env("NOTIFY_SOCKET", folder.join("notify"))
            .env_remove("WATCHDOG_PID")
            .env_remove("WATCHDOG_USEC")
            .envs(environment.iter().copied())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Service { site, child, socket, log }
    }

    /// What it sends next, as one text of lines.
    #[track_caller]
    pub fn next_message(&self) -> String {
        let mut bytes = [0; 4096];
        match self.socket.recv(&mut bytes) {
            Ok(count) => String::from_utf8_lossy(&bytes[..count]).into_owned(),
            Err(error) => panic!("nothing was sent: {error}\n{}", self.log()),
        }
    }

    /// The next that holds this line, or begins one so; all else before it is passed over.
    #[track_caller]
    pub fn wait_for(&self, wanted: &str) -> String {
        loop {
            let message = self.next_message();
            if message.lines().any(|line| line.starts_with(wanted)) {
                return message;
            }
        }
    }

    /// All that it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, once it has ended.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Gone already at best; a test that failed leaves nobody behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
