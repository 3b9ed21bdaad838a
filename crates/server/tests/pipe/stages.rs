//! What the stages do, alone and in a row, against the system's own programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use crate::runs::{Folder, ended, fed, has, text};

#[test]
fn a_file_in_upper_case() {
    let folder = Folder::new();
    let words = text(3_000_000);
    folder.write("in", &words);
    folder.succeeds("in out --upper");
    assert!(folder.read("out") == words.to_ascii_uppercase());
    assert_eq!(folder.names(), ["in", "out"].map(String::from).into());
}

#[test]
fn standard_input_to_standard_output() {
    let folder = Folder::new();
    assert_eq!(folder.run_with("", b"as it is").succeeded(), b"as it is");
    assert_eq!(folder.run_with("- - --upper", b"as it is").succeeded(), b"AS IT IS");
    assert_eq!(folder.run_with("", b"").succeeded(), b"");
    folder.write("in", "a file");
    assert_eq!(folder.succeeds("in --upper"), b"A FILE");
    folder.run_with("- out", b"to a file").succeeded();
    assert_eq!(folder.read("out"), b"to a file");
}

#[test]
fn unicode_letters_where_asked() {
    let folder = Folder::new();
    assert_eq!(folder.run_with("--upper", "straße".as_bytes()).succeeded(), "STRAßE".as_bytes());
    assert_eq!(folder.run_with("--upper=unicode", "straße, ölig".as_bytes()).succeeded(), "STRASSE, ÖLIG".as_bytes());
}

#[test]
fn stages_work_in_the_order_given() {
    let folder = Folder::new();
    let words = text(700_000);
    folder.write("in", &words);
    folder.succeeds("in packed --gzip --zstd=1");
    assert_eq!(folder.succeeds("packed --unzstd --gunzip --upper"), words.to_ascii_uppercase());
    folder.run("packed out --gunzip --unzstd").is_one_line(1, &["gunzip", "right stage"]);
    assert!(!folder.path("out").exists());
}

/// What the system's program packs we unpack, and what we pack it unpacks; by files and by pipes.
#[track_caller]
fn trades_with(program: &str, pack: &[&str], unpack: &[&str], our_pack: &str, our_unpack: &str) {
    if !has(program) {
        return;
    }
    for bytes in [0, 1, 100_000, 5_000_000] {
        let folder = Folder::new();
        let words = text(bytes);
        folder.write("in", &words);

        folder.succeeds(&format!("in ours {our_pack}"));
        let mut theirs = folder.program(program);
        theirs.args(unpack).stdin(fs::File::open(folder.path("ours")).unwrap());
        assert!(ended(theirs).succeeded() == words, "{program} read something else, of {bytes}");

        let mut theirs = folder.program(program);
        theirs.args(pack).stdin(fs::File::open(folder.path("in")).unwrap());
        let packed = ended(theirs).succeeded();
        assert!(folder.run_with(our_unpack, &packed).succeeded() == words, "we read something else, of {bytes}");
    }
}

#[test]
fn gzip_of_the_system() {
    trades_with("gzip", &["-c"], &["-dc"], "--gzip", "--gunzip");
    trades_with("gzip", &["-1c"], &["-dc"], "--gzip=12 --threads 1", "--gunzip --threads 1");
}

#[test]
fn zstd_of_the_system() {
    trades_with("zstd", &["-qc"], &["-dqc"], "--zstd", "--unzstd");
    trades_with("zstd", &["-19qc"], &["-dqc"], "--zstd=1 --threads 1", "--unzstd --threads 1");
}

#[test]
fn digests_are_those_of_sha256sum() {
    let folder = Folder::new();
    folder.write("in", text(1_000_000));
    let ran = folder.run("in out.gz --hash=sha-256 --gzip --hash=sha-256 --hash");
    assert_eq!((ran.code, ran.stderr.lines().count()), (0, 3), "{}", ran.stderr);
    let mut names = ran.stderr.lines().map(|line| line.split(" = ").next().unwrap());
    assert_eq!(names.by_ref().collect::<Vec<_>>(), ["SHA256 (in)", "SHA256 (out.gz)", "BLAKE3 (out.gz)"]);

    folder.succeeds("in copy --hash=sha-256 --hash-file sums");
    assert!(String::from_utf8(folder.read("sums")).unwrap().starts_with("SHA256 (copy) = "));
    let mut check = folder.program("sha256sum");
    check.args(["--quiet", "-c", "sums"]);
    ended(check).succeeded();
    assert_eq!(
        folder.run_with("--hash=sha-256", b"").stderr,
        "SHA256 (-) = e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
    );
}

#[test]
fn a_tee_gets_the_same() {
    let folder = Folder::new();
    let words = text(2_000_000);
    folder.write("in", &words);
    folder.succeeds("in out --upper --tee loud --gzip");
    assert!(folder.read("loud") == words.to_ascii_uppercase());
    assert!(folder.succeeds("out --gunzip") == folder.read("loud"));
}

#[test]
fn a_throttle_holds_back() {
    let folder = Folder::new();
    let begun = std::time::Instant::now();
    folder.write("in", text(600_000));
    folder.succeeds("in out --throttle 1MB");
    assert!(begun.elapsed().as_millis() >= 300, "{:?}", begun.elapsed());
    assert_eq!(folder.read("out").len(), 600_000);
}

#[test]
fn a_target_keeps_its_mode_and_a_link_stays_a_link() {
    let folder = Folder::new();
    folder.write("in", "new");
    folder.write("out", "old");
    fs::set_permissions(folder.path("out"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("out", folder.path("link")).unwrap();
    folder.succeeds("in link --upper");
    assert_eq!(folder.read("out"), b"NEW");
    assert_eq!(fs::metadata(folder.path("out")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_link(folder.path("link")).unwrap(), Path::new("out"));
}

#[test]
fn a_fifo_in_and_a_fifo_out() {
    let folder = Folder::new();
    let (into, out) = (folder.fifo("in"), folder.fifo("out"));
    let words = text(1_000_000);
    let running = folder.pipe("in out --upper").spawn().unwrap();
    let read = std::thread::scope(|scope| {
        scope.spawn(|| fs::write(into, &words).unwrap());
        fs::read(&out).unwrap()
    });
    crate::runs::gathered(running).succeeded();
    assert!(read == words.to_ascii_uppercase());
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&fs::symlink_metadata(&out).unwrap().file_type()));
}

#[test]
fn progress_is_told_on_standard_error() {
    let folder = Folder::new();
    folder.write("in", text(2_000_000));
    let ran = folder.run("in out --gzip --progress");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("MB") || ran.stderr.contains("MiB"), "{:?}", ran.stderr);
}

#[test]
fn memory_stays_small_behind_a_slow_reader() {
    let folder = Folder::new();
    let mut running = folder.pipe("/dev/zero --upper").spawn().unwrap();
    let mut out = running.stdout.take().unwrap();
    // A pipe holds 64 KiB: what has been read beyond waits in the pipeline, which must not grow.
    std::io::Read::read_exact(&mut out, &mut [0; 1 << 20]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    let peak: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    drop(out);
    assert_eq!(crate::runs::gathered(running).code, 141);
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn one_thread_and_small_buffers_do_the_same() {
    let folder = Folder::new();
    let words = text(3_000_000);
    folder.write("in", &words);
    folder.succeeds("in out --threads 1 --buffer 1 --gzip=1 --gunzip --zstd=1 --unzstd --upper");
    assert!(folder.read("out") == words.to_ascii_uppercase());
    let mut cat = folder.pipe("--upper");
    cat.stdout(Stdio::piped());
    assert!(fed(cat, &words).succeeded() == words.to_ascii_uppercase());
}
