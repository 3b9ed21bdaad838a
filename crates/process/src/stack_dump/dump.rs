//! [`Dump`]: where each thread stands, as data and as text.

use std::fmt;
use std::time::Duration;

use super::modules::Modules;
use super::record::MAX_FRAMES;

/// Where each thread of a process stood. Displayed, it is text for people; threads that stand at the same place are told of
/// once.
#[derive(Debug)]
pub struct Dump {
    process: u32,
    name: String,
    threads: Vec<ThreadDump>,
    modules: Modules,
    took: Duration,
}

/// Where one thread stood.
#[derive(Debug)]
pub struct ThreadDump {
    pub(super) tid: u32,
    pub(super) name: String,
    pub(super) stack: Stack,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stack {
    /// It answered.
    Addresses(Vec<u64>),
    /// It answered, and the addresses have names.
    Frames(Vec<Frame>),
    /// It did not answer; what is known of it.
    Silent(String),
}

/// A function that a thread was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its name; if that is not known, the file and the address in it: `libc.so.6+0x29d90`.
    pub function: String,
    /// File and line, if there is debug information.
    pub location: Option<String>,
    /// Whether the compiler put it into the frame that follows.
    pub inlined: bool,
}

impl ThreadDump {
    /// Number of the thread.
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// Name of the thread; the kernel keeps 15 bytes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The functions that it was in, the innermost first. Empty before [`Dump::symbolise`], and if it did not answer.
    pub fn frames(&self) -> &[Frame] {
        match &self.stack {
            Stack::Frames(frames) => frames,
            _ => &[],
        }
    }

    /// Why it did not answer: its state and what it waits for. `None` if it did.
    pub fn silence(&self) -> Option<&str> {
        match &self.stack {
            Stack::Silent(why) => Some(why),
            _ => None,
        }
    }
}

impl Dump {
    pub(super) fn new(process: u32, name: String, threads: Vec<ThreadDump>, modules: Modules, took: Duration) -> Dump {
        Dump { process, name, threads, modules, took }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process
    }

    /// Its threads, by number.
    pub fn threads(&self) -> &[ThreadDump] {
        &self.threads
    }

    /// Finds names for the addresses. Reads the files of the program: milliseconds to a second, and memory; not for a
    /// process that serves.
    pub fn symbolise(&mut self) {
        #[cfg(feature = "symbols")]
        let mut symbols = super::symbols::Symbols::default();
        for thread in &mut self.threads {
            let Stack::Addresses(addresses) = &thread.stack else { continue };
            let mut frames = Vec::new();
            for (index, address) in addresses.iter().enumerate() {
                // All but the innermost are where a call returns to, which may be another line already.
                let within = if index == 0 { *address } else { address.saturating_sub(1) };
                let Some(found) = self.modules.find(within) else {
                    frames.push(Frame { function: format!("{address:#x}"), location: None, inlined: false });
                    continue;
                };
                #[cfg(feature = "symbols")]
                if symbols.add_frames(&found, &mut frames) {
                    continue;
                }
                let function = format!("{}+{:#x}", found.name, found.address);
                frames.push(Frame { function, location: None, inlined: false });
            }
            thread.stack = Stack::Frames(frames);
        }
    }

    fn answered(&self) -> usize {
        self.threads.iter().filter(|thread| thread.silence().is_none()).count()
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answered, all) = (self.answered(), self.threads.len());
        let (name, process, took) = (&self.name, self.process, self.took.as_millis());
        writeln!(f, "stacks of {name} (process {process}): {answered} of {all} threads answered within {took} ms")?;
        let mut told: Vec<&ThreadDump> = Vec::new();
        for thread in &self.threads {
            if told.iter().any(|other| other.stack == thread.stack) {
                continue;
            }
            told.push(thread);
            let same: Vec<String> = self
                .threads
                .iter()
                .filter(|other| other.stack == thread.stack)
                .map(|other| format!("{} \"{}\"", other.tid, other.name))
                .collect();
            writeln!(f, "thread{} {}:", if same.len() == 1 { "" } else { "s" }, same.join(", "))?;
            thread.stack.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deep = |f: &mut fmt::Formatter<'_>, count: usize| {
            if count >= MAX_FRAMES { writeln!(f, "       …  (the outer frames are not told)") } else { Ok(()) }
        };
        match self {
            Stack::Silent(why) => writeln!(f, "       no answer: {why}"),
            Stack::Addresses(addresses) => {
                for (index, address) in addresses.iter().enumerate() {
                    writeln!(f, "  {index:>4}: {address:#x}")?;
                }
                deep(f, addresses.len())
            }
            Stack::Frames(frames) => {
                let mut index = 0;
                let mut inside_an_inlined_one = false;
                for frame in frames {
                    let number = if inside_an_inlined_one { String::new() } else { format!("{index}:") };
                    write!(f, "  {number:>5} {}", frame.function)?;
                    match &frame.location {
                        Some(location) => writeln!(f, "  at {location}")?,
                        None => writeln!(f)?,
                    }
                    inside_an_inlined_one = frame.inlined;
                    index += usize::from(!frame.inlined);
                }
                deep(f, index)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, inlined: bool) -> Frame {
        Frame { function: function.into(), location: None, inlined }
    }

    #[test]
    fn threads_at_the_same_place_are_told_of_once() {
        let parked = || Stack::Frames(vec![frame("futex", true), frame("park", false), frame("work", false)]);
        let threads = vec![
            ThreadDump { tid: 7, name: "main".into(), stack: Stack::Silent("state D".into()) },
            ThreadDump { tid: 8, name: "pool-1".into(), stack: parked() },
            ThreadDump { tid: 9, name: "pool-2".into(), stack: parked() },
        ];
        let dump = Dump::new(7, "server".into(), threads, Modules::default(), Duration::from_millis(3));
        let expected = "stacks of server (process 7): 2 of 3 threads answered within 3 ms\n\
                        thread 7 \"main\":\n       no answer: state D\n\
                        threads 8 \"pool-1\", 9 \"pool-2\":\n     0: futex\n        park\n     1: work\n";
        assert_eq!(dump.to_string(), expected);
    }
}
