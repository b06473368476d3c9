//! What nodes write beside the batches of their clients, by the files that they make.

use crate::rig::node::files;
use crate::rig::poll;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What some node makes: of two, the one that stands lower here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InMaking {
    /// Nothing.
    Nothing,
    /// The next segment of its journal, which it fills with zeros.
    Segment,
    /// A checkpoint, or a part of one.
    Checkpoint,
}

impl InMaking {
    /// All of them, in order.
    pub const ALL: [InMaking; 3] = [InMaking::Nothing, InMaking::Segment, InMaking::Checkpoint];

    /// What it is called in a report.
    pub fn name(self) -> &'static str {
        match self {
            InMaking::Nothing => "while neither is made",
            InMaking::Segment => "while a segment is made",
            InMaking::Checkpoint => "while a checkpoint is taken",
        }
    }

    fn of(file: &str) -> InMaking {
        match (file.ends_with(".new"), file.starts_with("segment-")) {
            (false, _) => InMaking::Nothing,
            (true, true) => InMaking::Segment,
            (true, false) => InMaking::Checkpoint,
        }
    }
}

/// Looks for it all the time.
pub struct Watch {
    seen: Arc<AtomicU8>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Looks into these folders.
    pub fn begin(journals: Vec<PathBuf>) -> Watch {
        let (seen, stop) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicBool::new(false)));
        let (found, ends) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let all = journals.iter().flat_map(|folder| files(folder, ""));
                let names = all.filter_map(|path| Some(path.file_name()?.to_str()?.to_string()));
                let made = names.map(|name| InMaking::of(&name)).max();
                found.store(made.unwrap_or(InMaking::Nothing) as u8, Ordering::Relaxed);
                poll::pass(Duration::from_millis(2));
            }
        });
        Watch { seen, stop, thread: Some(thread) }
    }

    /// What is made now.
    pub fn seen(&self) -> InMaking {
        InMaking::ALL[usize::from(self.seen.load(Ordering::Relaxed))]
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("what looks for files in the making has panicked");
        }
    }
}
