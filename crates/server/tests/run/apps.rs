//! Apps of a file: all, some, two on one port; and what `phalanx ctl` tells of them.

use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;

use crate::app::{PATIENCE, has, program};
use crate::http::{ask, free_port, is_ok};
use crate::site::{Site, until};

fn sleeper(name: &str) -> String {
    format!(
        "[[app]]\nname = \"{name}\"\nprogram = \"sh\"\nargs = [\"-c\", \"exec sleep 1000\"]\nready-after = \"0s\"\n"
    )
}

#[test]
fn all_apps_run_and_end_together() {
    let site = Site::new();
    site.write("phalanx.toml", &format!("{}\n{}instances = 2\n", sleeper("one"), sleeper("two")));
    let running = site.starts(&["run"]);
    site.online("one");
    let two = site.online("two");
    assert_eq!((&two["up"], &two["wanted"]), (&2.into(), &2.into()));
    let told = site.says(&["ctl", "describe", "two"]);
    for part in ["program            sh -c 'exec sleep 1000'", "phalanx.toml", "WORKER"] {
        assert!(told.is_well().contains(part), "{}", told.stdout);
    }
    let table = site.says(&["ctl", "ls"]);
    assert!(table.is_well().starts_with("NAME  UP"), "{}", table.stdout);
    assert_eq!(running.stop(), 0);
    assert!(site.app("one").is_none() && site.app("two").is_none());
    assert!(site.says(&["ctl", "ls"]).is_well().starts_with("no app runs"));
}

#[test]
fn only_those_that_are_named_run() {
    let site = Site::new();
    site.write("apps.toml", &["one", "two", "three"].map(sleeper).concat());
    let running = site.starts(&["run", "--config", "apps.toml", "three", "one"]);
    site.online("one");
    site.online("three");
    assert!(site.app("two").is_none());
    assert_eq!(running.stop(), 0);
}

#[test]
fn of_two_apps_on_one_port_the_second_says_so_and_the_first_runs_on() {
    if !has("python3") {
        return;
    }
    let site = Site::new();
    let (port, script) = (free_port(), program("python/app.py"));
    let app = |name: &str| {
        format!(
            "[[app]]\nname = \"{name}\"\nprogram = {script:?}\nlisten = \"127.0.0.1:{port}\"\nready-notify = true\ninstances = 1\n"
        )
    };
    site.write("phalanx.toml", &[app("first"), app("second"), sleeper("third")].concat());
    let running = site.starts(&["run"]);
    running.until_it_says("phalanx: second: ");
    running.until_it_says(&format!("127.0.0.1:{port}"));
    running.until_it_says("app second ended: code 1; it is tried again");
    site.online("first");
    site.online("third");
    assert!(is_ok(&ask(port).unwrap()));
    assert_eq!(running.stop(), 0);
}

#[test]
fn an_app_whose_primary_is_killed_comes_back_and_the_others_do_not_notice() {
    let site = Site::new();
    site.write("phalanx.toml", &format!("{}{}", sleeper("one"), sleeper("two")));
    let running = site.starts(&["run"]);
    let (one, two) = (site.online("one"), site.online("two"));
    let pid = i32::try_from(one["pid"].as_i64().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    site.until_app("one", "back", |app| app["status"] == "online" && app["pid"] != one["pid"]);
    assert_eq!(site.online("two")["pid"], two["pid"]);
    running.until_it_says("app one ended: SIGKILL; it is tried again");
    assert_eq!(running.stop(), 0);
}

#[test]
fn sighup_reloads_every_app_and_each_line_names_its_app() {
    let site = Site::new();
    let talker = |name: &str| {
        format!(
            "[[app]]\nname = \"{name}\"\nprogram = \"sh\"\nargs = [\"-c\", \"echo here; exec sleep 1000\"]\nready-after = \"0s\"\nno-listen = true\n"
        )
    };
    site.write("phalanx.toml", &format!("{}{}", talker("one"), talker("two")));
    let running = site.starts(&["run"]);
    for name in ["one", "two"] {
        site.online(name);
        running.until_it_says(&format!("{name} worker 1 | here"));
    }
    running.signal(Signal::HUP);
    for name in ["one", "two"] {
        running.until_it_says(&format!("{name} worker 2 | here"));
        running.until_it_says(&format!("{name}: reload (operation 1) is done"));
    }
    assert_eq!(running.stop(), 0);
}

#[test]
fn the_service_manager_hears_of_all_apps_as_of_one() {
    let site = Site::new();
    site.write("phalanx.toml", &format!("{}{}", sleeper("one"), sleeper("two")));
    let manager = UnixDatagram::bind(site.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut text = [0; 4096];
        let length = manager.recv(&mut text).expect("a notice");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    // The watchdog speaks in between.
    let next = || std::iter::repeat_with(heard).find(|notice| notice != "WATCHDOG=1").unwrap();
    let running = site.starts_with(&["run"], |command| {
        command.env("NOTIFY_SOCKET", site.path().join("notify")).env("WATCHDOG_USEC", "200000");
    });
    assert_eq!(next(), "READY=1\nSTATUS=2 of 2 apps serve");
    assert_eq!(heard(), "WATCHDOG=1");
    running.signal(Signal::HUP);
    assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(next(), "READY=1\nSTATUS=2 of 2 apps serve");
    running.until_it_says("one: reload (operation 1) is done");
    running.until_it_says("two: reload (operation 1) is done");
    running.signal(Signal::TERM);
    assert!(next().starts_with("STOPPING=1"));
    let mut running = running;
    assert_eq!(running.end(), 0);
}

#[test]
fn ctl_reaches_an_app_by_its_name() {
    let site = Site::new();
    let running = site.starts(&[
        "run",
        "--name",
        "api",
        "--no-listen",
        "--ready-after",
        "0s",
        "--",
        "sh",
        "-c",
        "echo hello; exec sleep 1000",
    ]);
    site.online("api");
    site.says(&["ctl", "--app", "api", "scale", "2", "--wait"]).is_well();
    site.until_app("api", "two", |app| app["up"] == 2);
    site.says(&["ctl", "-a", "api", "reload", "--wait"]).is_well();
    until("the lines of all", || {
        (site.says(&["ctl", "--app", "api", "logs"]).is_well().matches("hello").count() >= 4).then_some(())
    });
    assert!(site.says(&["ctl", "--app", "api", "status"]).is_well().contains("of 2 workers serve"));
    let named =
        site.command(&["ctl", "--app", "api", "status"]).env("PHALANX_CONTROL", "elsewhere.sock").output().unwrap();
    assert!(named.status.success(), "{}", String::from_utf8_lossy(&named.stderr));
    site.says(&["ctl", "--app", "web", "status"]).is_one_line(69, &["the app web does not run", "phalanx ctl ls"]);
    site.says(&["ctl", "--app", "../x", "status"]).is_one_line(64, &["is no name for an app"]);
    site.says(&["ctl", "--app", "api", "stop"]).is_well();
    let mut running = running;
    assert_eq!(running.end(), 0);
}

#[test]
fn a_socket_that_was_left_behind_is_said_and_skipped() {
    let site = Site::new();
    let running = site.starts(&["run", "--name", "one", "--ready-after", "0s", "--", "sleep", "1000"]);
    site.online("one");
    drop(std::os::unix::net::UnixListener::bind(site.path().join("phalanx/old.sock")).unwrap());
    let said = site.says(&["ctl", "ls"]);
    assert!(said.is_well().contains("one ") && !said.stdout.contains("old"), "{}", said.stdout);
    assert!(said.stderr.contains("old does not run: nobody listens at"), "{}", said.stderr);
    assert_eq!(running.stop(), 0);
}
