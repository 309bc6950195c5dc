//! Who is connected. There is room for so many; for one more, the connection that has not got on for longest goes, of the client
//! that has most of them. So those who flood us displace each other, and a scrape, which gets on at once, is served.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

use super::listener::Peer;
use crate::load;

/// So many leave memory behind in pieces, which the C library would keep.
const CROWD: usize = 32;

#[derive(Debug, Default)]
pub struct Connections(Mutex<Room>);

#[derive(Debug, Default)]
struct Room {
    next: u64,
    open: BTreeMap<u64, Open>,
    /// How many of them each client has.
    held: HashMap<Peer, usize>,
    /// The most there were since there were none.
    crowd: usize,
}

#[derive(Debug)]
struct Open {
    owner: Peer,
    /// When it last got on: it came, its first byte did, it was greeted, it asked, it was answered. More bytes of the same are
    /// no step, or who sends one each second could stay.
    step: Instant,
    displaced: Arc<Notify>,
}

/// A connection's place; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    id: u64,
    displaced: Arc<Notify>,
    connections: Arc<Connections>,
}

impl Connections {
    /// A place for a client, and how many were displaced for it.
    pub fn enter(self: &Arc<Self>, peer: Peer, most: usize) -> (Place, usize) {
        let owner = peer.owner();
        let mut room = self.lock();
        let mut gone = 0;
        while room.open.len() >= most.max(1) {
            let Some(open) = room.last_for(owner).and_then(|id| room.remove(id)) else {
                break;
            };
            open.displaced.notify_one();
            gone += 1;
        }
        let id = room.next;
        room.next += 1;
        let displaced = Arc::new(Notify::new());
        let open = Open {
            owner,
            step: Instant::now(),
            displaced: displaced.clone(),
        };
        room.open.insert(id, open);
        *room.held.entry(owner).or_default() += 1;
        room.crowd = room.crowd.max(room.open.len());
        drop(room);
        let place = Place {
            id,
            displaced,
            connections: self.clone(),
        };
        (place, gone)
    }

    pub fn count(&self) -> usize {
        self.lock().open.len()
    }

    fn lock(&self) -> MutexGuard<'_, Room> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Which one goes for a newcomer.
    fn last_for(&self, newcomer: Peer) -> Option<u64> {
        let held = |owner: Peer| {
            let held = self.held.get(&owner).copied().unwrap_or_default();
            held + usize::from(owner == newcomer)
        };
        let most = self.held.keys().copied().max_by_key(|owner| held(*owner))?;
        let of_most = self.open.iter().filter(|(_, open)| open.owner == most);
        of_most.min_by_key(|(_, open)| open.step).map(|(id, _)| *id)
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        if let Some(held) = self.held.get_mut(&open.owner) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&open.owner);
            }
        }
        Some(open)
    }
}

impl Place {
    /// It got on.
    pub fn step(&self) {
        if let Some(open) = self.connections.lock().open.get_mut(&self.id) {
            open.step = Instant::now();
        }
    }

    /// Ready once the place was given to another.
    pub async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut room = self.connections.lock();
        room.remove(self.id);
        if room.open.is_empty() && std::mem::take(&mut room.crowd) >= CROWD {
            drop(room);
            load::give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use super::*;

    fn client(last: u8) -> Peer {
        Peer::Tcp(IpAddr::from([192, 0, 2, last]))
    }

    fn left(connections: &Connections) -> Vec<u64> {
        connections.lock().open.keys().copied().collect()
    }

    #[test]
    fn who_does_nothing_for_longest_goes() {
        let connections = Arc::new(Connections::default());
        let places: Vec<_> = (0..3)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(2));
                connections.enter(client(1), 3).0
            })
            .collect();
        std::thread::sleep(Duration::from_millis(2));
        places[0].step();
        let (newest, gone) = connections.enter(client(1), 3);
        assert_eq!((gone, left(&connections)), (1, vec![0, 2, 3]));
        drop(places);
        assert_eq!(left(&connections), [3]);
        drop(newest);
        assert_eq!(connections.count(), 0);
    }

    #[test]
    fn of_who_holds_most() {
        let connections = Arc::new(Connections::default());
        let quiet = connections.enter(client(1), 3).0;
        let flood: Vec<_> = (0..50).map(|_| connections.enter(client(2), 3).0).collect();
        assert!(
            left(&connections).contains(&quiet.id),
            "one client's flood is its own trouble"
        );
        assert_eq!(connections.count(), 3);
        drop(flood);
    }

    #[test]
    fn fewer_places_than_before_are_taken_at_once() {
        let connections = Arc::new(Connections::default());
        let places: Vec<_> = (0..9).map(|_| connections.enter(client(1), 10).0).collect();
        let (_last, gone) = connections.enter(client(1), 4);
        assert_eq!((gone, connections.count()), (6, 4));
        drop(places);
    }
}
