//! Clients as the global flags want them, and what is said before a command gives up.

use super::args::Global;
use super::exit::CommandFailure;
use crate::client::{Client, ClientOptions, OnWait, RetryWait};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A command that nobody has answered says so after this time.
const PATIENCE: Duration = Duration::from_millis(700);
/// One that waits for something else says so after this time: elections are over by then, and need
/// no mention.
const PATIENCE_ELECTION: Duration = Duration::from_secs(3);
/// How long endpoints that are no known members have to say which cluster they are of.
const ONE_CLUSTER_WAIT: Duration = Duration::from_millis(250);

/// How the global flags want a client.
pub fn options(global: &Global, timeout: Duration) -> ClientOptions {
    ClientOptions {
        timeout: global.timeout.unwrap_or(timeout),
        cluster: global.cluster,
        name: concat!("paxosctl/", env!("CARGO_PKG_VERSION")).to_string(),
        ..ClientOptions::new(global.endpoints.iter().map(|endpoint| endpoint.trim()))
    }
}

/// A client as the global flags want it. What takes long is explained once on standard error.
pub fn connect(global: &Global, timeout: Duration) -> Result<Client, CommandFailure> {
    let answered = Arc::new(AtomicBool::new(false));
    let on_wait = Some(said_once(Arc::clone(&answered)));
    let client = Client::connect(ClientOptions { on_wait, ..options(global, timeout) })?;
    answered.store(true, Ordering::Relaxed);
    one_cluster(&client, global)?;
    Ok(client)
}

/// A client as the global flags want it, which writes nothing: for commands that show by themselves
/// how far they are.
pub fn connect_silently(global: &Global, timeout: Duration) -> Result<Client, CommandFailure> {
    let client = Client::connect(options(global, timeout))?;
    one_cluster(&client, global)?;
    Ok(client)
}

/// Says what is waited for, the first time that it takes long.
fn said_once(answered: Arc<AtomicBool>) -> OnWait {
    let said = AtomicBool::new(false);
    OnWait::new(move |waiting: &RetryWait<'_>| {
        let patience = if answered.load(Ordering::Relaxed) { PATIENCE_ELECTION } else { PATIENCE };
        if waiting.waited >= patience && !said.swap(true, Ordering::Relaxed) {
            let _nobody_reads_it = writeln!(io::stderr(), "paxosctl: waiting: {waiting}");
        }
    })
}

/// Fails where the endpoints belong to more than one cluster, and nothing says which is meant: the
/// command would go to whichever answers first.
pub fn one_cluster(client: &Client, global: &Global) -> Result<(), CommandFailure> {
    if global.cluster.is_some() || global.endpoints.len() < 2 {
        return Ok(());
    }
    let foreign = client.foreign_endpoints(ONE_CLUSTER_WAIT);
    if foreign.is_empty() {
        return Ok(());
    }
    let each = foreign.iter().map(|(endpoint, cluster)| format!("{endpoint} of {cluster}"));
    let each = each.collect::<Vec<_>>().join(", ");
    Err(CommandFailure::Usage(format!(
        "the endpoints belong to different clusters: the first that answered is of {}, {each}; \
         nothing was done; next: name endpoints of one cluster, or the cluster that is meant \
         (--cluster)",
        client.cluster()
    )))
}
