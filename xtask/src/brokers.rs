//! The brokers that the tests share: started while cargo builds, ended with the run.
//!
//! ```text
//! start ──▶ phalanx-brokers rabbitmq kafka postgres ──NAME=URL…──▶ variables ──PHALANX_TEST_NAME=URL──▶ cargo test
//!                     ▲ its standard input is our life-line
//! ```

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::step::{self, Failure};
use crate::tools::{self, Missing, Tool};

/// Each name that the program knows, and what it needs.
const BROKERS: [(&str, &[Tool]); 3] =
    [("rabbitmq", &[tools::RABBITMQ]), ("kafka", &[tools::JAVA, tools::MAVEN]), ("postgres", &[tools::POSTGRESQL])];
/// Before the names that the program prints.
const PREFIX: &str = "PHALANX_TEST_";

/// Brokers that are about to answer, or do.
pub(crate) struct Brokers {
    program: Option<(Child, Lines<BufReader<ChildStdout>>)>,
}

impl Brokers {
    /// Starts those that are installed.
    pub(crate) fn start() -> Result<Self, Failure> {
        let installed = BROKERS.iter().filter(|(_, tools)| tools.iter().all(|tool| tool.find().is_some()));
        let names: Vec<&str> = installed.map(|(name, _)| *name).collect();
        if names.is_empty() {
            return Ok(Self { program: None });
        }
        step::run(step::cargo().args(["build", "--quiet", "--package", "phalanx-brokers"]))?;
        let program = step::target_folder()?.join("debug/phalanx-brokers");
        println!("\n==> phalanx-brokers {}, while cargo builds", names.join(" "));
        let mut process = Command::new(program)
            .args(names)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start phalanx-brokers: {error}")))?;
        let lines = process.stdout.take().map(|output| BufReader::new(output).lines());
        Ok(Self { program: lines.map(|lines| (process, lines)) })
    }

    /// Where they are, once all of them answer: variables for the tests. The program has a deadline for each.
    pub(crate) fn variables(&mut self, missing: Missing) -> Result<Vec<(String, String)>, Failure> {
        let mut variables = Vec::new();
        if let Some((_, lines)) = &mut self.program {
            let lines = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
            variables.extend(lines.filter_map(|line| variable(&line)));
        }
        for (name, url) in &variables {
            println!("==> {name}={url}");
        }
        let is_there = |name: &str| variables.iter().any(|(variable, _)| variable == &format!("{PREFIX}{name}"));
        let absent: Vec<&str> = ["AMQP", "KAFKA", "POSTGRES"].into_iter().filter(|name| !is_there(name)).collect();
        match missing {
            Missing::Install if !absent.is_empty() => {
                Err(Failure::new(format!("no broker answers for {}: see what phalanx-brokers said", absent.join(", "))))
            }
            _ => Ok(variables),
        }
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        if let Some((mut process, _)) = self.program.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }
}

fn variable(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    Some((format!("{PREFIX}{name}"), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_variable() {
        let expected = ("PHALANX_TEST_AMQP".to_owned(), "amqp://u:p@h/?a=b".to_owned());
        assert_eq!(variable("AMQP=amqp://u:p@h/?a=b"), Some(expected));
        assert_eq!(variable("nothing"), None);
    }
}
