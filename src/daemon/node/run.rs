//! A node from its start to its end: data directory, listeners, threads, the main loop.

use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::disk::data_dir::{self, DataDir, OpenShard};
use crate::daemon::disk::workers::{Disk, Helper};
use crate::daemon::event_loop::mailbox::ShardSender;
use crate::daemon::event_loop::main_loop::{self, MainLoop};
use crate::daemon::event_loop::service::Service;
use crate::daemon::event_loop::shard_loop::{self, ShardLoop, WAKER};
use crate::daemon::exit::{FatalError, NodeExit};
use crate::daemon::net::port::Port;
use crate::daemon::net::ports::Ports;
use crate::daemon::net::resolve::{Resolver, system_lookup};
use crate::daemon::net::sockets::Bound;
use crate::daemon::node::context::{NodeContext, PROGRAM, VERSION};
use crate::daemon::node::descriptors::Descriptors;
use crate::daemon::node::inherited;
use crate::daemon::node::live::Live;
use crate::daemon::node::reload::{self, ConfigSource};
use crate::daemon::node::replica_config::paxos_config;
use crate::daemon::waker::LoopWaker;
use crate::daemon::watch::notify::Manager;
use crate::shard::{CutOptions, Shard, ShardOptions};
use crate::types::{Count, ShardId};
use crossbeam::channel::{Sender, bounded};
use mio::Poll;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Runs a node until it is asked to stop. Calls `ready` once it listens. On SIGHUP `source` is read
/// again.
///
/// # Errors
/// Why it could not start, or ended.
pub fn run(
    config: Config,
    source: Option<ConfigSource>,
    ports: Ports,
    ready: impl FnOnce(),
) -> Result<(), FatalError> {
    // First of all, so that a signal during the replay is not lost.
    let signals = signals().map_err(|error| start_failure("signals", &error))?;
    let manager = Manager::start().map_err(|error| start_failure("a thread", &error))?;
    let live = Arc::new(Live::new(&config));
    reload::catch()
        .and_then(|hangups| reload::start(hangups, source, Arc::clone(&live), manager.clone()))
        .map_err(|error| start_failure("SIGHUP", &error))?;
    let descriptors = Descriptors::of_process(&config)?;
    inherited::check_file_size(config.bounds.segment_bytes)?;
    log::info!(
        "{PROGRAM}: node {} of cluster {}, {}, {}, data in {}",
        config.node,
        config.cluster,
        Count(config.members.len() as u64, "member"),
        Count(u64::from(config.shards), "shard"),
        config.data_dir.display()
    );
    descriptors.warn(config.bounds.connections_max);
    warn_of_exposure(&config);
    let DataDir { identity, shards, lock } =
        data_dir::open(&config, descriptors.read_files, manager.replayed())?;
    let context = Arc::new(NodeContext::new(config, identity, descriptors, live));
    let front = assemble(&context, shards, ports, signals)?;
    log::info!("listening for clients at {}", context.config.listen);
    if let Some(address) = &context.config.listen_admin {
        log::info!("admin pages at http://{address}/");
    }
    manager.ready(&context);
    ready();
    let ended = front.run();
    // Held to the very end: no other process may open the directory before.
    drop(lock);
    ended
}

fn start_failure(what: &str, error: &io::Error) -> FatalError {
    FatalError::new(NodeExit::Temporary, format!("{what} cannot be had from the system: {error}"))
}

fn warn_of_exposure(config: &Config) {
    if let Some(address) = config.listen_admin.as_ref().filter(|admin| !admin.is_loopback()) {
        log::warn!(
            "listen_admin = {address} is open to the network without authentication \
             (insecure_listen = true): whoever reaches it may read metrics and status"
        );
    }
    for (name, address) in [("listen", &config.listen), ("listen_peer", &config.listen_peer)] {
        if !address.is_loopback() {
            log::warn!(
                "{name} = {address} is open to the network without authentication \
                 (insecure_listen = true): whoever reaches it may read, write and delete"
            );
        }
    }
}

/// The read end of a pipe that gets a byte for each SIGTERM and SIGINT.
fn signals() -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        pipe::register(signal, write.try_clone()?)?;
    }
    Ok(read)
}

/// Starts every thread but the main one, whose loop is returned.
fn assemble(
    context: &Arc<NodeContext>,
    shards: Vec<OpenShard>,
    ports: Ports,
    signals: UnixStream,
) -> Result<MainLoop, FatalError> {
    let threads = |error: io::Error| start_failure("threads", &error);
    let poll = Poll::new().map_err(threads)?;
    let waker = LoopWaker::new(poll.registry(), WAKER).map_err(threads)?;
    let (ended, finished) = bounded(shards.len());
    let senders = start_shards(context, shards, &waker, &ended).map_err(threads)?;
    let mut listeners = Vec::new();
    for (port, bound) in [(Port::Client, Some(ports.client)), (Port::Peer, ports.peer)] {
        for socket in bound.map(Bound::listen).transpose()?.into_iter().flatten() {
            listeners.push((port, socket));
        }
    }
    let admin = ports.admin.map(Bound::listen).transpose()?.unwrap_or_default();
    let context = Arc::clone(context);
    MainLoop::new(main_loop::MainLoopParts {
        poll,
        waker,
        finished,
        signals,
        listeners,
        admin,
        senders,
        context,
    })
    .map_err(|error| start_failure("the main loop", &error))
}

/// Starts the threads of all shards, and those that they share.
fn start_shards(
    context: &Arc<NodeContext>,
    shards: Vec<OpenShard>,
    waker: &LoopWaker,
    ended: &Sender<ShardId>,
) -> io::Result<Vec<ShardSender>> {
    let helper = Helper::start(context.config.shards)?;
    let peers = context.config.members.values().filter(|member| member.id != context.config.node);
    let resolver = Resolver::start(peers.map(|member| &member.peer), Arc::new(system_lookup))?;
    let parts = Start { context, helper: &helper, resolver: &resolver, waker };
    shards.into_iter().map(|shard| parts.start(shard, ended.clone())).collect()
}

/// What the threads of all shards share.
struct Start<'a> {
    context: &'a Arc<NodeContext>,
    helper: &'a Helper,
    resolver: &'a Resolver,
    /// The main thread's.
    waker: &'a LoopWaker,
}

impl Start<'_> {
    /// Starts a shard's thread and its syncer.
    fn start(&self, open: OpenShard, ended: Sender<ShardId>) -> io::Result<ShardSender> {
        let OpenShard { shard: id, volume, start } = open;
        let poll = Poll::new()?;
        let waker = LoopWaker::new(poll.registry(), WAKER)?;
        let (sender, messages) = ShardSender::new(waker.clone());
        let context = Arc::clone(self.context);
        let syncs = Arc::clone(&context.board.shard(id).syncs);
        let (name, helper) = (id.to_string(), self.helper.clone());
        let disk =
            Disk::start(&name, volume, helper, waker.clone(), syncs, context.config.slow_sync_ms)?;
        let (resolver, loop_sender, main_waker) =
            (self.resolver.clone(), sender.clone(), self.waker.clone());
        let options = shard_options(&context, id, clock::entropy());
        let run = move || {
            let mut outputs = Vec::new();
            let mut shard = Shard::start(options, start, clock::now(), &mut outputs);
            shard.set_clock_skew_max_ms(context.config.timing.clock_skew_max_ms);
            let service = Service::new(shard, id, Arc::clone(&context), outputs);
            let sender = loop_sender;
            let parts = shard_loop::ShardLoopParts {
                poll,
                waker,
                service,
                context,
                disk,
                resolver,
                sender,
                messages,
            };
            ShardLoop::new(parts).run();
            // The main thread counts; one that is gone has no use for it.
            let _ = ended.send(id);
            main_waker.ring();
        };
        std::thread::Builder::new().name(format!("shard-{id}")).spawn(run)?;
        Ok(sender)
    }
}

/// What a shard is given at its start.
fn shard_options(context: &NodeContext, shard: ShardId, seed: u64) -> ShardOptions {
    let config = &context.config;
    let addresses =
        config.members.values().map(|member| (member.id, member.client.to_string())).collect();
    ShardOptions {
        shard,
        shards: config.shards,
        cluster: config.cluster,
        paxos: paxos_config(config, &context.identity, seed),
        addresses,
        append: context.limits.append(),
        stop_timeout_ms: context.config.stop_timeout_ms,
        cuts: CutOptions::default(),
        catchup_bytes: config.bounds.catchup_bytes / u64::from(config.shards.max(1)),
        version: VERSION.to_string(),
    }
}
