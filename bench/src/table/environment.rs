//! What a reader needs to judge or repeat a table: the machine, the versions, the command.

use std::process::Command;

use crate::peers::Contender;

/// Prints the machine, the versions of all `contenders` and the command line.
pub(crate) fn print_environment(contenders: &[Contender]) {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("\n- machine: {cores} cores of {}, Linux {}", processor(), kernel.trim());
    println!("- the load generator runs on the same cores; {}", load_average());
    for contender in contenders {
        println!("- {}: {}", contender.name(), contender.versions());
    }
    println!("- built with {}", output_of("rustc", "--version"));
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

fn output_of(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_else(|_| program.to_owned())
}
