//! Bad input and what the world does to a copy: one clear line, no partial file, an existing target untouched, exit code 1.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::runs::{Folder, Ran, ended, fed, gathered, text};

/// Runs a line that must fail, once without a target and once over an existing one: nothing is left, nothing is touched.
#[track_caller]
fn fails(folder: &Folder, line: &str, says: &[&str]) -> Ran {
    let before = folder.names();
    assert!(!before.contains("out"));
    let ran = folder.run(line);
    ran.is_one_line(1, says);
    assert_eq!(folder.names(), before, "{line} left something");
    folder.write("out", "the old content");
    let names = folder.names();
    folder.run(line).is_one_line(1, says);
    assert_eq!(folder.read("out"), b"the old content", "{line} touched the target");
    assert_eq!(folder.names(), names, "{line} left something");
    fs::remove_file(folder.path("out")).unwrap();
    ran
}

#[test]
fn a_missing_input() {
    fails(&Folder::new(), "nowhere out --upper", &["nowhere", "No such file", "is the name right?"]);
}

#[test]
fn an_input_that_cannot_be_opened() {
    let folder = Folder::new();
    folder.write("closed", "secret");
    fs::set_permissions(folder.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may read everything");
        return;
    }
    fails(&folder, "closed out", &["closed", "ermission denied"]);
}

#[test]
fn an_input_that_fails_when_it_is_read() {
    let folder = Folder::new();
    // Its first page is mapped by nobody.
    fails(&folder, "/proc/self/mem out", &["/proc/self/mem", "nput/output error"]);
    fs::create_dir(folder.path("folder")).unwrap();
    fails(&folder, "folder out --gzip", &["folder", "it is a folder"]);
}

#[test]
fn a_missing_folder_of_the_output() {
    let folder = Folder::new();
    folder.write("in", "words");
    folder.run("in none/out --upper").is_one_line(1, &["none/out", "No such file", "make its folder first"]);
    assert_eq!(folder.names().len(), 1);
}

#[test]
fn an_output_that_is_a_folder() {
    let folder = Folder::new();
    folder.write("in", "words");
    fs::create_dir(folder.path("folder")).unwrap();
    folder.run("in folder --upper").is_one_line(1, &["folder", "it is a folder"]);
    assert_eq!(fs::read_dir(folder.path("folder")).unwrap().count(), 0);
}

#[test]
fn a_full_device() {
    let folder = Folder::new();
    folder.write("in", text(1_000_000));
    for line in ["in /dev/full --upper", "in /dev/full --gzip"] {
        folder.run(line).is_one_line(1, &["/dev/full", "No space left", "make room"]);
    }
    let mut command = folder.pipe("in --zstd");
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    ended(command).is_one_line(1, &["standard output", "No space left"]);
    assert!(!fs::metadata("/dev/full").unwrap().is_file());
}

#[test]
fn a_file_that_may_not_grow() {
    let folder = Folder::new();
    folder.write("in", text(1_000_000));
    folder.write("out", "the old content");
    let mut limited = folder.program("sh");
    let line = format!("ulimit -f 100; exec {} pipe in out --upper", env!("CARGO_BIN_EXE_phalanx"));
    limited.args(["-c", &line]);
    ended(limited).is_one_line(1, &["out", "File too large"]);
    assert_eq!(folder.read("out"), b"the old content");
    assert_eq!(folder.names().len(), 2);
}

#[test]
fn a_reader_that_is_gone_is_a_quiet_end() {
    let folder = Folder::new();
    folder.write("in", text(3_000_000));
    for line in ["in", "in --upper", "/dev/zero --gzip=1"] {
        let mut running = folder.pipe(line).spawn().unwrap();
        running.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
        let ran = gathered(running);
        assert_eq!((ran.code, ran.stderr.as_str()), (141, ""), "{line}");
    }
}

#[test]
fn a_reader_of_a_fifo_that_is_gone_is_an_error() {
    let folder = Folder::new();
    let fifo = folder.fifo("fifo");
    let running = folder.pipe("/dev/zero fifo").spawn().unwrap();
    fs::File::open(&fifo).unwrap().read_exact(&mut [0; 10]).unwrap();
    gathered(running).is_one_line(1, &["fifo", "roken pipe", "gone"]);
    assert!(fifo.exists());
}

#[test]
fn a_slow_reader_gets_everything() {
    let folder = Folder::new();
    let words = text(2_000_000);
    folder.write("in", &words);
    let mut running = folder.pipe("in --upper").spawn().unwrap();
    let mut out = running.stdout.take().unwrap();
    let (mut heard, mut some) = (Vec::new(), [0; 50_000]);
    loop {
        std::thread::sleep(std::time::Duration::from_millis(2));
        match out.read(&mut some).unwrap() {
            0 => break,
            bytes => heard.extend_from_slice(&some[..bytes]),
        }
    }
    assert_eq!(gathered(running).code, 0);
    assert!(heard == words.to_ascii_uppercase());
}

#[test]
fn an_output_that_is_the_input() {
    let folder = Folder::new();
    folder.write("in", "words");
    fs::hard_link(folder.path("in"), folder.path("same")).unwrap();
    std::os::unix::fs::symlink("in", folder.path("link")).unwrap();
    for line in ["in in --upper", "in ./in", "in same --upper", "link in --gzip", "in link --gzip"] {
        folder.run(line).is_one_line(1, &["same file"]);
        assert_eq!(folder.read("in"), b"words", "{line}");
    }
    let both = || fs::File::options().read(true).append(true).open(folder.path("in")).unwrap();
    let mut command = folder.pipe("--upper");
    command.stdin(both()).stdout(both());
    ended(command).is_one_line(1, &["same file"]);
    assert_eq!(folder.read("in"), b"words");
    assert_eq!(folder.names().len(), 3);
}

#[test]
fn text_that_is_not_utf_8() {
    let folder = Folder::new();
    folder.write("in", b"abc\xff");
    fails(&folder, "in out --upper=unicode", &["uppercase", "3"]);
}

/// Packed bytes of each format, and the flags that unpack them.
fn packed(folder: &Folder, bytes: usize) -> Vec<(&'static str, &'static str)> {
    folder.write("words", text(bytes));
    folder.succeeds("words words.gz --gzip");
    folder.succeeds("words words.zst --zstd");
    let mut key = folder.pipe("--keygen key");
    key.stdout(Stdio::piped());
    let recipient = String::from_utf8(ended(key).stdout).unwrap();
    folder.succeeds(&format!("words words.age --encrypt -r {}", recipient.trim()));
    vec![("words.gz", "--gunzip"), ("words.zst", "--unzstd"), ("words.age", "--decrypt -i key")]
}

#[test]
fn a_truncated_input() {
    let folder = Folder::new();
    for (name, flags) in packed(&folder, 2_000_000) {
        let whole = folder.read(name);
        for keep in [whole.len() - 1, whole.len() / 2, 100, 3] {
            folder.write("cut", &whole[..keep]);
            fails(&folder, &format!("cut out {flags}"), &[flags.split(' ').next().unwrap().trim_matches('-')]);
        }
        fails(&folder, &format!("/dev/null out {flags}"), &["empty"]);
    }
}

#[test]
fn a_tampered_input() {
    let folder = Folder::new();
    for (name, flags) in packed(&folder, 2_000_000) {
        let whole = folder.read(name);
        for at in [0, whole.len() / 3, whole.len() / 2, whole.len() - 6] {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            folder.write("bad", &bad);
            fails(&folder, &format!("bad out {flags}"), &[flags.split(' ').next().unwrap().trim_matches('-')]);
        }
    }
}

#[test]
fn a_bomb() {
    let folder = Folder::new();
    for (pack, unpack) in [("--gzip=1", "--gunzip"), ("--zstd", "--unzstd")] {
        folder.write("zeros", vec![0; 30 << 20]);
        folder.succeeds(&format!("zeros bomb {pack}"));
        fs::remove_file(folder.path("zeros")).unwrap();
        let line = format!("bomb out {unpack} --max-size 1MiB");
        fails(&folder, &line, &["larger than the limit of 1048576 bytes", "--max-size"]);
        fails(&folder, &format!("bomb out {unpack} --max-ratio 20"), &["20", "--max-ratio"]);
        assert_eq!(folder.succeeds(&format!("bomb {unpack} --max-size 30MiB")).len(), 30 << 20);
    }
}

#[test]
fn an_error_in_the_middle_is_also_one_line_on_standard_output() {
    let folder = Folder::new();
    let words = text(5_000_000);
    folder.write("in", &words);
    let mut packed = folder.succeeds("in --gzip");
    packed.truncate(packed.len() / 2);
    let ran = fed(folder.pipe("--gunzip"), &packed);
    ran.is_one_line(1, &["gunzip", "truncated"]);
    assert!(words.starts_with(&ran.stdout), "what came was not the beginning");
}
