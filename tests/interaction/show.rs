//! Messages, records and effects as compact lines of a trace.

use paxosd::paxos::{DiskBudget, Effect, Role, Stop};
use paxosd::types::{Lsn, NodeId, Record, Refuted, Slot, Witness};
use paxosd::wire::peer::{
    Announce, Eligibility, FetchOutcome, Heartbeat, LossAsk, Message, Promise, Report,
};

pub fn role(role: &Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::Canvassing(_) => "canvassing",
        Role::Candidate(_) => "candidate",
        Role::Leader(_) => "leader",
    }
}

/// What a disk still takes.
pub fn room(room: &DiskBudget) -> &'static str {
    match room {
        DiskBudget { election: 0, .. } => "has no room, not even for elections",
        DiskBudget { new_values: 0, .. } => "is full but for its reserve",
        DiskBudget { .. } => "has room",
    }
}

fn full(has_room: bool) -> &'static str {
    if has_room { "" } else { " full" }
}

/// Microseconds as milliseconds.
pub fn ms(micros: u64) -> String {
    let text = format!("{}.{:03}", micros / 1000, micros % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn report(slot: Slot, report: &Report) -> String {
    match report {
        Report::Accepted(ballot) => format!("{slot}:{ballot}"),
        Report::ValueDamaged(ballot) => format!("{slot}:{ballot}/value-damaged"),
        Report::Damaged(hi) => format!("{slot}:damaged<={hi}"),
        Report::Suspect(hi) => format!("{slot}:suspect<={hi}"),
    }
}

fn promise(p: &Promise) -> String {
    let reports: Vec<String> = p.reports.iter().map(|(slot, r)| report(*slot, r)).collect();
    let mut text = format!("promise {} chosen={}", p.ballot, p.chosen_upto);
    if p.page > 0 || !p.last {
        text += &format!(" page={}{}", p.page, if p.last { " last" } else { "" });
    }
    if p.released_upto > Slot(0) {
        text += &format!(" released={}", p.released_upto);
    }
    if let Some(damage) = &p.damage {
        let kind = if damage.suspect { "suspect" } else { "damaged" };
        text += &format!(" {kind}<={} upto={}", damage.ballot_max, damage.upto);
    }
    text + &format!(" [{}]", reports.join(" "))
}

/// A life and an LSN of it; `-` for nothing seen.
fn witness(seen: &Witness) -> String {
    let life = seen.life.boots;
    if life == 0 { "-".to_string() } else { format!("{}/{life}", seen.durable) }
}

fn table(seen: &[(NodeId, Witness)]) -> String {
    seen.iter().map(|w| format!("{}:{}", w.0, witness(&w.1))).collect::<Vec<_>>().join(" ")
}

fn outcome(outcome: &FetchOutcome) -> String {
    match outcome {
        FetchOutcome::Held(value) => format!("{value:?}"),
        FetchOutcome::Damaged => "damaged".to_string(),
        FetchOutcome::NotHeld => "not held".to_string(),
        FetchOutcome::Chosen => "chosen".to_string(),
    }
}

fn announce(m: &Announce) -> String {
    let known: Vec<String> = m.known.iter().map(|k| format!("{}:{}", k.0, k.1)).collect();
    let formed = if m.formed { " formed" } else { "" };
    let (known, durable) = (known.join(" "), witness(&m.durable));
    format!("announce known=[{known}] durable={durable} seen=[{}]{formed}", table(&m.witness))
}

fn eligibility(m: &Eligibility) -> String {
    let (ready, leaving) =
        (if m.ready { " ready" } else { "" }, if m.leaving { " leaving" } else { "" });
    let lacks = if m.lacks_entries { " lacks-entries" } else { "" };
    format!("eligibility{ready}{leaving}{lacks} linked={}", m.linked)
}

fn heartbeat(m: &Heartbeat) -> String {
    let (at, lease, seen) = (ms(m.sent_at.0), ms(m.lease_us), table(&m.witness));
    let (first, chosen) = (m.first, m.chosen_upto);
    let (ballot, full) = (m.ballot, full(m.has_room));
    format!(
        "heartbeat {ballot} at={at} lease={lease} first={first} chosen={chosen} seen=[{seen}]{full}"
    )
}

pub fn message(message: &Message) -> String {
    match message {
        Message::Announce(m) => announce(m),
        Message::Canvass(m) => format!("canvass #{} chosen={}", m.attempt, m.chosen_upto),
        Message::CanvassAnswer(m) => {
            let (yes, promised) = (if m.yes { "yes" } else { "no" }, m.promised);
            format!(
                "canvass-answer #{} {yes} promised={promised} chosen={}",
                m.attempt, m.chosen_upto
            )
        }
        Message::Prepare(m) => {
            let released = if m.released.is_zero() {
                String::new()
            } else {
                format!(" released={}", m.released)
            };
            format!("prepare {} chosen={}{released}", m.ballot, m.chosen_upto)
        }
        Message::Promise(m) => promise(m),
        Message::LeaseRefusal(m) => format!("lease-refusal {} wait={}", m.ballot, ms(m.wait_us)),
        Message::Nack(m) => format!("nack {} promised={}", m.ballot, m.promised),
        Message::Fetch(m) => format!("fetch {} slot={} of={}", m.ballot, m.slot, m.of),
        Message::Fetched(m) => {
            let (ballot, slot, of) = (m.ballot, m.slot, m.of);
            format!("fetched {ballot} slot={slot} of={of} {}", outcome(&m.outcome))
        }
        Message::Accept(m) => {
            let (first, chosen) = (m.first, m.chosen_upto);
            format!(
                "accept {} slot={} {:?} first={first} chosen={chosen}",
                m.ballot, m.slot, m.value
            )
        }
        Message::Accepted(m) => {
            let (upto, chosen, durable) = (m.upto, m.chosen_upto, m.durable);
            let (ballot, full) = (m.ballot, full(m.has_room));
            format!("accepted {ballot} upto={upto} chosen={chosen} durable={durable}{full}")
        }
        Message::Resend(m) => {
            format!("resend {} from={} chosen={}", m.ballot, m.from, m.chosen_upto)
        }
        Message::Heartbeat(m) => heartbeat(m),
        Message::Grant(m) => {
            let (at, lease) = (ms(m.sent_at.0), ms(m.lease_us));
            let (chosen, durable) = (m.chosen_upto, m.durable);
            let (ballot, full) = (m.ballot, full(m.has_room));
            format!("grant {ballot} at={at} lease={lease} chosen={chosen} durable={durable}{full}")
        }
        Message::ChosenUpto(m) => format!("chosen {} chosen={}", m.ballot, m.chosen_upto),
        Message::Learn(m) => format!("learn {}..{}", m.from, m.upto),
        Message::Learned(m) => {
            let one = |v: &(Slot, _, _)| format!("{}:{}:{:?}", v.0, v.1, v.2);
            let values: Vec<String> = m.values.iter().map(one).collect();
            let damaged = m.damaged.map(|b| format!(" damaged in {b}")).unwrap_or_default();
            let released = m.released.map(|slot| format!(" checkpoint={slot}")).unwrap_or_default();
            let (from, chosen) = (m.from, m.chosen_upto);
            format!("learned from={from} chosen={chosen} [{}]{damaged}{released}", values.join(" "))
        }
        Message::HandOver(m) => format!("hand-over {} chosen={}", m.ballot, m.chosen_upto),
        Message::Release(m) => format!("release {}", m.ballot),
        Message::Eligibility(m) => eligibility(m),
        Message::InstallFetch(m) => format!("install-fetch slot={}", m.slot),
        Message::InstallChunk(m) => format!("install-chunk slot={}", m.slot),
        Message::ValuesFetch(m) => format!("values-fetch {}..{}", m.from, m.upto),
        Message::ValuesChunk(m) => format!("values-chunk {}..{}", m.from, m.covered),
        Message::LossAsk(m) => loss_ask(m),
        Message::LossAnswer(m) => format!("loss-answer attempt={} {:?}", m.attempt, m.verdict),
    }
}

fn loss_ask(m: &LossAsk) -> String {
    let LossAsk { attempt, log, from, before, slots } = m;
    format!("loss-ask attempt={attempt} log={log} entries={from}..{before} slots={slots:?}")
}

fn record(record: &Record) -> String {
    match record {
        Record::HardState(h) => {
            let known: Vec<String> =
                h.incarnations.iter().map(|k| format!("{}:{}", k.0, k.1)).collect();
            let formed = if h.formed { " formed" } else { "" };
            format!(
                "hard promised={} lease={} boots={} known=[{}]{formed}",
                h.promised,
                ms(h.lease_longest_us),
                h.boots,
                known.join(" ")
            )
        }
        Record::Accepted { slot, ballot, chosen_upto, value } => {
            format!("accepted {ballot} slot={slot} {value:?} chosen={chosen_upto}")
        }
        Record::Learned { slot, ballot, value } => {
            format!("learned {ballot} slot={slot} {value:?}")
        }
        Record::Remnant { slot, ballot, value } => {
            format!("remnant {ballot} slot={slot} {value:?}")
        }
        Record::Chosen { ballot, slot } => format!("chosen {ballot} upto={slot}"),
        Record::Witnessed(seen) => format!("witnessed [{}]", table(seen)),
        Record::Checkpoint { slot, digest, .. } => format!("checkpoint {slot} digest={digest:x}"),
        Record::Released(released) => format!("released {} segments", released.segments()),
    }
}

pub fn stop(stop: &Stop) -> String {
    match stop {
        Stop::RolledBack(Refuted { witness: by, seen, held }) => {
            format!("rolled back: {by} saw {}, held {held}", witness(seen))
        }
        Stop::Contradicted { slot, peer } => format!("contradicted by {peer} at slot {slot}"),
        Stop::Unrepairable { slot } => format!("unsettled slot {slot}"),
    }
}

/// One effect; `durable` says whether a vote leaves at once. Notes are for people: a trace has none.
pub fn effect(effect: &Effect, durable: Lsn) -> Option<String> {
    Some(match effect {
        Effect::Persist(lsn, r) => format!("persist {lsn} {}", record(r)),
        Effect::Send(to, plain) => leaving(*to, &plain.clone().into()),
        Effect::SendAfter(lsn, to, vote) => {
            let text = leaving(*to, &vote.clone().into());
            if *lsn <= durable { text } else { format!("after {lsn} {text}") }
        }
        Effect::Chosen { slot, ballot, value } => format!("CHOSEN {slot} {value:?} in {ballot}"),
        Effect::Repaired { slot, ballot, value } => {
            format!("REPAIRED {slot} {value:?} in {ballot}")
        }
        Effect::Serve { to, learn } => format!("serve {to} {}..{}", learn.from, learn.upto),
        Effect::Leading(Some(ballot)) => format!("LEADING {ballot}"),
        Effect::Leading(None) => "LEADING no more".to_string(),
        Effect::Stalled(micros) => format!("stalled for {} ms", micros / 1000),
        Effect::Yields => "yields: its disk is full".to_string(),
        Effect::HandedOver(Some(node)) => format!("handed over to {node}"),
        Effect::HandedOver(None) => "handed over to nobody".to_string(),
        Effect::Note(_) => return None,
        Effect::Stop(why) => format!("STOP {}", stop(why)),
    })
}

pub fn leaving(to: NodeId, m: &Message) -> String {
    format!("-> {to} {}", message(m))
}
