//! Programs that break Node's protocol on their channel: it is said how, and neither the supervisor nor the others suffer.

use crate::app::{App, has, program};
use crate::http::{ask, is_ok};

/// What `faults/breaks-the-wire.py` can do wrong.
const BROKEN: [&str; 5] = ["garbage", "not_text", "blank_lines", "endless_line", "regular_file"];
/// What is wrong, too, but nothing that anybody has to end for.
const STRANGE: [&str; 4] = ["stray_acknowledgements", "wrong_acknowledgement", "wrong_key", "wrong_fields"];

#[test]
fn who_breaks_the_wire_is_told() {
    if !has("python3") {
        return;
    }
    let script = program("faults/breaks-the-wire.py");
    let script = script.to_str().unwrap();
    for how in BROKEN.iter().chain(&STRANGE) {
        let mut app = App::start(
            &["-n", "1", "--node", "--ready-line", "broken", "--kill-timeout", "1s"],
            &["python3", script, how],
        );
        eprintln!("== {how}");
        std::thread::sleep(std::time::Duration::from_secs(2));
        eprintln!("{}", app.log());
        eprintln!("{how}: {:?}", app.stop());
    }
}

#[test]
fn a_node_app_that_closes_its_channel_is_replaced() {
    if !has("node") {
        return;
    }
    let script = program("faults/closes-its-channel.js");
    let mut app = App::start(&["-n", "2"], &["node", script.to_str().unwrap()]);
    app.says("is ready", 4);
    eprintln!("{}", app.log());
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
