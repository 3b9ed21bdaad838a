//! What a reader needs to judge or repeat a table: the machine, the versions, the command.

use crate::peers::{Contender, rustc_version};

/// Prints the machine, the versions of all `contenders` and the command line.
pub(crate) fn print_environment(contenders: &[Contender]) {
    print_machine();
    println!("- the load generator runs on the same cores");
    let versions = contenders.iter().map(|contender| (contender.name(), contender.versions()));
    print_versions_and_command(versions);
}

/// The same for programs that measure by themselves.
pub(crate) fn print_environment_of<'a>(programs: impl Iterator<Item = (&'a str, String)>) {
    print_machine();
    print_versions_and_command(programs);
}

fn print_machine() {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("\n- machine: {cores} cores of {}, Linux {}; {}", processor(), kernel.trim(), load_average());
}

fn print_versions_and_command<'a>(versions: impl Iterator<Item = (&'a str, String)>) {
    for (name, version) in versions {
        println!("- {name}: {version}");
    }
    println!("- built with {}", rustc_version());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("- command: `cargo xtask bench {}`", arguments.join(" "));
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or("an unnamed processor", |(_, name)| name.trim()).to_owned()
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let minute = text.split(' ').next().unwrap_or_default();
    format!("load average of the minute before: {minute}")
}
