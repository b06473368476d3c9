//! The dashboard and the alerts use only metrics that docs/METRICS.md lists.

use crate::markdown::table;
use crate::read;
use std::collections::BTreeSet;

/// What an expression may name beside metrics and labels.
const LANGUAGE: &[&str] = &[
    "sum",
    "max",
    "min",
    "avg",
    "count",
    "rate",
    "increase",
    "changes",
    "histogram_quantile",
    "by",
    "on",
    "and",
    "or",
    "unless",
    "without",
    "group_left",
    "ignoring",
    "time",
    "up",
    "absent",
    "clamp_min",
    "predict_linear",
    "bool",
    "offset",
    "last_over_time",
    "deriv",
];

/// Names of metrics, with those that a histogram is made of.
fn listed() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for row in table(&read("docs/METRICS.md"), "Metrics") {
        let name = row[0].trim_matches('`').to_string();
        if row[1] == "histogram" {
            names.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
        } else {
            names.insert(name);
        }
    }
    assert!(names.len() > 40, "docs/METRICS.md lists only {names:?}");
    names
}

/// Names in an expression that are neither metrics nor of the language. What stands in braces,
/// brackets, quotes and behind `by` are labels, times and values.
fn unknown(expression: &str, known: &BTreeSet<String>) -> Vec<String> {
    let mut bare = String::new();
    let (mut depth, mut quoted) = (0, false);
    for c in expression.chars() {
        match c {
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            _ if depth == 0 && !quoted => bare.push(c),
            _ => {}
        }
    }
    for keyword in ["group_left (", "by (", "by(", "on (", "on(", "without (", "ignoring ("] {
        while let Some(at) = bare.find(keyword) {
            let end = bare[at..].find(')').map_or(bare.len(), |end| at + end);
            bare.replace_range(at..end, "(");
        }
    }
    let words = bare.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let names = words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    let is_known = |word: &&str| known.contains(*word) || LANGUAGE.contains(word);
    names.filter(|word| !is_known(word)).map(str::to_string).collect()
}

/// Every `expr` of a dashboard, however deep.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                match value {
                    serde_json::Value::String(text) if name == "expr" => found.push(text.clone()),
                    _ => expressions(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => {
            values.iter().for_each(|value| expressions(value, found));
        }
        _ => {}
    }
}

/// The expressions of a file of rules, also those that are folded over several lines.
fn rules(alerts: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut folded = None;
    for line in alerts.lines() {
        let indent = line.len() - line.trim_start().len();
        match (line.trim().strip_prefix("expr: "), folded) {
            (Some(">-"), _) => {
                found.push(String::new());
                folded = Some(indent);
            }
            (Some(expression), _) => {
                found.push(expression.to_string());
                folded = None;
            }
            (None, Some(begun)) if indent > begun => {
                let last = found.last_mut().expect("a folded expression has begun");
                last.push_str(line.trim());
                last.push(' ');
            }
            (None, _) => folded = None,
        }
    }
    found
}

#[test]
fn every_alert_and_panel_is_of_one_cluster() {
    // One Prometheus may watch several clusters: an alert names its own, and the dashboard shows the
    // one that was chosen.
    for expression in rules(&read("docs/alerts.yml")) {
        assert!(expression.contains("cluster"), "this alert names no cluster: {expression}");
    }
    let text = read("docs/grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut panels = Vec::new();
    expressions(&dashboard, &mut panels);
    for expression in panels {
        let selected = expression.matches("instance=~\"$instance\"").count();
        let selectors = expression.matches('{').count();
        assert!(selected > 0 && selected == selectors, "not of the chosen nodes: {expression}");
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().filter_map(|each| each["name"].as_str()).collect();
    assert!(names.contains(&"cluster") && names.contains(&"instance"), "{names:?}");
}

#[test]
fn alerts_look_ahead_and_ask_the_leader() {
    // A disk that fills is reported before it is full, and lag by whoever leads (R30).
    let alerts = read("docs/alerts.yml");
    let rules = rules(&alerts);
    assert!(rules.iter().any(|rule| rule.contains("predict_linear(paxosd_disk_free_bytes")));
    let lag: Vec<&String> = rules.iter().filter(|rule| rule.contains("peer_lag")).collect();
    assert!(!lag.is_empty());
    for rule in lag {
        assert!(rule.starts_with("max by (cluster, shard, peer)"), "{rule}");
    }
}

#[test]
fn the_formula_for_a_full_disk_is_the_dashboards() {
    // Whoever plans by SIZING.md sees the same figure in Grafana, for the nodes that were chosen there.
    let dashboard: serde_json::Value = serde_json::from_str(&read("docs/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let panel = panels.iter().find(|panel| panel["title"] == "Time until the disk is full");
    let mut shown = Vec::new();
    expressions(panel.unwrap(), &mut shown);
    let shown = shown[0].replace("{job=\"$job\",instance=~\"$instance\"}", "");
    assert!(read("docs/SIZING.md").contains(&format!("\n{shown}\n")), "SIZING.md lacks {shown}");
}

#[test]
fn dashboards_and_alerts_use_listed_metrics() {
    // A dashboard or an alert on a metric that does not exist stays silent when it matters.
    let known = listed();
    let dashboard = serde_json::from_str(&read("docs/grafana.json")).unwrap();
    let mut panels = Vec::new();
    expressions(&dashboard, &mut panels);
    assert!(panels.len() > 15, "only {} expressions in docs/grafana.json", panels.len());
    let alerts = read("docs/alerts.yml");
    let rules = rules(&alerts);
    let names = alerts.lines().filter(|line| line.trim().starts_with("- alert: ")).count();
    assert!(names > 8 && rules.len() == names, "{names} alerts, {} expressions", rules.len());
    for expression in panels.iter().chain(&rules) {
        assert_eq!(unknown(expression, &known), Vec::<String>::new(), "in {expression}");
        assert!(known.iter().any(|name| expression.contains(name)) || expression.contains("up{"));
    }
}

#[test]
fn a_metric_that_is_not_listed_is_found() {
    // The check above sees what it must not accept, and does not mistake a label for a metric.
    let known = BTreeSet::from(["a_total".to_string()]);
    let good = "sum by (shard, port) (rate(a_total{reason=\"slow\"}[5m]) * on (x) group_left (y) a_total) > 1";
    assert_eq!(unknown(good, &known), Vec::<String>::new());
    assert_eq!(unknown("sum(rate(a_totals[5m])) / a_total", &known), ["a_totals"]);
}
