use std::net::TcpListener;

use super::*;

fn open(asked: &[Listen]) -> Result<Listeners, Error> {
    Listeners::open(asked, Distribution::Shared, 2, Vec::new())
}

fn count(listeners: &mut Listeners, place: u16) -> usize {
    listeners.open_for(Place(place)).unwrap();
    listeners.of_place(Place(place)).count()
}

#[test]
fn a_reopened_listener_has_the_port_of_the_first() {
    let mut listeners = open(&["127.0.0.1:0".into()]).unwrap();
    let addresses = listeners.addresses();
    assert_ne!(addresses[0].tcp().unwrap().port(), 0);
    listeners.close();
    assert_eq!(count(&mut listeners, 0), 0);
    listeners.reopen().unwrap();
    assert_eq!((listeners.addresses(), count(&mut listeners, 0)), (addresses, 1));
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for distribution in [Distribution::Shared, Distribution::ReusePort, Distribution::Sticky] {
        let error = open(&[Listen::on(address).distribute(distribution)]).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("another program has this port"), "{error}");
    }
}

#[test]
fn both_families_can_be_asked_for_on_one_port() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Ok(mut both) = open(&[format!("[::]:{port}").into(), format!("0.0.0.0:{port}").into()]) else {
        println!("this machine has no IPv6");
        return;
    };
    assert_eq!(count(&mut both, 0), 2);
    drop(both);
    let one = open(&[format!("[::]:{port}").into()]).unwrap();
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    drop(one);
}

#[test]
fn each_place_has_its_own_socket_of_a_reuseport_group() {
    use std::os::fd::AsRawFd;
    let asked = [Listen::on("127.0.0.1:0").distribute(Distribution::ReusePort), "127.0.0.1:0".into()];
    let mut listeners = open(&asked).unwrap();
    let mut numbers = |place| -> Vec<_> {
        listeners.open_for(Place(place)).unwrap();
        listeners.of_place(Place(place)).map(|(fd, _)| fd.as_raw_fd()).collect()
    };
    let (first, second, late) = (numbers(0), numbers(1), numbers(7));
    assert!(first[0] != second[0] && second[0] != late[0], "one each");
    assert!(first[1] == second[1] && second[1] == late[1], "the shared one is the same for all");
    listeners.close();
    listeners.reopen().unwrap();
    assert_eq!(count(&mut listeners, 3), 2);
}

#[test]
fn a_unix_socket_is_closed_with_its_file_and_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let mut listeners = open(&[format!("unix:{}", path.display()).into()]).unwrap();
    assert!(path.exists());
    listeners.close();
    assert!(!path.exists());
    listeners.reopen().unwrap();
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(listeners);
    assert!(!path.exists());
}

#[test]
fn what_is_kept_over_an_exec_is_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let asked = [
        Listen::on("127.0.0.1:0").distribute(Distribution::ReusePort),
        format!("unix:{}", path.display()).into(),
        "127.0.0.3:0".into(),
    ];
    let old = open(&asked).unwrap();
    // As an exec does it: the descriptors go on, nothing is dropped.
    let bytes = |kept: &Kept| postcard::to_stdvec(kept).unwrap();
    let kept: Vec<_> = old
        .keep()
        .into_iter()
        .map(|(kept, fd)| (postcard::from_bytes(&bytes(&kept)).unwrap(), fd.try_clone_to_owned().unwrap()))
        .collect();
    assert_eq!(kept.len(), 4, "two of the group");
    let addresses = old.addresses();
    std::mem::forget(old);
    // The third is not asked for any more, another is new.
    let mut new =
        Listeners::open(&[asked[0].clone(), asked[1].clone(), "127.0.0.2:0".into()], Distribution::Shared, 2, kept)
            .unwrap();
    assert_eq!(new.addresses()[..2], addresses[..2]);
    assert_eq!(count(&mut new, 1), 3);
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    new.take_charge();
    drop(new);
    assert!(!path.exists(), "the file of the old image is ours");
}

#[test]
fn an_image_that_cannot_go_on_leaves_the_sockets_to_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let asked = [format!("unix:{}", path.display()).into()];
    let old = open(&asked).unwrap();
    for asked in [&asked[..], &[]] {
        let kept = old.keep().into_iter().map(|(kept, fd)| (kept, fd.try_clone_to_owned().unwrap())).collect();
        drop(Listeners::open(asked, Distribution::Shared, 2, kept).unwrap());
        std::os::unix::net::UnixStream::connect(&path).unwrap();
    }
}
