//! Tests: the Node peers are the servers that they claim to be, or their figures mean nothing.

use super::{Contender, Running};
use crate::load::{Answer, Request, Reuse, exchange};
use pictures::photos;
use pictures::quality::{Judge, decode};

/// The peer, started; none if Node or its packages are missing, which under `CI=true` is a failure.
fn start(contender: Contender) -> Option<Running> {
    match Running::start(contender, 1) {
        Ok(server) => Some(server),
        Err(absent) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{}: {absent}", contender.name());
            eprintln!("skipped: {}: {absent}", contender.name());
            None
        }
    }
}

fn answer(server: &Running, request: &Request) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(exchange(server.address, request, &mut None)).unwrap()
}

#[test]
fn both_process_peers_compute_the_tutorials_numbers() {
    for contender in [Contender::NodeThread, Contender::NodePiscina] {
        let Some(server) = start(contender) else { return };
        let request = Request::post_json("/process", r#"{"numbers":[10,20,30,40]}"#, Reuse::OnePerRequest);
        let answer = answer(&server, &request);
        assert_eq!(String::from_utf8_lossy(&answer.body), r#"{"result":[75306,75596,75886,76176]}"#);
    }
}

#[test]
fn the_upload_peer_shrinks_to_800_px_keeps_the_picture_and_says_where_it_is() {
    let Some(server) = start(Contender::NodeUpload) else { return };
    let photo = photos::generated(1200, 900, 95);
    let picture = answer(&server, &Request::upload("/upload?download=1", &photo, Reuse::OnePerRequest)).body;
    assert_eq!(decode(&picture).unwrap().width, 800);
    let score = Judge::new(&photo).unwrap().score(&picture).unwrap();
    assert!(score > 50.0, "{score}");

    let answer = answer(&server, &Request::upload("/upload", &photo, Reuse::OnePerRequest));
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(json["message"], "Image processed successfully!");
    assert!(std::path::Path::new(json["resultPath"].as_str().unwrap()).is_file());
}
