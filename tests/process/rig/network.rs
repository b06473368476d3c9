//! Hosts of their own: network namespaces around a switch, whose cables can be cut without either
//! end noticing. Needs root. Nothing of it outlives the test: a namespace ends with its holder, and
//! the holder with the pipe to it.

use super::node::clean_command;
use super::poll;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};

/// Hosts on one switch.
#[derive(Debug)]
pub struct Network {
    switch: Namespace,
    hosts: Vec<Namespace>,
}

impl Network {
    /// As many hosts as that, by rising number from 1, all connected.
    #[track_caller]
    pub fn of(hosts: u16) -> Network {
        let network = Network {
            switch: Namespace::new(),
            hosts: (0..hosts).map(|_| Namespace::new()).collect(),
        };
        let switch = &network.switch;
        switch.ip("link add br0 type bridge");
        switch.ip("link set br0 up");
        switch.ip("addr add 10.77.0.254/24 dev br0");
        for (number, host) in (1..).zip(&network.hosts) {
            let pid = host.holder.id();
            switch.ip(&format!("link add v{number} type veth peer name eth0 netns {pid}"));
            switch.ip(&format!("link set v{number} master br0 up"));
            host.ip("link set lo up");
            host.ip("link set eth0 up");
            host.ip(&format!("addr add {}/24 dev eth0", Network::address(number)));
        }
        network
    }

    /// The address of a host.
    pub fn address(number: u16) -> String {
        format!("10.77.0.{number}")
    }

    /// What a program on a host is started by.
    pub fn on_host(&self, number: u16) -> [String; 3] {
        self.hosts[usize::from(number) - 1].entered()
    }

    /// Moves this thread to the switch, from which every host is reached.
    #[track_caller]
    pub fn enter_switch(&self) {
        let namespace = File::open(self.switch.path()).expect("the holder lives");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter a namespace");
    }

    /// Cuts a host off, or joins it again. Its interface stays up, and packets are swallowed.
    #[track_caller]
    pub fn cut(&self, number: u16, is_cut: bool) {
        let plugged = if is_cut { "nomaster" } else { "master br0" };
        self.switch.ip(&format!("link set v{number} {plugged}"));
    }

    /// Cuts every host off from every other, but not from the switch, or joins them again.
    #[track_caller]
    pub fn cut_all(&self, is_cut: bool) {
        let isolated = if is_cut { "on" } else { "off" };
        for number in 1..=self.hosts.len() {
            self.switch.ip(&format!("link set v{number} type bridge_slave isolated {isolated}"));
        }
    }
}

/// A network namespace, which lives as long as the process that holds it.
#[derive(Debug)]
struct Namespace {
    holder: Child,
}

impl Namespace {
    #[track_caller]
    fn new() -> Namespace {
        let mut command = clean_command("unshare");
        // Ends when the other end of its standard input is gone, however this test ends.
        command.args(["--net", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let namespace = Namespace { holder: command.spawn().expect("util-linux is installed") };
        let own = fs::read_link("/proc/self/ns/net").expect("Linux");
        poll::until("the namespace is there", || {
            fs::read_link(namespace.path()).ok().filter(|path| *path != own)
        });
        namespace
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    fn entered(&self) -> [String; 3] {
        ["nsenter".to_string(), format!("--net={}", self.path()), "--".to_string()]
    }

    #[track_caller]
    fn ip(&self, words: &str) {
        let entered = self.entered();
        let mut command = clean_command(&entered[0]);
        command.args(&entered[1..]).arg("ip").args(words.split(' '));
        let output = command.output().expect("util-linux is installed");
        assert!(output.status.success(), "ip {words}: {output:?}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have ended already, when its end of the pipe was closed.
        let _ended_at_worst = self.holder.kill();
        let _ended_now = self.holder.wait();
    }
}
