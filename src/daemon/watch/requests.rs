//! How long requests took, by what was asked and what became of it.

use super::histogram::Histogram;
use crate::api::RequestKind;
use crate::api::error::Outcome;
use crate::daemon::net::asked::Became;
use std::time::Duration;

/// The operations that are measured; others are rare, or say no more than these.
const MEASURED: [RequestKind; 2] = [RequestKind::Append, RequestKind::Read];

/// Every outcome, in the order of the histograms.
const BECAME: [Became; 4] = [
    Became::Ok,
    Became::Failed(Outcome::NotExecuted),
    Became::Failed(Outcome::Executed),
    Became::Failed(Outcome::Unknown),
];

/// Histograms of the requests of one shard. Its thread adds, and whoever makes a page reads.
#[derive(Debug, Default)]
pub struct RequestMetrics {
    histograms: [[Histogram; BECAME.len()]; MEASURED.len()],
}

impl RequestMetrics {
    /// Adds a request that was answered, if its operation is measured.
    pub fn record(&self, asked: RequestKind, became: Became, took: Duration) {
        let Some(operation) = MEASURED.iter().position(|each| *each == asked) else { return };
        let at = BECAME.iter().position(|each| *each == became);
        self.histograms[operation][at.expect("every outcome has its place")].record(took);
    }

    /// The histograms that are shown, each with its operation and outcome: those of what succeeded
    /// always, others once there was such an answer.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, &'static str, &Histogram)> {
        let all = MEASURED.iter().zip(&self.histograms).flat_map(|(operation, histograms)| {
            let outcomes = BECAME.iter().zip(histograms);
            outcomes.map(move |(became, histogram)| (operation.name(), *became, histogram))
        });
        let shown = all
            .filter(|(_, became, histogram)| *became == Became::Ok || histogram.counts().count > 0);
        shown.map(|(operation, became, histogram)| (operation, name(became), histogram))
    }
}

/// The value of the label `outcome`.
fn name(became: Became) -> &'static str {
    match became {
        Became::Ok => "ok",
        Became::Failed(Outcome::NotExecuted) => "not_executed",
        Became::Failed(Outcome::Executed) => "executed",
        Became::Failed(Outcome::Unknown) => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each request is counted once, where its operation and outcome say, and a histogram of errors
    /// is shown once there was such an error.
    #[test]
    fn requests_are_counted_by_operation_and_outcome() {
        let requests = RequestMetrics::default();
        let took = Duration::from_micros(250);
        requests.record(RequestKind::Append, Became::Ok, took);
        requests.record(RequestKind::Append, Became::Failed(Outcome::Unknown), took);
        requests.record(RequestKind::Read, Became::Failed(Outcome::NotExecuted), took);
        requests.record(RequestKind::Ping, Became::Ok, took);
        let shown: Vec<_> = requests
            .shown()
            .map(|(operation, outcome, histogram)| (operation, outcome, histogram.counts().count))
            .collect();
        let wanted = [
            ("append", "ok", 1),
            ("append", "unknown", 1),
            ("read", "ok", 0),
            ("read", "not_executed", 1),
        ];
        assert_eq!(shown, wanted);
    }
}
