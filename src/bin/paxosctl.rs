//! The paxosctl command line client. The commands live in `ctl/`.

use rustix::fs::{OFlags, fcntl_getfl, fstat, major, minor};
use rustix::stdio::stdout;
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(paxosd::ctl::main(std::env::args_os(), stdout_is_open()))
}

/// Whether standard output was open when the process began: an index that nobody gets must not pass for
/// printed. In the place of a closed one Rust's runtime has opened /dev/null, to read and to write; a shell
/// opens it to write only.
fn stdout_is_open() -> bool {
    let both = fcntl_getfl(stdout()).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR);
    let null =
        fstat(stdout()).is_ok_and(|file| (major(file.st_rdev), minor(file.st_rdev)) == (1, 3));
    !(both && null)
}
