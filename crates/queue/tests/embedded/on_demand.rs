//! An owner that nobody supervises: started by the first client, gone after the last.

use rustix::process::Signal;

use crate::Test;
use crate::process::{Place, Running, Watched};

pub(crate) const TESTS: &[Test] = &[
    ("twenty clients that come at once share one owner", one_for_all),
    ("an owner ends after its last client, and leaves no socket and no lock", leaves),
    ("a client that comes after an owner has ended gets another", comes_again),
    ("a killed owner is replaced, and nobody who is connected has to know", replaced),
    ("sigterm ends an owner cleanly", told),
    ("a program without init is told what is missing", uninitialized),
    ("a folder with a path longer than a socket's address is as good as any", long_path),
];

fn one_for_all() {
    let place = Place::new();
    let mut clients: Vec<Running> = (0..20).map(|_| Running::start("hold", &place.url())).collect();
    clients.iter_mut().for_each(|client| drop(client.says("connected")));
    assert_eq!(place.log().matches(" owns ").count(), 1, "{}", place.log());
    let owner = place.owned();
    let name = std::fs::read_to_string(format!("/proc/{owner}/cmdline")).unwrap();
    assert!(name.starts_with("phalanx: queue\0") && name.contains("queue"), "{name}");
    // It is nobody's child of ours, and holds nothing of ours.
    assert!(clients.iter().all(|client| client.pid() != owner));
    clients.into_iter().for_each(|client| assert!(client.end().success()));
}

fn leaves() {
    let place = Place::new();
    let mut client = Running::start("hold", &place.url());
    client.says("connected");
    let owner = Watched::of(place.owned());
    assert!(client.end().success());
    owner.ends();
    assert_eq!(place.owner(), None);
    assert!(place.log().contains("nobody was there any more"), "{}", place.log());
    let left = place.files();
    assert!(left.iter().all(|file| file == "lock" || file == "owner.log" || file.ends_with(".db")), "{left:?}");
}

fn comes_again() {
    let place = Place::new();
    let mut first = Running::start("hold", &place.url());
    first.says("connected");
    let owner = Watched::of(place.owned());
    assert!(first.end().success());
    owner.ends();
    let mut second = Running::start("hold", &place.url());
    second.says("connected");
    assert_ne!(place.owned(), owner.pid);
}

fn replaced() {
    let place = Place::new();
    let mut clients: Vec<Running> = (0..4).map(|_| Running::start("submit", &place.url())).collect();
    clients.iter_mut().for_each(|client| drop(client.says("took")));
    for _ in 0..3 {
        place.signal(Signal::KILL).ends();
        for client in &mut clients {
            client.says("took");
            client.says("took");
        }
    }
    clients.iter_mut().for_each(|client| client.tell("end"));
    for client in &mut clients {
        let errors: Vec<&String> = client.rest().iter().filter(|line| line.starts_with("error")).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

fn told() {
    let place = Place::new();
    let mut client = Running::start("hold", &place.url());
    client.says("connected");
    place.signal(Signal::TERM).ends();
    assert!(place.log().contains("it was told to end, and has"), "{}", place.log());
    // A client that wants nothing starts no other.
    assert_eq!(place.owner(), None);
    assert!(client.end().success());
}

fn uninitialized() {
    let place = Place::new();
    let mut program = Running::start("uninitialized", &place.url());
    let error = program.says("error");
    assert!(error.contains("init_with") && error.contains("first line of main"), "{error}");
    // Where somebody owns the folder it can be a client.
    let mut client = Running::start("hold", &place.url());
    client.says("connected");
}

fn long_path() {
    let place = (0..3).fold(Place::new(), |place, _| place.inside(&"long".repeat(20)));
    assert!(place.path().as_os_str().len() > 200);
    let mut client = Running::start("hold", &place.url());
    client.says("connected");
    assert!(place.owned() > 0);
}
