//! Reloads that nobody asks for: by change of a file, by time; and what a reload reads again.

use rustix::process::Signal;

use crate::site::Site;

/// Says what it was told, each time it begins.
const SAYS: &str = "echo \"it says $WORD\"; exec sleep 1000";

#[test]
fn a_reload_reads_the_files_of_variables_again() {
    let site = Site::new();
    site.write("app.env", "WORD=one\n");
    let running = site.starts(&["run", "--env-file", "app.env", "--ready-after", "0s", "--", "sh", "-c", SAYS]);
    running.until_it_says("it says one");
    site.write("app.env", "WORD=two\n");
    running.signal(Signal::HUP);
    running.until_it_says("it says two");
    site.write("app.env", "not a line\n");
    running.signal(Signal::HUP);
    running.until_it_says("write NAME=VALUE");
    assert_eq!(site.online("sh")["up"], 1);
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_reload_reads_the_table_again_but_not_what_is_the_primarys() {
    let site = Site::new();
    let table = |word: &str, rest: &str| {
        format!(
            "[[app]]\nname = \"api\"\nprogram = \"sh\"\nargs = [\"-c\", {SAYS:?}]\nready-after = \"0s\"\nenv = {{ WORD = \"{word}\" }}\n{rest}"
        )
    };
    site.write("phalanx.toml", &table("one", ""));
    let running = site.starts(&["run"]);
    running.until_it_says("it says one");
    site.online("api");
    site.write("phalanx.toml", &table("two", ""));
    site.says(&["ctl", "--app", "api", "reload", "--wait"]).is_well();
    running.until_it_says("it says two");
    site.write("phalanx.toml", &table("three", "nice = 5\n"));
    let said = site.says(&["ctl", "--app", "api", "reload", "--wait"]);
    assert!(said.code == 1 && said.stderr.contains("a restart of api can"), "{}", said.stderr);
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_changed_file_calls_for_a_reload() {
    let site = Site::new();
    std::fs::create_dir(site.path().join("src")).unwrap();
    let running = site.starts(&[
        "run",
        "--watch=src",
        "--ignore-watch",
        "*.log",
        "--no-listen",
        "--ready-after",
        "0s",
        "--",
        "sh",
        "-c",
        "cat src/word; exec sleep 1000",
    ]);
    site.online("sh");
    site.write("src/noise.log", "no\n");
    site.write("src/word", "changed\n");
    running.until_it_says("src/word changed");
    running.until_it_says("worker 2 | changed");
    assert!(!running.log().contains("noise.log changed"), "{}", running.log());
    assert_eq!(running.stop(), 0);
}

#[test]
fn workers_are_replaced_at_their_times() {
    let site = Site::new();
    // With six fields the first is seconds.
    let running = site.starts(&["run", "--cron-restart", "* * * * * *", "--ready-after", "0s", "--", "sh", "-c", SAYS]);
    running.until_it_says("its time has come (cron-restart)");
    running.until_it_says("reload (operation 1) is done");
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_program_that_opens_its_own_port_is_replaced_old_first() {
    if !crate::app::has("python3") {
        return;
    }
    let site = Site::new();
    let port = crate::http::free_port();
    site.write(
        "own.py",
        "import http.server, sys\nhttp.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()\n",
    );
    let check = format!("tcp:127.0.0.1:{port}");
    let running = site.starts(&["run", "--health-check", &check, "--", "python3", "own.py", &port.to_string()]);
    site.online("own");
    site.says(&["ctl", "--app", "own", "reload", "--wait"]).is_well();
    assert!(crate::http::ask(port).is_ok(), "{}", running.log());
    assert_eq!(running.stop(), 0);
}
