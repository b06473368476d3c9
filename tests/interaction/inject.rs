//! Raw messages of a script, in the words of the trace.

use crate::cluster::Cluster;
use crate::expect::ballot;
use crate::script::{node, number, value};
use paxosd::types::{
    Ballot, ConfigurationNumber, FormatLevel, Incarnation, Lsn, NodeId, Slot, Tick, Witness,
};
use paxosd::wire::peer::{
    Accept, Accepted, Announce, CanvassAnswer, ChosenUpto, Fetch, Grant, HandOver, Heartbeat,
    Learn, Learned, Message, Nack, Prepare, Promise, Release,
};

/// The words of a message: its kind, its ballot, its `key=value`s.
struct Words<'a>(Vec<&'a str>);

impl Words<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.0.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number(&self, key: &str) -> u64 {
        self.text(key).map_or(0, number)
    }

    fn slot(&self, key: &str) -> Slot {
        Slot(self.number(key))
    }

    fn micros(&self, key: &str) -> u64 {
        self.text(key).map_or(0, |text| {
            let ms: f64 = text.parse().unwrap_or_else(|_| panic!("not milliseconds: {text:?}"));
            (ms * 1000.0).round() as u64
        })
    }

    fn ballot(&self, key: &str) -> Ballot {
        self.text(key).map_or(Ballot::ZERO, ballot)
    }

    fn own_ballot(&self) -> Ballot {
        ballot(self.0.get(1).expect("the message names its ballot"))
    }
}

pub fn parse(cluster: &Cluster, text: &str) -> Message {
    let words = Words(text.split_whitespace().collect());
    let (slot, chosen_upto, durable) =
        (words.slot("slot"), words.slot("chosen"), Lsn(words.number("durable")));
    match words.0[0] {
        "prepare" => Message::Prepare(Prepare {
            ballot: words.own_ballot(),
            chosen_upto,
            released: words.ballot("released"),
        }),
        "promise" => Message::Promise(Promise {
            ballot: words.own_ballot(),
            page: words.number("page") as u32,
            last: words.text("more").is_none(),
            chosen_upto,
            released_upto: words.slot("released"),
            damage: None,
            reports: Vec::new(),
            durable,
        }),
        "accept" => Message::Accept(Accept {
            ballot: words.own_ballot(),
            slot,
            first: words.slot("first"),
            serving_from: Slot(0),
            chosen_upto,
            value: value(words.text("value").expect("an accept has a value")),
        }),
        "accepted" => {
            let (ballot, upto) = (words.own_ballot(), words.slot("upto"));
            let has_room = words.text("full").is_none();
            Message::Accepted(Accepted { ballot, upto, chosen_upto, durable, has_room })
        }
        "heartbeat" => heartbeat(&words, chosen_upto),
        "grant" => Message::Grant(Grant {
            ballot: words.own_ballot(),
            sent_at: Tick(words.micros("at")),
            lease_us: words.micros("lease"),
            chosen_upto,
            accepted_upto: chosen_upto,
            durable,
            has_room: words.text("full").is_none(),
            digest: None,
            wall_ms: 0,
        }),
        "nack" => {
            let promised = words.ballot("promised");
            Message::Nack(Nack { ballot: words.own_ballot(), promised })
        }
        "fetch" => {
            let (ballot, of) = (words.own_ballot(), words.ballot("of"));
            Message::Fetch(Fetch { ballot, slot, of })
        }
        "chosen" => Message::ChosenUpto(ChosenUpto { ballot: words.own_ballot(), chosen_upto }),
        "learn" => Message::Learn(Learn { from: words.slot("from"), upto: words.slot("upto") }),
        "canvass-answer" => {
            let (attempt, promised) = (words.number("attempt"), words.ballot("promised"));
            let yes = words.text("yes").is_some();
            Message::CanvassAnswer(CanvassAnswer { attempt, yes, promised, chosen_upto })
        }
        "learned" => learned(&words, slot, chosen_upto),
        "announce" => announce(cluster, &words),
        "hand-over" => Message::HandOver(HandOver { ballot: words.own_ballot(), chosen_upto }),
        "release" => Message::Release(Release { ballot: words.own_ballot() }),
        other => panic!("no message called {other:?}"),
    }
}

/// `announce known=1:101,2:102 [formed] [number=N] [prepare=Q]`, from the first of these; the number and
/// the quorum are of its configuration.
fn announce(cluster: &Cluster, words: &Words<'_>) -> Message {
    let known = words.text("known").expect("an announce says whom its sender knows");
    let entry = |text: &str| {
        let (id, of) = text.split_once(':').expect("a node and its incarnation");
        (node(id), Incarnation(number(of)))
    };
    let known: Vec<(NodeId, Incarnation)> = known.split(',').map(entry).collect();
    let mut configuration = cluster.replica(known[0].0).expect("it runs").config().configuration();
    configuration.number = ConfigurationNumber(words.number("number"));
    configuration.prepare =
        words.text("prepare").map_or(configuration.prepare, |text| number(text) as u16);
    Message::Announce(Announce {
        incarnation: known[0].1,
        known,
        formed: words.0.contains(&"formed"),
        configuration,
        lives: Vec::new(),
        durable: Witness::default(),
        witness: Vec::new(),
        digest: None,
        known_level: FormatLevel::KNOWN,
    })
}

fn heartbeat(words: &Words<'_>, chosen_upto: Slot) -> Message {
    Message::Heartbeat(Heartbeat {
        ballot: words.own_ballot(),
        sent_at: Tick(words.micros("at")),
        lease_us: words.micros("lease"),
        first: words.slot("first"),
        chosen_upto,
        has_room: true,
        witness: Vec::new(),
        digest: None,
        agreeing: Vec::new(),
        wall_ms: 0,
    })
}

fn learned(words: &Words<'_>, slot: Slot, chosen_upto: Slot) -> Message {
    let of = words.ballot("of");
    let values = words.text("value").map(|text| (slot, of, value(text)));
    let from = words.text("from").map_or(slot, |text| Slot(number(text)));
    let values = values.into_iter().collect();
    Message::Learned(Learned { from, chosen_upto, values, damaged: None, released: None })
}
