//! `paxosctl` as a user runs it.

use super::Cluster;
use super::node::clean_command;
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// What a program said, and its exit code.
#[derive(Debug)]
pub struct Ran {
    what: String,
    /// The exit code; none when it ended on a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Takes the outcome of a program.
    pub fn new(what: String, output: &Output) -> Ran {
        Ran {
            what,
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test unless it ended with that code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ran {
        assert_eq!(
            self.code,
            Some(code),
            "{} ended so, not with {code}; it said:\n{}{}",
            self.what,
            self.out,
            self.err
        );
        self
    }

    /// Fails the test unless it said that, on either stream.
    #[track_caller]
    pub fn says(self, text: &str) -> Ran {
        let said = self.out.contains(text) || self.err.contains(text);
        assert!(said, "{} said nothing of {text:?}:\n{}{}", self.what, self.out, self.err);
        self
    }
}

/// `paxosd` with these arguments, to its end.
#[track_caller]
pub fn paxosd<I>(arguments: I) -> Ran
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut command = clean_command(env!("CARGO_BIN_EXE_paxosd"));
    command.args(arguments);
    let output = command.output().expect("paxosd was built and can be started");
    Ran::new(format!("{command:?}"), &output)
}

/// `paxosctl` with these arguments and no cluster, to its end.
#[track_caller]
pub fn paxosctl<I>(arguments: I) -> Ran
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut command = clean_command(env!("CARGO_BIN_EXE_paxosctl"));
    command.args(arguments);
    let output = command.output().expect("paxosctl was built and can be started");
    Ran::new(format!("{command:?}"), &output)
}

impl Cluster {
    /// `paxosctl` with these arguments, all nodes being its endpoints.
    #[track_caller]
    pub fn ctl<I>(&self, arguments: I) -> Ran
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.ctl_fed(arguments, b"")
    }

    /// Likewise, with that on standard input.
    #[track_caller]
    pub fn ctl_fed<I>(&self, arguments: I, input: &[u8]) -> Ran
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = self.ctl_command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("paxosctl was built and can be started");
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        // A command that fails early does not read what it is fed.
        let _may_have_ended = stdin.write_all(input);
        drop(stdin);
        let output = child.wait_with_output().expect("a child can be waited for");
        Ran::new(format!("{command:?}"), &output)
    }

    /// `paxosctl` before its arguments.
    pub fn ctl_command(&self) -> Command {
        let mut command = clean_command(env!("CARGO_BIN_EXE_paxosctl"));
        command.env("PAXOSCTL_ENDPOINTS", self.endpoints().join(","));
        command
    }
}
