//! Starting and not starting: one clear line, the right exit code, nothing left behind.

mod harness;

use harness::{Refusal, Server, code, taken_port, wait_until};
use std::path::Path;

/// One line on standard error that says all of this, nothing on standard output, and the code.
#[track_caller]
fn is_one_line(refusal: &Refusal, exit: i32, says: &[&str]) {
    assert_eq!(code(refusal.status), exit, "{}", refusal.stderr);
    assert_eq!(refusal.stderr.lines().count(), 1, "{}", refusal.stderr);
    for words in says {
        assert!(refusal.stderr.contains(words), "{:?} lacks {words:?}", refusal.stderr);
    }
    assert_eq!(refusal.stdout, "");
}

#[test]
fn a_taken_port_is_one_line() {
    let (_held, address) = taken_port();
    let refusal = Server::refused(&["--listen", &address.to_string()], |_, _| {});
    is_one_line(&refusal, 1, &["phalanx: ", &address.to_string()]);
}

#[test]
fn a_store_that_cannot_be_written_is_one_line() {
    let refusal = Server::refused(&["--listen", "127.0.0.1:0", "--store", "taken"], |folder, _| {
        std::fs::write(folder.join("taken"), "a file in place of the folder").unwrap();
    });
    is_one_line(&refusal, 1, &["cannot write to the store taken"]);
}

#[test]
fn a_folder_without_permission_is_one_line() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may write everywhere");
        return;
    }
    let refusal = Server::refused(&["--listen", "127.0.0.1:0", "--store", "closed/inner"], |folder, _| {
        std::fs::create_dir(folder.join("closed")).unwrap();
        std::fs::set_permissions(folder.join("closed"), std::fs::Permissions::from_mode(0o500)).unwrap();
    });
    is_one_line(&refusal, 1, &["cannot write to the store closed/inner"]);
}

#[test]
fn an_unknown_key_of_the_file_is_told_with_its_line() {
    let write = |folder: &Path| std::fs::write(folder.join("phalanx.toml"), "workers = 2\nwrokers = 3\n").unwrap();
    let refusal = Server::refused(&[], |folder, _| write(folder));
    is_one_line(&refusal, 64, &["phalanx.toml line 2: unknown key `wrokers`"]);
}

#[test]
fn wrong_settings_are_64() {
    let refusal = Server::refused(&["--workers", "0"], |_, _| {});
    is_one_line(&refusal, 64, &["workers must be between 1 and 1024, not 0"]);
    let refusal = Server::refused(&["--config", "none.toml"], |_, _| {});
    is_one_line(&refusal, 64, &["cannot read none.toml"]);
    let refusal = Server::refused(&[], |_, command| {
        command.env("PHALANX_BODY_LIMIT", "much");
    });
    is_one_line(&refusal, 64, &["\"much\" is not a size", "--body-limit"]);
    let refusal = Server::refused(&["--wrokers", "3"], |_, _| {});
    is_one_line(&refusal, 64, &["--wrokers", "--workers"]);
}

#[test]
fn too_few_open_files_is_one_line() {
    let refusal = Server::refused(&["serve", "--listen", "127.0.0.1:0", "--max-connections", "900000000"], |_, _| {});
    assert_eq!(code(refusal.status), 64, "{}", refusal.stderr);
    // A million is allowed as a setting, and more than any hard limit that these machines have by default.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    if limit.is_none_or(|limit| limit >= 1_000_128) {
        println!("skipped: this machine allows {limit:?} open files");
        return;
    }
    let refusal = Server::refused(&["--listen", "127.0.0.1:0", "--max-connections", "1000000"], |_, _| {});
    is_one_line(&refusal, 1, &["files can be open", "1000000 connections", "--max-connections"]);
}

#[test]
fn help_teaches_with_curl() {
    for flags in [&["--help"][..], &["serve", "--help"]] {
        let told = Server::refused(flags, |_, _| {});
        assert_eq!(code(told.status), 0);
        for words in ["curl -F image=@", "--listen", "PHALANX_", "/process"] {
            assert!(told.stdout.contains(words), "{flags:?} lacks {words}");
        }
    }
}

#[test]
fn settings_come_from_the_file_below_the_environment_below_the_flags() {
    let server = Server::start_in(&["--job-memory", "3MiB"], |folder, command| {
        let file = "body-limit = \"1KiB\"\nmax-wait = \"1ms\"\njob-memory = \"1MiB\"\n";
        std::fs::write(folder.join("phalanx.toml"), file).unwrap();
        command.env("PHALANX_BODY_LIMIT", "2KiB").env("PHALANX_JOB_MEMORY", "2MiB");
    });
    let limits = &server.get("/readyz").json()["limits"];
    assert_eq!(
        (&limits["max_wait_ms"], &limits["body_bytes"], &limits["job_bytes"]),
        (&1.into(), &2048.into(), &(3 << 20).into())
    );
}

#[test]
fn it_stops_cleanly_and_leaves_no_process() {
    let server = Server::start();
    let workers = server.worker_pids();
    assert_eq!(code(server.stop()), 0);
    wait_until("the workers to be gone", || workers.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
}

#[test]
fn log_lines_are_json_where_asked() {
    let server = Server::start();
    server.get("/whoami");
    wait_until("a request line", || server.log().contains("\"path\":\"/whoami\""));
    for line in server.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?} is no JSON"));
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
}
