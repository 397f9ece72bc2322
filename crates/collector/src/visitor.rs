//! Visitors and visits where a tracker names none.
//!
//! No address is stored or logged. A visitor without an id is known by a hash of the site, the address, the browser and a secret. The
//! secret is random, kept in the data directory so that a restart does not make new visitors, and changed every day (UTC); the old one is
//! deleted. From then on nobody, we included, can find out which address a hash was made of, or follow a visitor from one day to
//! the next.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clickstream_event::Timestamp;
use sha2::{Digest, Sha256};

const DAY_MS: i64 = 86_400_000;
/// From when a request came until its visitor is hashed, at most, in milliseconds; it takes far less.
const ON_ITS_WAY_MS: i64 = 60_000;
/// Marks ids of visits that were made here, so that they are known after a restart.
const VISIT: &str = "c.";
/// Visits that are remembered at most: two tables of about 100 bytes an entry.
const MAX_VISITS: usize = 1 << 17;

/// Hashes visitors.
#[derive(Debug)]
pub struct Visitors {
    file: PathBuf,
    secret: Mutex<Secret>,
}

#[derive(Clone, Copy, Debug)]
struct Secret {
    day: i64,
    bytes: [u8; 32],
}

impl Visitors {
    /// With the secret in `dir`, or a new one.
    pub fn open(dir: &Path, now: Timestamp) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let file = dir.join("salt");
        let _ = fs::remove_file(file.with_extension("new"));
        let secret = match read(&file).filter(|secret| secret.day == day(now)) {
            Some(secret) => secret,
            None => renew(&file, now)?,
        };
        Ok(Self { file, secret: Mutex::new(secret) })
    }

    /// The id of a visitor, for a day.
    pub fn id(&self, site: &str, address: IpAddr, user_agent: &str, now: Timestamp) -> String {
        let mut secret = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        if secret.is_over(now) {
            *secret = renew(&self.file, now).unwrap_or_else(|error| {
                // the old secret must not live on, even if the new one cannot be kept
                tracing::warn!(%error, "the new salt of visitors cannot be written; after a restart visitors are new ones");
                Secret { day: day(now), bytes: random() }
            });
        }
        let mut hash = Sha256::new_with_prefix(secret.bytes);
        drop(secret);
        for part in [site.as_bytes(), address.to_canonical().to_string().as_bytes(), user_agent.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Secret {
    /// Whether a request that came at `now` needs another one.
    ///
    /// Requests of before midnight are hashed among those of after it. They take the new secret: the old one is gone, and to renew it
    /// for each of them would make everybody a new visitor each time. Where a clock was set back further, the secret is renewed, or it
    /// would live until that clock has caught up.
    fn is_over(&self, now: Timestamp) -> bool {
        let ahead = self.day * DAY_MS - now.0;
        self.day != day(now) && !(1..=ON_ITS_WAY_MS).contains(&ahead)
    }
}

fn day(now: Timestamp) -> i64 {
    now.0.div_euclid(DAY_MS)
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    if getrandom::fill(&mut bytes).is_err() {
        // a machine without randomness: what the standard library has is better than zeros
        use std::hash::{BuildHasher, RandomState};
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
        }
    }
    bytes
}

fn read(file: &Path) -> Option<Secret> {
    let bytes = fs::read(file).ok()?;
    let (day, secret) = bytes.split_at_checked(8)?;
    Some(Secret { day: i64::from_le_bytes(day.try_into().ok()?), bytes: secret.try_into().ok()? })
}

/// Makes a secret for the day, and overwrites the old one.
fn renew(file: &Path, now: Timestamp) -> io::Result<Secret> {
    let secret = Secret { day: day(now), bytes: random() };
    let unfinished = file.with_extension("new");
    let mut out =
        fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
    out.write_all(&secret.day.to_le_bytes())?;
    out.write_all(&secret.bytes)?;
    out.sync_all()?;
    fs::rename(unfinished, file)?;
    Ok(secret)
}

/// Makes visits for trackers that name none: events of a visitor less than a gap apart are one visit.
#[derive(Debug)]
pub struct Visits {
    gap_ms: i64,
    tables: Mutex<[HashMap<(String, String), Visit>; 2]>,
}

#[derive(Clone, Debug)]
struct Visit {
    id: String,
    last: i64,
}

impl Visits {
    /// With this gap.
    pub fn new(gap_ms: i64) -> Self {
        Self { gap_ms, tables: Mutex::default() }
    }

    /// The visit that an event of a visitor belongs to.
    pub fn id(&self, site: &str, user: &str, at: Timestamp) -> String {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (site.to_owned(), user.to_owned());
        let known = tables[0].get(&key).or_else(|| tables[1].get(&key)).cloned();
        let visit = match known {
            Some(visit) if at.0 - visit.last < self.gap_ms => Visit { last: visit.last.max(at.0), ..visit },
            _ => Visit { id: format!("{VISIT}{user}.{:x}", at.0), last: at.0 },
        };
        let id = visit.id.clone();
        put(&mut tables, key, visit);
        id
    }

    /// Takes up what stands in the log, so that visits go on after a restart.
    pub fn restore(&self, site: &str, user: &str, session: &str, at: Timestamp) {
        if session.starts_with(VISIT) {
            let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            put(&mut tables, (site.into(), user.into()), Visit { id: session.into(), last: at.0 });
        }
    }
}

fn put(tables: &mut [HashMap<(String, String), Visit>; 2], key: (String, String), visit: Visit) {
    if tables[0].len() >= MAX_VISITS {
        let old = std::mem::take(&mut tables[0]);
        tables[1] = old;
    }
    tables[0].insert(key, visit);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_795_608_000_000);

    #[test]
    fn a_visitor_is_known_for_a_day_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let visitors = Visitors::open(dir.path(), NOON).unwrap();
        let id = visitors.id("s", address, "UA", NOON);
        assert_eq!(id.len(), 24);
        assert_eq!(
            visitors.id("s", "::ffff:192.0.2.7".parse().unwrap(), "UA", NOON),
            id,
            "one address in two forms"
        );
        for other in [
            visitors.id("t", address, "UA", NOON),
            visitors.id("s", "192.0.2.8".parse().unwrap(), "UA", NOON),
            visitors.id("s", address, "UB", NOON),
        ] {
            assert_ne!(other, id);
        }
        let again = Visitors::open(dir.path(), NOON).unwrap();
        assert_eq!(again.id("s", address, "UA", NOON), id);
        let secret = fs::read(dir.path().join("salt")).unwrap();
        let tomorrow = Timestamp(NOON.0 + DAY_MS);
        assert_ne!(again.id("s", address, "UA", tomorrow), id);
        let renewed = fs::read(dir.path().join("salt")).unwrap();
        assert_ne!(renewed[8..], secret[8..], "the old secret is gone");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(dir.path().join("salt")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn requests_of_before_midnight_do_not_bring_the_old_day_back() {
        let dir = tempfile::tempdir().unwrap();
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let midnight = (day(NOON) + 1) * DAY_MS;
        let visitors = Visitors::open(dir.path(), NOON).unwrap();
        let id = |at: i64| visitors.id("s", address, "UA", Timestamp(at));
        let secret = || fs::read(dir.path().join("salt")).unwrap();
        let yesterday = id(midnight - 1);
        let today = id(midnight);
        assert_ne!(today, yesterday);
        let renewed = secret();
        for at in [midnight - 1, midnight + 1, midnight - 20, midnight] {
            assert_eq!(id(at), today, "{}", at - midnight);
        }
        assert_eq!(secret(), renewed);
        // no secret lives longer than its day because a clock was wrong
        let set_back = id(midnight - 2 * DAY_MS);
        assert!(set_back != today && set_back != yesterday && secret() != renewed);
    }

    #[test]
    fn visits_end_after_a_gap_and_go_on_after_a_restart() {
        let visits = Visits::new(30_000);
        let first = visits.id("s", "u", NOON);
        assert_eq!(visits.id("s", "u", Timestamp(NOON.0 + 29_999)), first);
        assert_eq!(
            visits.id("s", "u", Timestamp(NOON.0 + 59_998)),
            first,
            "the gap begins anew with each event"
        );
        assert_ne!(visits.id("s", "w", NOON), first);
        let second = visits.id("s", "u", Timestamp(NOON.0 + 59_998 + 30_000));
        assert_ne!(second, first);
        let restarted = Visits::new(30_000);
        restarted.restore("s", "u", &second, Timestamp(NOON.0 + 90_000));
        restarted.restore("s", "w", "of-a-tracker", NOON);
        assert_eq!(restarted.id("s", "u", Timestamp(NOON.0 + 100_000)), second);
        assert_ne!(restarted.id("s", "w", NOON), "of-a-tracker");
    }
}
