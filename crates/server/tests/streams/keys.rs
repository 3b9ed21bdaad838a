//! Keys and passphrases: what opens what, and that no secret is ever repeated.

use super::{noise, ok, text};
use crate::harness::Server;
use phalanx_stream::Identity;

fn identity(key: &Identity) -> String {
    format!("phalanx-identity: {}\r\n", key.expose())
}

#[test]
fn each_recipient_decrypts_and_nobody_else() {
    let server = Server::start();
    let [alice, bob, eve] = [(); 3].map(|()| Identity::generate());
    let path = format!("/v1/encrypt?recipient={}&recipient={}", alice.recipient(), bob.recipient());
    for bytes in [text(0), text(100), noise(1_000_000)] {
        for armor in ["", "&armor=1"] {
            let answer = server.post(&format!("{path}{armor}"), "", &bytes);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let sealed = ok(answer);
            assert_eq!(sealed.starts_with(b"-----BEGIN AGE"), !armor.is_empty());
            for key in [&alice, &bob] {
                assert!(ok(server.post("/v1/decrypt", &identity(key), &sealed)) == bytes);
            }
            let both = format!("phalanx-identity: {}, {}\r\n", eve.expose(), bob.expose());
            assert!(ok(server.post("/v1/decrypt", &both, &sealed)) == bytes);
            server.post("/v1/decrypt", &identity(&eve), &sealed).is_problem(422, "wrong-key");
            server.post("/v1/decrypt", "phalanx-passphrase: sesame\r\n", &sealed).is_problem(422, "wrong-key");
        }
    }
}

#[test]
fn a_passphrase_encrypts_and_decrypts() {
    let server = Server::start_with(&["--workers", "1", "--max-wait", "60s", "--standing-wait", "60s"]);
    let bytes = text(10_000);
    let sealed = ok(server.post("/v1/encrypt", "phalanx-passphrase: open sesame\r\n", &bytes));
    assert!(ok(server.post("/v1/decrypt", "phalanx-passphrase: open sesame\r\n", &sealed)) == bytes);
    server.post("/v1/decrypt", "phalanx-passphrase: close sesame\r\n", &sealed).is_problem(422, "wrong-key");
    server.post("/v1/decrypt", &identity(&Identity::generate()), &sealed).is_problem(422, "wrong-key");
}

#[test]
fn what_asks_for_too_much_work_is_refused_before_it_is_done() {
    let server = Server::start_with(&["--workers", "1", "--memory", "64MiB"]);
    let bytes = b"age-encryption.org/v1\n-> scrypt MTIzNDU2Nzg5MDEyMzQ1Ng 22\nMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI\n--- MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI\n1234567890123456xxxxxxxxxxxxxxxxxxxxxxx";
    server.post("/v1/decrypt", "phalanx-passphrase: sesame\r\n", bytes).is_problem(422, "undecodable");
}

#[test]
fn tampered_and_truncated_bodies_are_refused_or_cut() {
    let server = Server::start_with(&["--workers", "1"]);
    server.survives(|server| {
        let key = Identity::generate();
        let encrypt = format!("/v1/encrypt?recipient={}", key.recipient());
        let sealed = ok(server.post(&encrypt, "", &text(1000)));
        for length in [10, sealed.len() / 2, sealed.len() - 1] {
            server.post("/v1/decrypt", &identity(&key), &sealed[..length]).is_problem(422, "undecodable");
        }
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        server.post("/v1/decrypt", &identity(&key), &changed).is_problem(422, "undecodable");
        server.post("/v1/decrypt", &identity(&key), b"").is_problem(422, "undecodable");
        server.post("/v1/decrypt", &identity(&key), &text(5000)).is_problem(422, "undecodable");

        let mut large = ok(server.post(&encrypt, "", &noise(4 << 20)));
        *large.last_mut().unwrap() ^= 1;
        let head = format!(
            "POST /v1/decrypt HTTP/1.1\r\nhost: test\r\n{}content-length: {}\r\n\r\n",
            identity(&key),
            large.len()
        );
        server.connect().try_send(&head, &large).expect_err("a cut answer");
    });
}

#[test]
fn the_keys_of_the_server_open_what_brings_none() {
    let key = Identity::generate();
    let server = Server::start_in(&["--identity", "keys.txt"], |folder, _| {
        key.write_file(folder.join("keys.txt")).unwrap();
    });
    let sealed = ok(server.post(&format!("/v1/encrypt?recipient={}", key.recipient()), "", b"abc"));
    assert_eq!(ok(server.post("/v1/decrypt", "", &sealed)), b"abc");
    // What brings a key is opened with that alone.
    server.post("/v1/decrypt", &identity(&Identity::generate()), &sealed).is_problem(422, "wrong-key");

    let server = Server::start();
    let detail = server.post("/v1/decrypt", "", &sealed).is_problem(400, "bad-request");
    assert!(detail.contains("Phalanx-Identity"), "{detail}");
}

#[test]
fn a_file_without_identities_keeps_the_server_from_starting() {
    let flags = ["serve", "--listen", "127.0.0.1:0", "--identity", "keys.txt"];
    let told = Server::refused(&flags, |folder, _| std::fs::write(folder.join("keys.txt"), "sesame\n").unwrap());
    assert_ne!(told.status.code(), Some(0));
    assert!(told.stderr.contains("keys.txt") && !told.stderr.contains("sesame"), "{}", told.stderr);
    let told = Server::refused(&flags, |_, _| {});
    assert!(told.stderr.contains("keys.txt"), "{}", told.stderr);
}

#[test]
fn no_secret_is_ever_repeated() {
    let server = Server::start_with(&["--log-level", "trace"]);
    let key = Identity::generate();
    let secret = key.expose();
    let sealed = ok(server.post(&format!("/v1/encrypt?recipient={}", key.recipient()), "", b"abc"));
    let mut answers = vec![
        server.post("/v1/decrypt", &identity(&key), &sealed),
        server.post("/v1/decrypt", &format!("phalanx-identity: {secret}x\r\n"), &sealed),
        server.post("/v1/decrypt", &format!("{}phalanx-passphrase: {secret}\r\n", identity(&key)), &sealed),
        server.post("/v1/encrypt", &format!("phalanx-passphrase: {secret}\r\nphalanx-passphrase: b\r\n"), b"abc"),
        server.post(&format!("/v1/encrypt?recipient={secret}"), "", b"abc"),
    ];
    for name in ["identity", "passphrase", "key"] {
        for path in ["/v1/encrypt", "/v1/decrypt"] {
            let answer = server.post(&format!("{path}?{name}={secret}"), "", b"abc");
            let detail = answer.is_problem(400, "bad-parameter");
            assert!(detail.contains("must not be in a URL"), "{detail}");
            answers.push(answer);
        }
    }
    assert_eq!(answers.iter().filter(|answer| answer.status == 400).count(), 10);
    for answer in &answers {
        assert!(!answer.text().to_lowercase().contains(&secret.to_lowercase()[..30]), "{}", answer.text());
    }
    assert!(!server.log().to_lowercase().contains(&secret.to_lowercase()[..30]), "{}", server.log());
}
