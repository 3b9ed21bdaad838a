//! Where `/proc` is hidden, everything still has an answer, and none of them is a wrong number.

use std::process::Command;

/// Runs the test of the name with an empty `/proc`, in name spaces of its own.
const HIDE: &str = r#"mount -t tmpfs none /proc && exec "$0" --exact --ignored --nocapture in_the_dark"#;

#[test]
fn with_proc_hidden_figures_are_missing_or_right_and_never_wrong() {
    let may = Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "none", "/proc"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine does not let us hide /proc (unshare -Urm, mount)");
        return;
    }
    let ourselves = std::env::current_exe().unwrap();
    let output = Command::new("unshare").args(["-Urm", "sh", "-c", HIDE]).arg(ourselves).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "is run by the other one, with /proc hidden"]
fn in_the_dark() {
    let error = phalanx_memory::resident().unwrap_err().to_string();
    assert!(error.contains("/proc/self/statm") && error.contains("check that /proc is mounted"), "{error}");
    if cfg!(target_env = "gnu") {
        let usage = phalanx_memory::usage().unwrap();
        assert_eq!(usage.source, phalanx_memory::UsageSource::Allocator);
        assert_eq!((usage.resident, usage.unique, usage.anonymous), (None, None, None));
        assert!(usage.live().unwrap() > 0, "{usage:?}");
    } else {
        assert!(phalanx_memory::usage().is_err());
    }
    let before = phalanx_memory::descriptors();
    let opened: Vec<_> = (0..10).map(|_| std::fs::File::open("/").unwrap()).collect();
    assert!(phalanx_memory::descriptors() >= before + 10);
    drop(opened);
    let totals = phalanx_memory::totals();
    assert!(totals.limit.bytes > 0 && totals.limit == phalanx_memory::total(), "{totals:?}");
    phalanx_memory::give_back();
}
