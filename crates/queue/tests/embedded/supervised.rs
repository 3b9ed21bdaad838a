//! An owner that somebody supervises.

use rustix::process::Signal;

use crate::Test;
use crate::process::{Place, Running, Watched, until};

pub(crate) const TESTS: &[Test] = &[
    ("a supervised owner stays without clients, and ends by sigterm only", stays),
    ("of two owners one serves and the other takes over when it is killed", two),
    ("a supervised owner stands by while one that was started on demand is there", stands_by),
];

fn stays() {
    let place = Place::new();
    let owner = Running::start("owner", &place.url());
    until("an owner", || place.owner().filter(|pid| *pid == owner.pid()));
    let mut client = Running::start("hold", &place.url());
    client.says("connected");
    // A terminal's ^C goes to the whole group.
    Watched::of(owner.pid()).signal(Signal::INT);
    Watched::of(owner.pid()).signal(Signal::HUP);
    assert!(client.end().success());
    let mut client = Running::start("hold", &place.url());
    client.says("connected");
    assert_eq!(place.owner(), Some(owner.pid()));
    assert!(client.end().success());
    Watched::of(owner.pid()).signal(Signal::TERM);
    let mut owner = owner;
    owner.says("ended");
    assert!(owner.end().success());
    assert!(!place.files().contains(&"socket".to_owned()));
}

fn two() {
    let place = Place::new();
    let mut owners = [(); 2].map(|()| Running::start("owner", &place.url()));
    let first = place.owned();
    let mut client = Running::start("submit", &place.url());
    client.says("took");
    let (killed, other) = match owners[0].pid() == first {
        true => (0, owners[1].pid()),
        false => (1, owners[0].pid()),
    };
    owners[killed].kill();
    client.says("took");
    client.says("took");
    // Whoever was faster: the one that stood by, or a client that started one. The work goes on either way.
    let second = place.owned();
    assert_ne!(second, first);
    if second != other {
        assert!(Watched::of(other).lives(), "it did not stand by");
    }
    client.tell("end");
    client.says("ended");
    assert!(!client.rest().iter().any(|line| line.starts_with("error")));
}

fn stands_by() {
    let place = Place::new();
    let mut client = Running::start("hold", &place.url());
    client.says("connected");
    let on_demand = Watched::of(place.owned());
    let owner = Running::start("owner", &place.url());
    assert!(client.end().success());
    on_demand.ends();
    until("the one that stood by", || place.owner().filter(|pid| *pid == owner.pid()));
    let mut client = Running::start("hold", &place.url());
    client.says("connected");
    // While it stands by it can be told to end as well.
    let mut another = Running::start_with("owner", &place.url(), |command| {
        command.stderr(std::process::Stdio::null());
    });
    Watched::of(another.pid()).signal(Signal::TERM);
    // (Before it has taken its signals, the signal ends it too.)
    another.kill();
}
