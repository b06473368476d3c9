//! A node with admin pages, and what they say of its ports.

use crate::place::Place;
use crate::poll;
use crate::rig::{Daemon, Raw, append};
use crate::web::{Answer, Web, get, sample};
use paxosd::api::Reply;
use tempfile::TempDir;

/// What a node says on its page of one port's connections that were turned away or closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    pub refused: u64,
    pub garbage: u64,
    pub slow: u64,
    pub turned_away: u64,
    pub overflowed: u64,
    pub cut_short: u64,
}

impl Refusals {
    /// Those of a port, since the node's start.
    #[track_caller]
    pub fn at(admin: &str, port: &str) -> Refusals {
        let page = get(admin, "/metrics").body;
        let of = |reason: &str| {
            let labels = format!("{{port=\"{port}\",reason=\"{reason}\"}}");
            sample(&page, &format!("paxosd_connections_refused_total{labels}")) as u64
        };
        Refusals {
            refused: of("refused"),
            garbage: of("garbage"),
            slow: of("slow"),
            turned_away: of("turned_away"),
            overflowed: of("overflowed"),
            cut_short: of("cut_short"),
        }
    }
}

/// A node of its own with admin pages.
pub struct Watched {
    pub daemon: Daemon,
    pub admin: String,
    _place: Place,
    _dir: TempDir,
}

impl Watched {
    /// One that is ready.
    #[track_caller]
    pub fn start() -> Watched {
        let (place, dir) = (Place::claim(), tempfile::tempdir().unwrap());
        let (listen, admin) = (place.endpoint(1), format!("{}:7422", place.address(1)));
        let arguments = ["--listen", &listen, "--admin", &admin];
        let daemon = Daemon::start_at(&dir.path().join("data"), &arguments, &[]);
        let watched = Watched { daemon, admin, _place: place, _dir: dir };
        poll::until("the node is ready", || (watched.get("/readyz").code == 200).then_some(()));
        watched
    }

    /// The answer to a request on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        get(&self.admin, path)
    }

    /// What it counted of a port.
    #[track_caller]
    pub fn refusals(&self, port: &str) -> Refusals {
        Refusals::at(&self.admin, port)
    }

    /// Clients are served, and so are probes.
    #[track_caller]
    pub fn assert_well(&self) {
        let (mut client, _) = Raw::open(&self.daemon.address, 0);
        assert!(matches!(client.ask_leader(&append("log", b"x")), Reply::Appended(_)));
        assert_eq!(self.get("/livez").body, "live\n");
        assert_eq!(self.get("/readyz").body, "ready\n");
    }

    /// Sends bytes that are no good request, and expects that answer and the end.
    #[track_caller]
    pub fn expect(&self, bytes: &[u8], code: u16) -> Answer {
        let mut web = Web::connect(&self.admin);
        web.send(bytes);
        let answer = web.answer(true);
        assert_eq!(answer.code, code, "{answer:?}");
        assert_eq!(answer.header("Connection"), "close");
        assert_eq!(web.rest(), 0, "more than the answer came");
        answer
    }
}
