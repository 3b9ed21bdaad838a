//! A hall that is gone, and the one that goes on with its doors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::HELLO;
use super::stage::{Stage, get, in_two_lives, round_robin, shared};
use crate::attendant::node::hall::Counts;
use crate::attendant::node::{DoorCard, Kept};
use crate::{Distribution, WorkerId};

/// What somebody keeps of the doors.
type Keeping = Rc<RefCell<BTreeMap<u64, (DoorCard, OwnedFd)>>>;

fn keep(keeping: &Keeping, kept: Kept) {
    let mut keeping = keeping.borrow_mut();
    match kept {
        Kept::Opened(card, socket) => drop(keeping.insert(card.number, (card, socket))),
        Kept::Changed(card) => {
            if let Some(known) = keeping.get_mut(&card.number) {
                known.0 = card;
            }
        }
        Kept::Closed(number) => drop(keeping.remove(&number)),
    }
}

#[test]
fn another_hall_goes_on_with_the_workers_of_one_that_is_gone() {
    for options in [round_robin(), shared()] {
        let keeping = Keeping::default();
        let before = async |stage: &Stage| {
            keeping.borrow_mut().clear();
            stage.hall.keep_doors({
                let keeping = Rc::clone(&keeping);
                move |kept| keep(&keeping, kept)
            });
            let (_, address) = stage.serve(HELLO, 0).await;
            stage.serve(HELLO, 0).await;
            get(address).await;
            assert_eq!(keeping.borrow().len(), 1);
            address
        };
        let after = async |stage: &Stage, workers: &[WorkerId], address: SocketAddr| {
            for (card, socket) in std::mem::take(&mut *keeping.borrow_mut()).into_values() {
                let card: DoorCard = postcard::from_bytes(&postcard::to_stdvec(&card).unwrap()).unwrap();
                stage.hall.take_over(card, socket).unwrap();
            }
            stage.take_seats();
            for _ in 0..8 {
                get(address).await;
            }
            if options.distribution == Distribution::RoundRobin {
                for worker in workers {
                    stage.counts(*worker, Counts { taken: 4, unanswered: 0, oldest: None }).await;
                }
            }
            // A new worker shares the port.
            let (third, same) = stage.serve(HELLO, 0).await;
            assert_eq!(address, same);
            for worker in workers.iter().chain([&third.id]) {
                stage.hall.disconnect(*worker);
                assert!(stage.disconnected(*worker).await);
            }
            assert!(stage.complaints().is_empty(), "{:?}", stage.complaints());
        };
        in_two_lives(options, before, after);
    }
}
