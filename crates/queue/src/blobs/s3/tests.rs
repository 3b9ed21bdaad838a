use std::net::TcpListener;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use object_store::{BackoffConfig, RetryConfig};
use phalanx_task::{Blob, Packed};

use super::fake::{BUCKET, FakeS3, KEY};
use super::*;
use crate::{QueueUrl, payload};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Of the queue of the test that is started again with an environment of its own.
const URL: &str = "PHALANX_TEST_QUEUE_URL";

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

/// Without any runtime.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A store of this address, with patience for 5 failures.
fn open(place: &str, endpoint: String, key: &str) -> Result<S3Store, Error> {
    let pause = Duration::from_millis(1);
    let backoff = BackoffConfig { init_backoff: pause, max_backoff: pause, base: 2.0 };
    let retry = RetryConfig { backoff, max_retries: 5, retry_timeout: PATIENCE };
    let from = AmazonS3Builder::new().with_access_key_id(key).with_secret_access_key("secret").with_allow_http(true);
    S3Store::open(place, &S3Settings { endpoint: Some(endpoint), region: None }, from, retry)
}

fn store(server: &FakeS3) -> S3Store {
    open(&format!("s3://{BUCKET}/some/blobs"), server.endpoint(), KEY).unwrap()
}

fn key_of(bytes: &[u8]) -> String {
    let name = hexadecimal(&hash_of(bytes));
    format!("some/blobs/{}/{}", &name[..2], &name[2..])
}

#[test]
fn bytes_come_back_and_the_same_ones_are_put_once() {
    let server = FakeS3::start();
    let store = store(&server);
    for bytes in [b"some bytes".to_vec(), Vec::new(), vec![7; 3_000_000]] {
        let hash = ready(store.put(Blob::from(bytes.clone()))).unwrap();
        assert_eq!(ready(store.put(Blob::from(bytes.clone()))).unwrap(), hash);
        assert_eq!(hash, hash_of(&bytes));
        assert!(server.keys().contains(&key_of(&bytes)));
        assert_eq!(ready(store.get(hash)).unwrap().as_ref(), bytes);
    }
    assert_eq!((server.count("PUT"), server.count("HEAD"), server.count("GET")), (3, 6, 3));
}

#[test]
fn what_is_in_the_bucket_by_half_or_was_put_long_ago_is_put_again() {
    let server = FakeS3::start();
    let store = store(&server);
    server.add(&key_of(b"by half"), b"by ha", Duration::ZERO);
    server.add(&key_of(b"long ago"), b"long ago", FRESH + HOUR);
    for bytes in [&b"by half"[..], b"long ago"] {
        let hash = ready(store.put(Blob::from(bytes.to_vec()))).unwrap();
        assert_eq!(ready(store.get(hash)).unwrap().as_ref(), bytes);
    }
    assert_eq!(server.count("PUT"), 2);
    assert_eq!(ready(store.sweep(Duration::ZERO)).unwrap(), 0);
}

#[test]
fn what_is_read_and_was_put_long_ago_is_put_again() {
    let server = FakeS3::start();
    let store = store(&server);
    for (bytes, age) in [(&b"just now"[..], FRESH - HOUR), (b"long ago", FRESH + HOUR)] {
        server.add(&key_of(bytes), bytes, age);
        assert_eq!(ready(store.get(hash_of(bytes))).unwrap().as_ref(), bytes);
    }
    server.wait_for("PUT");
    let state = server.state();
    assert!(state.requests.contains(&format!("PUT /{BUCKET}/{}", key_of(b"long ago"))));
    assert!(!state.requests.contains(&format!("PUT /{BUCKET}/{}", key_of(b"just now"))));
}

#[test]
fn what_is_missing_or_is_not_what_was_put_there_is_an_error() {
    let server = FakeS3::start();
    let store = store(&server);
    let missing = ready(store.get(hash_of(b"missing"))).unwrap_err();
    assert!(matches!(&missing, Error::Blob { reason, .. } if reason.contains("swept")), "{missing}");
    server.add(&key_of(b"right"), b"wrong", 2 * FRESH);
    let wrong = ready(store.get(hash_of(b"right"))).unwrap_err();
    assert!(matches!(&wrong, Error::Blob { reason, .. } if reason.contains("others")), "{wrong}");
    assert_eq!(server.count("PUT"), 0, "what is damaged is not renewed");
}

#[test]
fn a_server_that_fails_now_and_then_is_asked_again() {
    let server = FakeS3::start();
    let store = store(&server);
    server.state().failures = 3;
    let bytes = vec![5; 100_000];
    let hash = ready(store.put(Blob::from(bytes.clone()))).unwrap();
    assert_eq!((server.count("HEAD"), server.count("PUT")), (4, 1));
    server.state().cuts = 1;
    assert_eq!(ready(store.get(hash)).unwrap().as_ref(), bytes);
    assert_eq!(server.count("GET"), 2);
}

#[test]
fn a_server_that_fails_always_or_is_not_there_is_unavailable_and_why_is_said() {
    let server = FakeS3::start();
    server.state().failures = usize::MAX;
    let failing = ready(store(&server).put(Blob::from(vec![1]))).unwrap_err();
    assert!(failing.is_passing() && failing.to_string().contains("500"), "{failing}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = open(&format!("s3://{BUCKET}"), format!("http://127.0.0.1:{port}"), KEY).unwrap();
    for error in [
        ready(nobody.put(Blob::from(vec![1]))).unwrap_err(),
        ready(nobody.get([0; 32])).unwrap_err(),
        ready(nobody.sweep(Duration::ZERO)).unwrap_err(),
    ] {
        let told = error.to_string();
        assert!(error.is_passing() && told.contains(BUCKET) && told.contains("refused"), "{told}");
    }
}

#[test]
fn keys_that_may_not_and_buckets_that_are_not_there_are_refusals_and_no_missing_blobs() {
    let server = FakeS3::start();
    let stranger = open(&format!("s3://{BUCKET}"), server.endpoint(), "a-strangers").unwrap();
    let elsewhere = open("s3://no-such-bucket", server.endpoint(), KEY).unwrap();
    for (store, hint) in [(stranger, "AWS_ACCESS_KEY_ID"), (elsewhere, "make the bucket")] {
        for error in [
            ready(store.put(Blob::from(vec![1]))).unwrap_err(),
            ready(store.get([0; 32])).unwrap_err(),
            ready(store.sweep(Duration::ZERO)).unwrap_err(),
        ] {
            assert!(matches!(&error, Error::Refused { reason, .. } if reason.contains(hint)), "{error}");
        }
    }
}

#[test]
fn keys_that_may_not_list_the_bucket_can_put_and_get() {
    let server = FakeS3::start();
    let store = store(&server);
    server.state().hides_what_is_missing = true;
    let hash = ready(store.put(Blob::from(b"some bytes".to_vec()))).unwrap();
    assert!(ready(store.get(hash)).is_ok());
    assert!(matches!(ready(store.get([0; 32])), Err(Error::Refused { .. })));
}

#[test]
fn only_blobs_that_were_put_long_ago_are_swept_from_all_pages_of_a_list() {
    let server = FakeS3::start();
    let old: Vec<Vec<u8>> = (0..20).map(|number| format!("old {number}").into_bytes()).collect();
    for bytes in &old {
        server.add(&key_of(bytes), bytes, 5 * DAY);
    }
    let mut kept = vec![
        key_of(b"new"),
        "some/blobs/readme".to_owned(),
        "some/blobs/ab/readme".to_owned(),
        key_of(b"x").replace("some/", "other/"),
        key_of(b"x").replace("some/blobs", "some/blobs-of-others"),
    ];
    for (key, age) in kept.iter().zip([DAY, 5 * DAY, 5 * DAY, 5 * DAY, 5 * DAY]) {
        server.add(key, b"kept", age);
    }
    assert_eq!(ready(store(&server).sweep(2 * DAY)).unwrap(), 20);
    kept.sort();
    assert_eq!(server.keys(), kept);
    assert!(server.count("GET") > 5, "a list has pages");
}

#[test]
fn what_is_put_again_while_a_sweep_runs_is_not_swept() {
    let server = FakeS3::start();
    server.add(&key_of(b"old"), b"old", 5 * DAY);
    server.state().is_renewed_when_listed = true;
    assert_eq!(ready(store(&server).sweep(2 * DAY)).unwrap(), 0);
    assert_eq!(server.keys(), [key_of(b"old")]);
}

#[test]
fn addresses_that_can_never_work_are_refused_without_showing_keys() {
    let of = |url: &str| super::super::of(&url.parse::<QueueUrl>().unwrap(), None).map(|_| ()).unwrap_err();
    for (url, word) in [
        ("embedded:x?blobs=s3://", "no bucket"),
        ("embedded:x?blobs=s3://b/a//b", "prefix"),
        ("embedded:x?blobs=s3://key:secret@b/p", "AWS_ACCESS_KEY_ID"),
        ("embedded:x?blobs=s3://b&s3_key=secret", "s3_key"),
        ("embedded:x?blobs=s3://b&s3_endpoint=http://127.0.0.1:1", "AWS_ALLOW_HTTP"),
        ("embedded:x?blobs=gs://b", "s3://BUCKET"),
        ("embedded:x?s3_region=r", "s3_region|s3_…"),
    ] {
        let error = of(url);
        let told = error.to_string();
        assert!(matches!(error, Error::BadUrl { .. }) && word.split('|').any(|word| told.contains(word)), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

/// Another program with keys in its environment puts a large payload into the server's bucket and gets it back.
fn run_elsewhere(server: &FakeS3, environment: &[(&str, &str)]) {
    let url =
        format!("embedded:x?blobs=s3://{BUCKET}/some/blobs&s3_endpoint={}&s3_region=eu-north-9", server.endpoint());
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "blobs::s3::tests::a_program_of_another_environment", "--include-ignored"]);
    program.env(URL, url).env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", "secret");
    let output = program.envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.keys(), [key_of(&[7; 100_000])]);
}

#[test]
fn keys_come_from_the_environment_and_the_url_goes_before_its_endpoint() {
    run_elsewhere(
        &FakeS3::start(),
        &[
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
        ],
    );
}

#[test]
fn a_server_with_a_certificate_is_believed_only_if_that_is_trusted() {
    let (server, certificate) = FakeS3::start_with_tls();
    let error = ready(store(&server).put(Blob::from(vec![1]))).unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("certificate"), "{error}");
    assert!(server.keys().is_empty());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trusted.pem");
    std::fs::write(&file, certificate).unwrap();
    run_elsewhere(&server, &[("SSL_CERT_FILE", file.to_str().unwrap())]);
}

#[test]
#[ignore = "started by other tests"]
fn a_program_of_another_environment() {
    let Ok(url) = std::env::var(URL) else { return };
    let blobs = super::super::of(&url.parse().unwrap(), None).unwrap();
    let value = Packed { bytes: vec![1], blobs: vec![Blob::from(vec![7; 100_000])] };
    let packed = ready(payload::pack(value.clone(), blobs.as_ref())).unwrap();
    assert!(packed.len() < 100);
    assert_eq!(ready(payload::unpack(&packed, blobs.as_ref())).unwrap(), value);
}
