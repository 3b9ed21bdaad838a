//! The command line: help that teaches, and one line for what is wrong.

use crate::runs::Folder;

#[test]
fn help_teaches_with_examples() {
    let ran = Folder::new().run("--help");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let help = String::from_utf8(ran.stdout).unwrap();
    for words in [
        "phalanx pipe words.txt loud.txt --upper",
        "--gzip[=<LEVEL>]",
        "--decrypt -i key.txt --unzstd",
        "--keygen key.txt",
        "in the order given",
        "Exit code: 0 done; 1 failed",
        "--max-size",
        "--progress",
    ] {
        assert!(help.contains(words), "the help lacks {words:?}:\n{help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
}

#[test]
fn a_wrong_command_line_is_one_line_and_2() {
    for (line, says) in [
        ("--uper", &["--uper", "--upper"][..]),
        ("--gzip=0 in out", &["levels are 1 to 12"]),
        ("a b c", &["'c'"]),
        ("--threads 0", &["0", "1..="]),
        ("--encrypt in out", &["-r", "--keygen"]),
        ("--decrypt in out", &["-i KEYFILE"]),
        ("-r age1 in out", &["no --encrypt"]),
        ("-p --passphrase-env X --encrypt", &["--passphrase"]),
        ("--max-size much --gunzip", &["is not a size"]),
        ("--keygen k --gzip", &["--keygen"]),
    ] {
        let folder = Folder::new();
        folder.write("in", "");
        let ran = folder.run(line);
        ran.is_one_line(2, says);
        ran.is_one_line(2, &["see phalanx pipe --help"]);
        assert_eq!(folder.names().len(), 1, "{line} wrote something");
    }
}

#[test]
fn a_passphrase_is_never_an_argument() {
    let ran = Folder::new().run("--encrypt --passphrase=hunter2");
    ran.is_one_line(2, &["--passphrase"]);
}
