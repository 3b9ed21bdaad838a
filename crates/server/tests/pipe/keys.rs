//! Keys, passphrases, and what is encrypted with them, against the program age.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::runs::{Folder, ended, fed, has, text};

/// A key in a file; its recipient.
fn key(folder: &Folder, name: &str) -> String {
    let ran = folder.run(&format!("--keygen {name}"));
    let recipient = String::from_utf8(ran.succeeded()).unwrap().trim().to_owned();
    assert!(recipient.starts_with("age1"), "{recipient}");
    recipient
}

#[test]
fn a_key_is_made_for_its_owner_alone() {
    let folder = Folder::new();
    let recipient = key(&folder, "key");
    let file = String::from_utf8(folder.read("key")).unwrap();
    assert!(file.contains(&recipient) && file.contains("AGE-SECRET-KEY-1"), "{file}");
    assert_eq!(fs::metadata(folder.path("key")).unwrap().permissions().mode() & 0o777, 0o600);
    folder.run("--keygen key").is_one_line(1, &["key", "exists"]);
    assert_eq!(String::from_utf8(folder.read("key")).unwrap(), file);

    let ran = folder.run("--keygen -");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(String::from_utf8(ran.stdout).unwrap().contains("AGE-SECRET-KEY-1"));
}

#[test]
fn each_recipient_opens_it_and_nobody_else() {
    let folder = Folder::new();
    let words = text(1_000_000);
    folder.write("in", &words);
    let (one, two, three) = (key(&folder, "one"), key(&folder, "two"), key(&folder, "three"));
    folder.write("friends", format!("# friends\n{two}\n\n{three}\n"));
    folder.succeeds(&format!("in locked --encrypt -r {one} -R friends"));
    for name in ["one", "two", "three"] {
        assert!(folder.succeeds(&format!("locked --decrypt -i {name}")) == words, "{name}");
    }
    key(&folder, "stranger");
    let before = folder.names();
    folder.run("locked out --decrypt -i stranger").is_one_line(1, &["decrypt", "-i", "-p"]);
    assert_eq!(folder.names(), before);
    assert!(folder.succeeds("locked --decrypt -i stranger -i two") == words);
}

#[test]
fn a_passphrase_from_a_file_or_a_variable() {
    let folder = Folder::new();
    folder.write("in", "words");
    folder.write("phrase", "correct horse\nthe second line is no part of it\n");
    folder.succeeds("in locked --encrypt --passphrase-file phrase");
    let mut right = folder.pipe("locked --decrypt --passphrase-env PHRASE");
    right.env("PHRASE", "correct horse");
    assert_eq!(ended(right).succeeded(), b"words");
    let mut wrong = folder.pipe("locked out --decrypt --passphrase-env PHRASE");
    wrong.env("PHRASE", "wrong horse");
    ended(wrong).is_one_line(1, &["decrypt", "passphrase"]);
    folder.run("locked out --decrypt --passphrase-env NO_SUCH").is_one_line(1, &["NO_SUCH", "not set"]);
    folder.run("locked out --decrypt --passphrase-file none").is_one_line(1, &["none", "No such file"]);
    folder.write("nothing", "");
    folder.run("in out --encrypt --passphrase-file nothing").is_one_line(1, &["nothing", "empty"]);
    assert!(!folder.path("out").exists());
}

#[test]
fn wrong_keys_are_one_line_before_anything_is_written() {
    let folder = Folder::new();
    folder.write("in", "words");
    folder.write("junk", "# a comment\nnot a key\n");
    let before = folder.names();
    for (line, says) in [
        ("in out --encrypt -r age1nonsense", &["age1nonsense"][..]),
        ("in out --encrypt -R junk", &["junk", "2"]),
        ("in out --encrypt -R none", &["none", "No such file"]),
        ("in out --decrypt -i junk", &["junk", "2"]),
        ("in out --decrypt -i none", &["none", "No such file"]),
    ] {
        folder.run(line).is_one_line(1, says);
        assert_eq!(folder.names(), before, "{line}");
    }
}

#[test]
fn age_of_the_system() {
    if !has("age") || !has("age-keygen") {
        return;
    }
    for bytes in [0, 1, 65_536, 3_000_000] {
        let folder = Folder::new();
        let words = text(bytes);
        folder.write("in", &words);
        let ours = key(&folder, "ours");
        let mut keygen = folder.program("age-keygen");
        keygen.args(["-o", "theirs"]);
        assert_eq!(ended(keygen).code, 0);
        let theirs = String::from_utf8(folder.read("theirs")).unwrap();
        let theirs = theirs.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();

        for armor in ["", "--armor"] {
            let packed = folder.succeeds(&format!("in --encrypt {armor} -r {theirs}"));
            assert_eq!(packed.starts_with(b"-----BEGIN AGE"), !armor.is_empty());
            let mut age = folder.program("age");
            age.args(["-d", "-i", "theirs"]);
            assert!(fed(age, &packed).succeeded() == words, "age read something else, of {bytes}");

            let mut age = folder.program("age");
            age.args(["-r", &ours]).args((!armor.is_empty()).then_some("-a"));
            let packed = fed(age, &words).succeeded();
            assert!(folder.run_with("--decrypt -i ours", &packed).succeeded() == words, "we, of {bytes}");
        }
    }
}

#[test]
fn out_and_back_through_all_stages() {
    let folder = Folder::new();
    let words = text(4_000_000);
    folder.write("in", &words);
    let recipient = key(&folder, "key");
    folder.succeeds(&format!("in locked --gzip --encrypt -r {recipient}"));
    folder.succeeds("locked out --decrypt -i key --gunzip --upper --zstd");
    assert!(folder.succeeds("out --unzstd") == words.to_ascii_uppercase());
}
