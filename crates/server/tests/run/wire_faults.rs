//! Programs that break Node's protocol on their channel: it is said how, and neither the supervisor nor the others suffer.

use crate::app::{App, has, program};
use crate::http::{ask, is_ok};

const TOLD: &str = "breaks Node's protocol";
/// How `faults/breaks-the-wire.py` may break it, and what is said of it.
const BROKEN: [(&str, &str); 6] = [
    ("garbage", "a line that is no JSON"),
    ("not_text", "a line that is no JSON"),
    ("blank_lines", "a blank line"),
    ("wrong_acknowledgement", "it answers message 4711, which has no answer"),
    ("wrong_fields", "a server of an unknown kind"),
    ("regular_file", "it is closed"),
];
/// What means nothing, and is passed over.
const MEANINGLESS: [&str; 2] = ["stray_acknowledgements", "wrong_key"];

/// One program that breaks the wire, as Node would run it.
fn breaks(how: &str) -> App {
    let script = program("faults/breaks-the-wire.py");
    let options = ["-n", "1", "--node", "--ready-line", "broken", "--kill-timeout", "1s"];
    App::start(&options, &["python3", script.to_str().unwrap(), how])
}

#[test]
fn who_breaks_the_wire_is_told_how() {
    if !has("python3") {
        return;
    }
    for (how, words) in BROKEN {
        let mut app = breaks(how);
        app.says(TOLD, 1);
        app.says(words, 1);
        app.says("is ready", 1);
        assert!(app.is_up(), "{how}: {}", app.log());
        assert!(app.stop().success(), "{how}");
    }
}

#[test]
fn what_means_nothing_is_passed_over() {
    if !has("python3") {
        return;
    }
    for how in MEANINGLESS {
        let mut app = breaks(how);
        app.says("is ready", 1);
        assert!(app.is_up(), "{how}: {}", app.log());
        assert!(app.stop().success(), "{how}");
    }
}

#[test]
fn a_line_without_end_costs_its_sender_the_channel() {
    if !has("python3") {
        return;
    }
    let (status, log) = breaks("endless_line").ends();
    assert!(!status.success(), "{log}");
    assert!(log.contains("worker 1 | cut off"), "{log}");
}

#[test]
fn a_node_app_that_closes_its_channel_is_replaced() {
    if !has("node") {
        return;
    }
    let script = program("faults/closes-its-channel.js");
    let mut app = App::start(&["-n", "2"], &["node", script.to_str().unwrap()]);
    app.says("is ready", 4);
    assert!(app.stop().success());
}

#[test]
fn a_flood_of_messages_takes_nothing_from_anybody() {
    if !has("node") {
        return;
    }
    let script = program("faults/floods-its-channel.js");
    let mut app = App::start(&["-n", "2"], &["node", script.to_str().unwrap()]);
    let port = app.port;
    app.until("an answer", |_| ask(port).is_ok_and(|answer| is_ok(&answer)).then_some(()));
    for request in 0..50 {
        let answer = ask(port);
        assert!(answer.as_deref().is_ok_and(is_ok), "request {request}: {answer:?}\n{}", app.log());
    }
    assert!(app.stop().success());
}
