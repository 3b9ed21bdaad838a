//! `--detach`, `phalanx startup`, `--import`.

use crate::app::has;
use crate::site::{Site, until};

#[test]
fn a_detached_app_is_ready_when_the_command_returns() {
    let site = Site::new();
    let said = site.says(&[
        "run",
        "-d",
        "--name",
        "api",
        "--ready-after",
        "0s",
        "--",
        "sh",
        "-c",
        "echo hello; exec sleep 1000",
    ]);
    assert!(said.is_well().starts_with("api runs (pid "), "{}", said.stdout);
    let app = site.online("api");
    assert!(said.stdout.contains(&format!("(pid {})", app["pid"])), "{}", said.stdout);
    until("its log", || site.read("phalanx/api.log").contains("worker 1 | hello").then_some(()));
    // In a session of its own, with nobody's terminal.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", app["pid"])).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    assert_eq!(fields[3], app["pid"].to_string());
    site.says(&["ctl", "--app", "api", "stop"]).is_well();
    until("its end", || site.app("api").is_none().then_some(()));
}

#[test]
fn a_detached_app_that_fails_says_why() {
    let site = Site::new();
    let said = site.says(&[
        "run",
        "--detach",
        "--name",
        "api",
        "--max-restarts",
        "1",
        "--",
        "sh",
        "-c",
        "echo my last words; exit 3",
    ]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stderr.contains("my last words") && said.stderr.contains("phalanx/api.log"), "{}", said.stderr);
    site.says(&["run", "--detach", "--", "no-such"]).is_one_line(64, &["cannot run no-such"]);
}

#[test]
fn several_apps_are_detached_together() {
    let site = Site::new();
    let app = |name: &str| {
        format!(
            "[[app]]\nname = \"{name}\"\nprogram = \"sh\"\nargs = \"-c 'echo hello from {name}; exec sleep 1000'\"\nready-after = \"0s\"\n"
        )
    };
    site.write("phalanx.toml", &format!("{}{}", app("one"), app("two")));
    let said = site.says(&["run", "--detach"]);
    assert!(said.is_well().starts_with("one, two run (pid "), "{}", said.stdout);
    for name in ["one", "two"] {
        site.online(name);
        until("its log", || {
            site.read(&format!("phalanx/{name}.log")).contains(&format!("hello from {name}")).then_some(())
        });
    }
    for name in ["one", "two"] {
        site.says(&["ctl", "--app", name, "stop"]).is_well();
    }
    let pid = said.stdout.split_once("(pid ").and_then(|(_, rest)| rest.split(')').next()).unwrap();
    until("the end of what kept them", || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
}

#[test]
fn a_unit_is_written_for_apps_of_a_file_and_for_one_that_runs() {
    let site = Site::new();
    site.write(
        "phalanx.toml",
        "[[app]]\nname = \"api\"\nprogram = \"sh\"\nkill-timeout = \"50s\"\n[[app]]\nname = \"b\"\nprogram = \"sh\"\n",
    );
    let all = site.says(&["startup", "--print"]);
    for part in [
        "ExecReload=/bin/kill -HUP $MAINPID\n",
        "run --config ",
        "TimeoutStopSec=60\n",
        "KillMode=mixed\n",
        "WantedBy=multi-user.target",
    ] {
        assert!(all.is_well().contains(part), "{part}: {}", all.stdout);
    }
    let one = site.says(&["startup", "--user", "--print", "b"]);
    for part in
        ["Type=notify\n", "phalanx.toml b\n", "ctl --app b reload --wait\n", "TimeoutStopSec=40\n", "default.target"]
    {
        assert!(one.is_well().contains(part), "{part}: {}", one.stdout);
    }
    let running = site.starts(&[
        "run",
        "--name",
        "typed",
        "--kill-timeout",
        "3s",
        "--ready-after",
        "0s",
        "--",
        "sh",
        "-c",
        "exec sleep '1000'",
    ]);
    site.online("typed");
    let typed = site.says(&["startup", "--print", "typed"]);
    let exec = "run --name typed --kill-timeout 3s --ready-after 0s -- sh -c \"exec sleep '1000'\"\n";
    assert!(typed.is_well().contains(exec) && typed.stdout.contains("TimeoutStopSec=13\n"), "{}", typed.stdout);
    assert_eq!(running.stop(), 0);
    site.says(&["startup", "--print", "none"]).is_one_line(69, &["the app none does not run"]);
}

#[test]
fn systemd_finds_nothing_wrong_with_a_unit() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let judge = std::env::split_paths(&path).map(|folder| folder.join("systemd-analyze")).find(|file| file.is_file());
    let Some(judge) = judge else {
        eprintln!("skipped: systemd-analyze is not installed");
        return;
    };
    let site = Site::new();
    site.write("phalanx.toml", "[[app]]\nname = \"api\"\nprogram = \"sh\"\n[[app]]\nname = \"b\"\nprogram = \"sh\"\n");
    for (what, scope) in [(&["api"][..], "--system"), (&[], "--system"), (&["--user", "b"], "--user")] {
        let unit = site.says(&[&["startup", "--print"], what].concat());
        let file = site.write("judged.service", unit.is_well());
        let judged = std::process::Command::new(&judge).args(["verify", scope]).arg(&file).output().unwrap();
        let words = String::from_utf8_lossy(&judged.stderr);
        let about_ours: Vec<&str> = words.lines().filter(|line| line.contains("judged")).collect();
        assert!(about_ours.is_empty(), "{about_ours:#?}\n{}", unit.stdout);
    }
}

#[test]
fn a_unit_that_somebody_changed_is_not_written_over() {
    let site = Site::new();
    site.write("phalanx.toml", "[[app]]\nname = \"api\"\nprogram = \"sh\"\n");
    let said = site.says(&["startup", "--user", "api"]);
    assert!(said.is_well().contains("systemctl --user enable --now api"), "{}", said.stdout);
    assert!(site.read("systemd/user/api.service").contains("ExecStart="));
    site.says(&["startup", "--user", "api"]).is_well();
    site.write("systemd/user/api.service", "mine");
    site.says(&["startup", "--user", "api"]).is_one_line(64, &["--force"]);
    assert_eq!(site.read("systemd/user/api.service"), "mine");
    site.says(&["startup", "--user", "--force", "api"]).is_well();
}

#[test]
fn pm2s_file_is_taken_over() {
    let site = Site::new();
    site.write(
        "ecosystem.json",
        r#"{"apps":[{"name":"api","script":"./api.sh","interpreter":"sh","instances":2,"colour":"red"}]}"#,
    );
    let said = site.says(&["run", "--import", "ecosystem.json"]);
    assert!(
        said.is_well().contains("program = \"./api.sh\"\n") && said.stdout.contains("# colour = \"red\""),
        "{}",
        said.stdout
    );
    site.write("phalanx.toml", &said.stdout);
    site.write("api.sh", "exec sleep 1000");
    let running = site.starts(&["run", "api"]);
    site.until_app("api", "two", |app| app["up"] == 2);
    assert_eq!(running.stop(), 0);
    site.says(&["run", "--import", "none.json"]).is_one_line(64, &["cannot import none.json: No such file"]);
    site.says(&["run", "--import", "phalanx.toml"]).is_one_line(64, &["must end with .js"]);
    site.write("x.yml", "apps:\n  - script: api.js\n    instances: max\n");
    assert!(site.says(&["run", "--import", "x.yml"]).is_well().contains("instances = \"max\"\n"));
    site.write("x.yml", "apps: &all\n");
    site.says(&["run", "--import", "x.yml"]).is_one_line(64, &["x.yml: line 1: what begins with &", "js-yaml"]);
}

#[test]
fn pm2s_file_in_javascript_is_run_by_node() {
    if !has("node") {
        return;
    }
    let site = Site::new();
    let app = "{ name: 'api', script: 'a' + '.js', instances: 1 + 1 }";
    site.write("ecosystem.config.js", &format!("console.log('noise'); module.exports = {{ apps: [{app}] }};"));
    site.write("ecosystem.config.mjs", &format!("export default () => ({{ apps: [{app}] }});"));
    for file in ["ecosystem.config.js", "ecosystem.config.mjs"] {
        let said = site.says(&["run", "--import", file]);
        assert!(
            said.is_well().contains("program = \"a.js\"\ninstances = 2\n") && !said.stdout.contains("noise"),
            "{}",
            said.stdout
        );
    }
    site.write("broken.cjs", "throw new Error('my own words')");
    let said = site.says(&["run", "--import", "broken.cjs"]);
    assert!(said.code == 64 && said.stderr.contains("my own words"), "{}", said.stderr);
}
