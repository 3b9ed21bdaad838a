//! What cannot be run is one clear line before anything starts.

use crate::site::{SLEEPER, Site};

#[track_caller]
fn refused(site: &Site, options: &[&str], parts: &[&str]) {
    let line: Vec<&str> = ["run"].iter().chain(options).copied().collect();
    site.says(&line).is_one_line(64, parts);
}

#[test]
fn nothing_to_run_says_how() {
    let site = Site::new();
    refused(&site, &[], &["nothing to run", "phalanx run -- node app.js", "phalanx.toml"]);
    refused(&site, &["api"], &["there is no phalanx.toml", "phalanx run -- api"]);
    site.write("phalanx.toml", "workers = 3\n");
    refused(&site, &[], &["there is no app in", "[[app]]"]);
}

#[test]
fn what_is_missing_is_named() {
    let site = Site::new();
    refused(&site, &["--", "no-such-program"], &["cannot run no-such-program", "is not in PATH"]);
    refused(&site, &["app.js"], &["cannot run app.js: there is no such file"]);
    site.write("app.js", "");
    let said = {
        let mut command = site.command(&["run", "app.js"]);
        command.env("PATH", site.path()).output().unwrap()
    };
    let line = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.code(), Some(64));
    assert!(line.contains("app.js needs node, and node is not in PATH") && line.lines().count() == 1, "{line}");
    refused(&site, &["--interpreter", "no-such", "app.js"], &["app.js needs no-such"]);
    refused(&site, &["--cwd", "nowhere", "--", "sh"], &["cwd: there is no folder", "nowhere"]);
    refused(&site, &["--env-file", "none.env", "--", "sh"], &["env-file", "none.env: No such file"]);
}

#[test]
fn what_makes_no_sense_says_why() {
    let site = Site::new();
    let sleeper = |flags: &[&'static str]| [flags, &["--"], &SLEEPER].concat();
    for (flags, parts) in [
        (&["-n", "many"][..], &["\"many\" is no number of instances", "max, or -1"][..]),
        (&["--ready-notify", "--ready-after", "1s"], &["ready-notify and ready-after are two ways to get ready"]),
        (&["--wait-ready"], &["this is not Node", "--node"]),
        (&["--distribution", "sticky"], &["only Node takes connections"]),
        (&["--fd-env", "FD"], &["name one with --listen"]),
        (&["--listen", "127.0.0.1:0", "--no-listen"], &["--listen", "--no-listen"]),
        (&["--cron-restart", "at noon"], &["cron-restart: \"at noon\" is no time", "0 4 * * *"]),
        (&["--ignore-watch", "x"], &["--watch"]),
        (&["--watch=nowhere"], &["watch: there is no", "nowhere"]),
        (&["--nice", "20"], &["nice must be between -20 and 19, not 20"]),
        (&["--hard-memory", "1"], &["hard-memory must be between"]),
        (&["--stop-signal", "SIGNONE"], &["\"SIGNONE\" is no signal"]),
        (&["--name", "a/b"], &["\"a/b\" is no name for an app"]),
        (&["--log-keep", "2"], &["--log-file"]),
        (&["--env", "X"], &["write NAME=VALUE"]),
        (&["--instanses", "2"], &["--instanses", "--instances", "phalanx run --help"]),
    ] {
        refused(&site, &sleeper(flags), parts);
    }
    refused(&site, &["x", "--", "sh"], &["\"x\" stands before the `--`"]);
}

#[test]
fn a_wrong_key_is_told_with_its_line() {
    let site = Site::new();
    site.write("phalanx.toml", "workers = 2\n\n[[app]]\nprogram = \"sh\"\ninstanses = 3\n");
    refused(&site, &[], &["phalanx.toml line 5: unknown key `instanses`"]);
    site.write("phalanx.toml", "[[app]]\nname = \"a\"\nprogram = \"sh\"\nkill-timeout = \"soon\"\n");
    refused(&site, &[], &["phalanx.toml line 4: \"soon\" is not a time"]);
    site.write(
        "phalanx.toml",
        "[[app]]\nname = \"a\"\nprogram = \"sh\"\n[[app]]\nname = \"b\"\nprogram = \"no-such\"\n",
    );
    refused(&site, &[], &["phalanx.toml line 4: app b: cannot run no-such"]);
    refused(&site, &["c"], &["there is no app \"c\"", "there are: a, b"]);
    refused(&site, &["-n", "2", "a"], &["write the flags there, as keys"]);
}

#[test]
fn serve_reads_the_same_file_and_leaves_the_apps_alone() {
    let site = Site::new();
    site.write("phalanx.toml", "[[app]]\nprogram = \"sh\"\nanything = 1\n");
    // A port of its own that is none: it gets as far as that, past the file.
    site.says(&["serve", "--listen", "nowhere", "--store", "store"]).is_one_line(64, &["nowhere"]);
}

#[test]
fn a_program_that_fails_at_its_first_start_ends_it_with_its_words_and_its_code() {
    let site = Site::new();
    let said = site.says(&[
        "run",
        "--restart-delay",
        "1ms",
        "--max-restarts",
        "2",
        "--",
        "sh",
        "-c",
        "echo my last words >&2; exit 3",
    ]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stderr.contains("my last words"), "{}", said.stderr);
}

#[test]
fn several_workers_that_may_not_get_along_are_warned_of() {
    let site = Site::new();
    let line =
        |flags: &[&'static str]| [&["run", "-n", "2", "--ready-after", "0s"], flags, &["--"], &SLEEPER[..]].concat();
    let running = site.starts(&line(&[]));
    running.until_it_says("2 workers of a program that opens its sockets itself");
    site.online("sh");
    assert_eq!(running.stop(), 0);
    let running = site.starts(&line(&["--no-listen"]));
    site.online("sh");
    assert!(!running.log().contains("opens its sockets itself"), "{}", running.log());
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_second_app_of_the_same_name_is_refused() {
    let site = Site::new();
    let line = [&["run", "--name", "one", "--ready-after", "0s", "--"], &SLEEPER[..]].concat();
    let first = site.starts(&line);
    site.online("one");
    let said = site.says(&line);
    assert_eq!(said.code, 64, "{}", said.stderr);
    assert!(said.stderr.contains("another process listens there"), "{}", said.stderr);
    site.online("one");
    assert_eq!(first.stop(), 0);
}
