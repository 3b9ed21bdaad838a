//! One measurement: its processes, from the first to the sum.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use measuring::{During, Failure, Times};

use crate::tally::Counted;
use crate::{Contender, Drive};

/// Starts the clients, lets them begin together, and prints their sum. Whoever started us ends our process group if this
/// takes too long.
pub(crate) fn run(measurement: &Drive) -> Result<(), Failure> {
    let own = std::env::current_exe().during("find own program")?;
    let _owner = match measurement.contender {
        Contender::BareOwner => Some(Owner::start(&own, Path::new(&measurement.url))?),
        _ => None,
    };
    let clients: Result<Vec<Process>, Failure> =
        (0..measurement.processes).map(|_| Process::start(client_command(&own, measurement))).collect();
    let mut clients = clients?;
    for client in &mut clients {
        client.wait_for("ready")?;
    }
    for client in &mut clients {
        client.begin()?;
    }
    let counted: Result<Vec<Counted>, Failure> = clients.iter_mut().map(Process::figures).collect();
    print_sum(&counted?)?;
    clients.into_iter().try_for_each(Process::end)
}

fn client_command(own: &Path, measurement: &Drive) -> Command {
    let mut command = match measurement.node.split_first() {
        Some((node, script)) => {
            let mut command = Command::new(node);
            command.args(script);
            command
        }
        None => {
            let mut command = Command::new(own);
            command.arg("client");
            command
        }
    };
    command.arg(measurement.contender.word()).args([&measurement.url, &measurement.name]);
    command.arg(measurement.clients.to_string());
    command.args([measurement.warm_up_seconds, measurement.seconds].map(|seconds| seconds.to_string()));
    command
}

fn print_sum(counted: &[Counted]) -> Result<(), Failure> {
    let (mut enqueue, mut cycle) = (Times::new()?, Times::new()?);
    for process in counted {
        for (into, times) in [(&mut enqueue, &process.enqueue), (&mut cycle, &process.cycle)] {
            times.iter().for_each(|(microseconds, count)| into.add_counted((microseconds * 1e3) as u64, *count));
        }
    }
    let figure: f64 = counted.iter().map(|process| process.cycles as f64 / process.seconds).sum();
    let figures = serde_json::json!({
        "figure": figure,
        "p50": cycle.microseconds_at(0.5),
        "p99": cycle.microseconds_at(0.99),
        "enqueue_p50": enqueue.microseconds_at(0.5),
        "enqueue_p99": enqueue.microseconds_at(0.99),
    });
    println!("{figures}");
    Ok(())
}

/// A process that says what it does line by line.
struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(mut command: Command) -> Result<Self, Failure> {
        let name = command.get_program().display().to_string();
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().during(&format!("start {name}"))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self { child, input, output: BufReader::new(output).lines() }),
            _ => Err(Failure::new(format!("{name} was started without its pipes"))),
        }
    }

    fn wait_for(&mut self, word: &str) -> Result<(), Failure> {
        match self.output.next() {
            Some(Ok(line)) if line == word => Ok(()),
            Some(line) => Err(Failure::new(format!("a process said {:?} instead of {word}", line.during("read")?))),
            None => Err(Failure::new(format!("a process ended before it said {word}"))),
        }
    }

    fn begin(&mut self) -> Result<(), Failure> {
        writeln!(self.input, "go").and_then(|()| self.input.flush()).during("let a process begin")
    }

    fn figures(&mut self) -> Result<Counted, Failure> {
        let line = self.output.next().ok_or_else(|| Failure::new("a process ended without figures"))?;
        let line = line.during("read figures")?;
        serde_json::from_str(&line).during(&format!("read the figures {line:?}"))
    }

    /// It ends with its input.
    fn end(mut self) -> Result<(), Failure> {
        drop(self.input);
        self.child.wait().map(drop).during("wait for a process")
    }
}

/// The owner of the bare queue.
struct Owner(Option<Process>);

impl Owner {
    fn start(own: &Path, folder: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(own);
        command.arg("owner").arg(folder);
        let mut process = Process::start(command)?;
        process.wait_for("ready")?;
        Ok(Self(Some(process)))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.take().map(Process::end);
    }
}
