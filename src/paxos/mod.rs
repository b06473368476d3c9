//! Classic Multi-Paxos, pure.
