//! How much is taken: of one address and of one key, and of all together.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Messages in one request, at most.
pub const MAX_MESSAGES: usize = 2_000;
/// Bytes of requests that are being read or wait for the log, in KiB.
const MAX_WAITING_KIB: usize = 64 * 1024;
/// After so many requests, addresses and keys that sent nothing lately are forgotten.
const FORGET_EVERY: u32 = 4_096;

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

/// Rates by address and by key.
#[derive(Debug)]
pub struct Rates {
    addresses: Option<Limiter<IpAddr>>,
    keys: Option<Limiter<String>>,
    clock: DefaultClock,
    requests: AtomicU32,
}

impl Rates {
    /// So many messages per second of each address, and as many of each key; 0 for no limit.
    pub fn new(per_second: u32) -> Self {
        // one request of the largest size is always possible
        let quota = NonZeroU32::new(per_second).map(|rate| {
            let burst = NonZeroU32::new(MAX_MESSAGES as u32).map_or(rate, |least| rate.max(least));
            Quota::per_second(rate).allow_burst(burst)
        });
        Self {
            addresses: quota.map(RateLimiter::hashmap),
            keys: quota.map(RateLimiter::hashmap),
            clock: DefaultClock::default(),
            requests: AtomicU32::new(0),
        }
    }

    /// Takes `messages` from what an address may send; or how long to wait.
    pub fn address(&self, address: IpAddr, messages: usize) -> Result<(), Duration> {
        if self.requests.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            if let Some(limiter) = &self.addresses {
                limiter.retain_recent();
            }
            if let Some(limiter) = &self.keys {
                limiter.retain_recent();
            }
        }
        self.check(&self.addresses, &network(address), messages)
    }

    /// The same of a key.
    pub fn key(&self, key: &str, messages: usize) -> Result<(), Duration> {
        // a key is known, or no longer than a site's name may be
        self.check(&self.keys, &key.chars().take(128).collect(), messages)
    }

    fn check<K: std::hash::Hash + Eq + Clone>(
        &self,
        limiter: &Option<Limiter<K>>,
        of: &K,
        messages: usize,
    ) -> Result<(), Duration> {
        let Some(limiter) = limiter else { return Ok(()) };
        let Some(messages) = NonZeroU32::new(messages.min(MAX_MESSAGES) as u32) else { return Ok(()) };
        match limiter.check_key_n(of, messages) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(self.clock.now())),
            Err(_) => Err(Duration::from_secs(1)),
        }
    }
}

/// One household has a whole /64 of addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// Room for requests that are being read or wait for the log. What does not fit is sent away instead of filling the memory.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

/// A part of the room; given back when dropped.
#[derive(Debug, Default)]
pub struct Held(Option<OwnedSemaphorePermit>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_WAITING_KIB)))
    }
}

impl Room {
    /// Takes room for `bytes` more; `None` if there is none.
    pub fn take(&self, bytes: usize, held: &mut Held) -> Option<()> {
        let kib = u32::try_from(bytes.div_ceil(1024)).ok()?;
        let permit = self.0.clone().try_acquire_many_owned(kib).ok()?;
        match &mut held.0 {
            Some(all) => all.merge(permit),
            none => *none = Some(permit),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_by_address_and_by_key() {
        let rates = Rates::new(10);
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!(rates.address(one, MAX_MESSAGES), Ok(()), "a whole request fits");
        assert!(rates.address(one, 100).unwrap_err() > Duration::from_secs(5));
        assert_eq!(rates.address(two, 1), Ok(()));
        assert_eq!(rates.key("k", MAX_MESSAGES), Ok(()));
        assert!(rates.key("k", 1).is_err());
        assert_eq!(Rates::new(0).address(one, usize::MAX), Ok(()));
    }

    #[test]
    fn a_household_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1:2:3:4"), of("2001:db8::9"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn room_is_given_back() {
        let room = Room::default();
        let mut held = Held::default();
        assert!(room.take(60 << 20, &mut held).is_some());
        assert!(room.take(1 << 20, &mut held).is_some());
        assert!(room.take(4 << 20, &mut Held::default()).is_none());
        drop(held);
        assert!(room.take(64 << 20, &mut Held::default()).is_some());
    }
}
