//! [`Output`]: where the lines end, a file that is rotated or the standard error of the primary.
//!
//! It writes whole lines and may wait; it belongs to the writer's thread.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::Logs;

/// One look whether a standard error that somebody made non-blocking takes something again.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Output {
    settings: Logs,
    open: Option<Open>,
    /// Whether the last write broke off within a line.
    within_line: bool,
}

#[derive(Debug)]
enum Open {
    Stderr,
    File { file: File, bytes: u64 },
}

impl Output {
    pub(super) fn new(settings: Logs) -> Output {
        Output { settings, open: None, within_line: false }
    }

    /// Forgets the file, so that the next write opens the one that has the name then.
    pub(super) fn reopen(&mut self) {
        self.open = None;
    }

    /// Writes lines. On an error, how many bytes were written before it.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < lines.len() {
            let rest = &lines[written..];
            let part = self.part_before_rotation(rest).map_err(|error| (written, error))?;
            self.write_part(&rest[..part]).map_err(|(more, error)| (written + more, error))?;
            written += part;
        }
        Ok(())
    }

    /// How many of these bytes go into the present file; rotates first if it takes no further line.
    fn part_before_rotation(&mut self, lines: &[u8]) -> io::Result<usize> {
        let limit = match self.settings.rotate_at {
            0 => u64::MAX,
            limit => limit,
        };
        let Open::File { bytes, .. } = self.opened()? else { return Ok(lines.len()) };
        let room = usize::try_from(limit.saturating_sub(*bytes)).unwrap_or(usize::MAX);
        if lines.len() <= room {
            return Ok(lines.len());
        }
        if let Some(end) = lines[..room].iter().rposition(|byte| *byte == b'\n') {
            return Ok(end + 1);
        }
        if *bytes > 0 {
            self.rotate()?;
            return self.part_before_rotation(lines);
        }
        // A single line is longer than a file should be.
        Ok(lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1))
    }

    fn opened(&mut self) -> io::Result<&mut Open> {
        if self.open.is_none() {
            self.open = Some(match &self.settings.file {
                None => Open::Stderr,
                Some(path) => {
                    let file = append_to(path)?;
                    let bytes = file.metadata()?.len();
                    Open::File { file, bytes }
                }
            });
        }
        self.open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write_part(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.within_line {
            self.write_bytes(b"\n").map_err(|(_, error)| (0, error))?;
            self.within_line = false;
        }
        self.write_bytes(lines).inspect_err(|(written, _)| {
            self.within_line = *written > 0 && lines[*written - 1] != b'\n';
        })
    }

    fn write_bytes(&mut self, all: &[u8]) -> Result<(), (usize, io::Error)> {
        let open = self.opened().map_err(|error| (0, error))?;
        let mut written = 0;
        while written < all.len() {
            let result = match open {
                Open::Stderr => write_stderr(&all[written..]),
                Open::File { file, bytes } => file.write(&all[written..]).inspect(|count| *bytes += *count as u64),
            };
            match result {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// `PATH` becomes `PATH.1`, that one `PATH.2`, and so on; the oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        let Some(path) = self.settings.file.clone() else { return Ok(()) };
        if self.settings.keep == 0 {
            if let Some(Open::File { file, bytes }) = &mut self.open {
                file.set_len(0)?;
                *bytes = 0;
            }
            return Ok(());
        }
        for number in (1..self.settings.keep).rev() {
            match std::fs::rename(numbered(&path, number), numbered(&path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&path, numbered(&path, 1))?;
        self.open = None;
        Ok(())
    }
}

/// Opens a log file at its end, as the writer does it.
pub(super) fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Writes once. The descriptor is that of many processes: somebody may have made it non-blocking.
fn write_stderr(bytes: &[u8]) -> io::Result<usize> {
    let stderr = io::stderr();
    loop {
        match rustix::io::write(&stderr, bytes) {
            Err(rustix::io::Errno::AGAIN) => {
                let patience = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
                let _ = rustix::event::poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&patience));
            }
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_full_file_is_put_aside_at_the_end_of_a_line_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut output = Output::new(Logs::to_file(&path).rotate_at(20).keep(2));
        for number in 0..10 {
            output.write(format!("line number {number}\nx\n").as_bytes()).unwrap();
        }
        let files: Vec<String> = [path.clone(), numbered(&path, 1), numbered(&path, 2)].map(|path| read(&path)).into();
        assert_eq!(files, ["line number 9\nx\n", "line number 8\nx\n", "line number 7\nx\n"]);
        assert!(!numbered(&path, 3).exists());
        // All in one piece, and one line that is longer than a file.
        output.write(b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\n").unwrap();
        assert_eq!((read(&path), read(&numbered(&path, 1))), ("m\n".into(), "c\nd\ne\nf\ng\nh\ni\nj\nk\nl\n".into()));
        output.write(format!("{}\nend\n", "z".repeat(50)).as_bytes()).unwrap();
        assert_eq!((read(&path), read(&numbered(&path, 1)).len()), ("end\n".into(), 51));
    }

    #[test]
    fn without_files_to_keep_the_file_begins_anew_and_after_a_restart_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let settings = Logs::to_file(&path).rotate_at(10).keep(0);
        Output::new(settings.clone()).write(b"12345\n").unwrap();
        let mut output = Output::new(settings);
        output.write(b"678\n").unwrap();
        assert_eq!(read(&path), "12345\n678\n");
        output.write(b"9\n").unwrap();
        assert_eq!(read(&path), "9\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_was_moved_is_made_anew_on_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut output = Output::new(Logs::to_file(&path));
        output.write(b"one\n").unwrap();
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        output.write(b"two\n").unwrap();
        output.reopen();
        output.write(b"three\n").unwrap();
        assert_eq!((read(&folder.path().join("moved")), read(&path)), ("one\ntwo\n".into(), "three\n".into()));
    }

    #[test]
    fn a_full_disk_is_an_error_that_says_how_much_was_written() {
        let mut output = Output::new(Logs::to_file("/dev/full"));
        let (written, error) = output.write(b"one\n").unwrap_err();
        assert_eq!((written, error.kind()), (0, io::ErrorKind::StorageFull));
    }
}
