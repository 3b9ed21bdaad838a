//! Which worker gets a connection.

use std::net::IpAddr;

use crate::{Distribution, Place};

/// A worker that could take one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) place: Place,
    /// Connections that it has and that were offered to it.
    pub(crate) connections: u64,
    /// Requests and jobs that keep it busy.
    pub(crate) busy: u64,
}

/// Chooses one of `candidates` (in the order of their places) by its index. `last` is the place that was chosen before.
pub(crate) fn choose(
    distribution: Distribution,
    candidates: &[Candidate],
    peer: Option<IpAddr>,
    last: Option<Place>,
) -> Option<usize> {
    match (distribution, peer) {
        (Distribution::Sticky, Some(peer)) => by_rank(candidates, |candidate| weight(peer, candidate.place)),
        (Distribution::LeastLoaded, _) => {
            // Among equals the one whose turn it is, so that idle workers share the work.
            let turn = |candidate: &Candidate| last.is_some_and(|last| candidate.place <= last);
            let load = |candidate: &Candidate| (candidate.connections, candidate.busy, turn(candidate));
            (0..candidates.len()).min_by_key(|index| load(&candidates[*index]))
        }
        _ => {
            let next = candidates.iter().position(|candidate| last.is_none_or(|last| candidate.place > last));
            next.or((!candidates.is_empty()).then_some(0))
        }
    }
}

fn by_rank(candidates: &[Candidate], rank: impl Fn(&Candidate) -> u64) -> Option<usize> {
    (0..candidates.len()).max_by_key(|index| rank(&candidates[*index]))
}

/// The weight of a place for a client: the highest wins (rendezvous hashing), so that a place which is lost or comes back
/// moves its own clients and no others. The same in every dispatcher, whatever its version: FNV-1a, and the last step of
/// SplitMix64 to spread what differs in the last bytes only.
fn weight(peer: IpAddr, place: Place) -> u64 {
    const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x0100_0000_01b3;
    // One client is one client, also when a dual-stack socket says its IPv4 address in the clothes of IPv6.
    let address = match peer.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let bytes = address.into_iter().chain(place.0.to_be_bytes());
    let hash = bytes.fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn candidates(loads: &[(u16, u64)]) -> Vec<Candidate> {
        loads
            .iter()
            .map(|(place, connections)| Candidate { place: Place(*place), connections: *connections, busy: 0 })
            .collect()
    }

    #[test]
    fn round_robin_goes_by_place_and_leaves_out_who_cannot() {
        let all = candidates(&[(0, 9), (2, 0), (5, 0)]);
        let mut last = None;
        let mut order = Vec::new();
        for _ in 0..6 {
            let index = choose(Distribution::RoundRobin, &all, None, last).unwrap();
            last = Some(all[index].place);
            order.push(all[index].place.0);
        }
        assert_eq!(order, [0, 2, 5, 0, 2, 5]);
        assert_eq!(choose(Distribution::RoundRobin, &all[..1], None, last), Some(0));
        assert_eq!(choose(Distribution::RoundRobin, &[], None, last), None);
    }

    #[test]
    fn least_loaded_takes_the_fewest_connections_then_the_least_busy_then_turns() {
        let mut all = candidates(&[(0, 3), (1, 1), (2, 1)]);
        all[1].busy = 4;
        assert_eq!(choose(Distribution::LeastLoaded, &all, None, None), Some(2));
        let idle = candidates(&[(0, 0), (1, 0), (2, 0)]);
        assert_eq!(choose(Distribution::LeastLoaded, &idle, None, Some(Place(0))), Some(1));
        assert_eq!(choose(Distribution::LeastLoaded, &idle, None, Some(Place(2))), Some(0));
    }

    #[test]
    fn sticky_moves_only_the_clients_of_a_lost_place() {
        let all = candidates(&[(0, 0), (1, 0), (2, 0), (3, 0)]);
        let without: Vec<Candidate> = all.iter().copied().filter(|candidate| candidate.place != Place(1)).collect();
        let mut counts = [0; 4];
        for client in 0..4000u32 {
            let peer = Some(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + client)));
            let before = all[choose(Distribution::Sticky, &all, peer, None).unwrap()].place;
            let after = without[choose(Distribution::Sticky, &without, peer, None).unwrap()].place;
            counts[usize::from(before.0)] += 1;
            if before != Place(1) {
                assert_eq!(before, after);
            }
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn sticky_knows_a_client_on_both_families() {
        let all = candidates(&[(0, 0), (1, 0), (2, 0), (3, 0)]);
        for client in 0..100u32 {
            let v4 = Ipv4Addr::from(0x0a00_0000 + client);
            let plain = choose(Distribution::Sticky, &all, Some(v4.into()), None);
            assert_eq!(plain, choose(Distribution::Sticky, &all, Some(v4.to_ipv6_mapped().into()), None));
        }
    }
}
