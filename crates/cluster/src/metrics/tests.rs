//! The text is read back with a parser of its grammar.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use phalanx_shared::{ClusterField, Histogram};

use super::*;

/// Series (name and labels, as written) and their values, after every rule of the format was checked.
fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'), "the last line has no end");
    let mut kinds: HashMap<&str, &str> = HashMap::new();
    let mut helped = HashSet::new();
    let mut current = "";
    let mut series = BTreeMap::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(helped.insert(name) && words.ends_with('.'), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(helped.contains(name) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name, kind).is_none(), "twice: {line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            current = name;
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let bare = name.split('{').next().unwrap();
            let family = match kinds.get(current) {
                Some(&"histogram") => {
                    ["_bucket", "_sum", "_count"].iter().find_map(|end| bare.strip_suffix(end)).unwrap()
                }
                _ => bare,
            };
            assert_eq!(family, current, "outside of its family: {line}");
            assert!(
                bare.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
                "{line}"
            );
            if let Some(labels) = name.strip_prefix(bare).filter(|labels| !labels.is_empty()) {
                let labels = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap();
                for label in labels.split(',') {
                    let (_, value) = label.split_once('=').unwrap();
                    assert!(value.len() >= 2 && value.starts_with('"') && value.ends_with('"'), "{line}");
                }
            }
            assert!(series.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
        }
    }
    series
}

fn worker(slot: &Slot, number: u64, place: u64) {
    slot.set(Field::Pid, 100 + number);
    slot.set(Field::Worker, number);
    slot.set(Field::Place, place + 1);
}

#[test]
fn the_text_keeps_the_rules_of_the_format_and_says_every_field() {
    let cluster = ClusterPage::create().unwrap();
    let slots = [Slot::create().unwrap(), Slot::create().unwrap(), Slot::create().unwrap()];
    for (index, field) in ClusterField::ALL.iter().enumerate() {
        cluster.set(*field, 1000 + index as u64);
    }
    worker(&slots[0], 1, 0);
    worker(&slots[2], 7, 1);
    slots[2].set(Field::Connections, 5);
    let series = parse(&render(&cluster, &slots));
    assert_eq!(series["phalanx_workers{state=\"serving\"}"], 1001.0);
    assert_eq!(series["phalanx_worker_connections{worker=\"7\",place=\"1\"}"], 5.0);
    assert_eq!(series["phalanx_worker_info{worker=\"7\",place=\"1\",pid=\"107\",generation=\"0\"}"], 1.0);
    assert!(!series.keys().any(|name| name.contains("worker=\"0\"")), "a vacant slot has a series");
    assert_eq!(
        series["phalanx_memory_pressure_ratio{kind=\"full\"}"],
        share(cluster.get(ClusterField::MemoryPressureFull))
    );
    let exact = series.values().map(|value| *value as u64);
    let shares = series.values().map(|value| (value * 10_000.0).round() as u64);
    let said: HashSet<u64> = exact.chain(shares).collect();
    for (index, field) in ClusterField::ALL.iter().enumerate() {
        let kept_back = *field == ClusterField::PrimaryPid;
        assert!(kept_back || said.contains(&(1000 + index as u64)), "{field:?} is nowhere");
    }
}

#[test]
fn what_a_worker_says_of_its_memory_is_told_under_its_number() {
    let (cluster, slot) = (ClusterPage::create().unwrap(), Slot::create().unwrap());
    worker(&slot, 3, 0);
    let labels = "worker=\"3\",place=\"0\"";
    for (value, field, name) in [
        (11, Field::ProportionalBytes, format!("phalanx_worker_proportional_bytes{{{labels}}}")),
        (12, Field::UniqueBytes, format!("phalanx_worker_unique_bytes{{{labels}}}")),
        (13, Field::AllocatedBytes, format!("phalanx_worker_heap_bytes{{{labels},state=\"allocated\"}}")),
        (14, Field::RetainedBytes, format!("phalanx_worker_heap_bytes{{{labels},state=\"retained\"}}")),
        (15, Field::ReservedBytes, format!("phalanx_worker_reserved_bytes{{{labels}}}")),
        (16, Field::Descriptors, format!("phalanx_worker_open_descriptors{{{labels}}}")),
    ] {
        slot.set(field, value);
        assert_eq!(parse(&render(&cluster, &[&slot]))[&name], value as f64);
    }
}

#[test]
fn every_counter_of_a_worker_is_in_the_sum() {
    for field in Field::ALL.into_iter().filter(|field| field.is_counter()) {
        let (cluster, slot) = (ClusterPage::create().unwrap(), Slot::create().unwrap());
        slot.set(field, 12345);
        let series = parse(&render(&cluster, &[&slot]));
        assert!(series.values().any(|value| *value == 12345.0), "{field:?} is nowhere");
    }
}

#[test]
fn no_counter_goes_backwards_when_a_worker_is_replaced() {
    let (cluster, slot) = (ClusterPage::create().unwrap(), Slot::create().unwrap());
    let mut last: BTreeMap<String, f64> = BTreeMap::new();
    for round in 1..=5 {
        worker(&slot, round, 0);
        slot.add(Field::Requests, 10);
        slot.add(Field::Responses5xx, 1);
        slot.histogram(Histogram::Request).record(Duration::from_millis(round));
        for _ in 0..2 {
            let now = parse(&render(&cluster, &[&slot]));
            for (name, value) in &last {
                if !name.contains("worker=") {
                    assert!(now[name] >= *value, "{name}: {} after {value}", now[name]);
                }
            }
            last = now;
            if slot.get(Field::Pid) != 0 {
                cluster.bury(&slot);
            }
        }
    }
    assert_eq!(last["phalanx_requests_total"], 50.0);
    assert_eq!(last["phalanx_responses_total{class=\"5xx\"}"], 5.0);
    assert_eq!(last["phalanx_request_seconds_count"], 5.0);
}

#[test]
fn a_histogram_is_cumulative_and_in_seconds() {
    let (cluster, slot) = (ClusterPage::create().unwrap(), Slot::create().unwrap());
    for micros in [10, 20, 200, 1_500_000, 100_000_000] {
        slot.histogram(Histogram::QueueWait).record(Duration::from_micros(micros));
    }
    let text = render(&cluster, &[&slot]);
    let series = parse(&text);
    assert_eq!(series["phalanx_queue_wait_seconds_bucket{le=\"0.000016\"}"], 1.0);
    assert_eq!(series["phalanx_queue_wait_seconds_bucket{le=\"0.000032\"}"], 2.0);
    assert_eq!(series["phalanx_queue_wait_seconds_bucket{le=\"2.097152\"}"], 4.0);
    assert_eq!(series["phalanx_queue_wait_seconds_bucket{le=\"+Inf\"}"], 5.0);
    assert_eq!(series["phalanx_queue_wait_seconds_sum"], 101.50023);
    let below: Vec<f64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("phalanx_queue_wait_seconds_bucket"))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(below.len() == 24 && below.is_sorted());
}

#[test]
fn a_worker_that_lies_about_its_number_spoils_nothing() {
    let (cluster, slots) = (ClusterPage::create().unwrap(), [Slot::create().unwrap(), Slot::create().unwrap()]);
    worker(&slots[0], 3, 0);
    worker(&slots[1], 3, 1);
    slots[1].set(Field::Requests, u64::MAX);
    slots[0].set(Field::Requests, u64::MAX);
    parse(&render(&cluster, &slots));
}
