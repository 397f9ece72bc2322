//! Numbers for names: sites, pages, products, users and sessions as small integers for as long as something refers to them.

use clickstream_event::detection::BASELINE_SLIDES;
use serde::{Deserialize, Serialize};

use crate::engine::Config;
use crate::fingerprint::Fingerprint;
use crate::numbers::Numbers;
use crate::users::Users;
use crate::visits::gap_slices;

/// Names by number and numbers by name. Numbers of names that left the window are given away again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Names {
    numbers: Numbers,
    names: Vec<Name>,
    /// The newest slice in which each occurs, plus one; zero for a number that is free.
    last: Vec<u32>,
    free: Vec<u32>,
    /// The last name that was asked for: events of one site come in long runs.
    recent: Option<(Fingerprint, u32)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Name {
    site: u32,
    text: Box<str>,
    fingerprint: Fingerprint,
}

impl Names {
    /// The number of a name of `site` that occurs in `slice`. The fingerprint stands for both.
    #[inline]
    pub fn number(&mut self, fingerprint: Fingerprint, site: u32, text: &str, slice: u32) -> u32 {
        let found = match self.recent {
            Some((recent, number)) if recent == fingerprint => Some(number),
            _ => self.numbers.get(fingerprint),
        };
        let number = match found {
            Some(number) => number,
            None => self.insert(Name { site, text: text.into(), fingerprint }),
        };
        self.recent = Some((fingerprint, number));
        let last = &mut self.last[number as usize];
        *last = (*last).max(slice + 1);
        number
    }

    #[cold]
    fn insert(&mut self, name: Name) -> u32 {
        let fingerprint = name.fingerprint;
        let number = match self.free.pop() {
            Some(number) => {
                self.names[number as usize] = name;
                number
            }
            None => {
                self.names.push(name);
                self.last.push(0);
                (self.names.len() - 1) as u32
            }
        };
        self.numbers.insert(fingerprint, number);
        number
    }

    /// The name of a number.
    pub fn text(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |name| &name.text)
    }

    /// The site of a number's name.
    pub fn site(&self, number: u32) -> u32 {
        self.names.get(number as usize).map_or(0, |name| name.site)
    }

    /// Reads ahead what [`Names::number`] will need; see [`crate::recent::Recent::warm`].
    #[inline]
    pub fn warm(&self, fingerprint: Fingerprint) -> u32 {
        self.numbers.warm(fingerprint)
    }

    /// The same for what is read next; call it for all names after [`Names::warm`] was called for all.
    #[inline]
    pub fn warm_further(&self, fingerprint: Fingerprint) -> u32 {
        let number = self.numbers.warm(fingerprint) as usize;
        self.last.get(number.wrapping_sub(1)).copied().unwrap_or(0)
    }

    /// Keeps a name as if it occurred in `slice`.
    #[inline]
    pub fn keep(&mut self, number: u32, slice: u32) {
        if let Some(last) = self.last.get_mut(number as usize).filter(|last| **last > 0) {
            *last = (*last).max(slice + 1);
        }
    }

    /// Gives away the numbers of names that last occurred before slice `oldest`; in turns, one share of `turns` per call. Whether there
    /// were any.
    pub fn release(&mut self, oldest: u32, turn: u32, turns: u32) -> bool {
        let before = self.free.len();
        let share = self.last.len().div_ceil(turns as usize);
        let begin = share * (turn % turns) as usize;
        for number in begin..(begin + share).min(self.last.len()) {
            if !(1..=oldest).contains(&self.last[number]) {
                continue;
            }
            let name = &mut self.names[number];
            self.last[number] = 0;
            name.text = Box::default();
            self.numbers.remove(name.fingerprint);
            self.free.push(number as u32);
            self.recent = None;
        }
        self.free.len() > before
    }

    /// Names that have a number.
    pub fn live(&self) -> usize {
        self.numbers.len()
    }

    /// Bytes held, without those of the texts.
    pub fn bytes(&self) -> usize {
        self.names.capacity() * size_of::<Name>() + self.numbers.bytes()
    }
}

/// Slices in which all names are looked at once.
const TURNS: u32 = 8;

/// All names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Directory {
    /// Of sites.
    pub sites: Names,
    /// Of pages.
    pub pages: Names,
    /// Of products.
    pub products: Names,
    /// Of users.
    pub users: Names,
    /// Of sessions.
    pub sessions: Names,
}

impl Directory {
    /// Gives away the numbers of names that nothing refers to once `slice` has ended.
    pub fn release(&mut self, slice: u32, horizons: &Horizons) {
        let oldest = |horizon: u32| (slice + 2).saturating_sub(horizon);
        // names refer to their site by its number: when a site goes, all its names go with it, whosever turn it is
        let turns = if self.sites.release(oldest(horizons.pages), slice, TURNS) { 1 } else { TURNS };
        self.pages.release(oldest(horizons.pages), slice, turns);
        self.products.release(oldest(horizons.products), slice, turns);
        self.users.release(oldest(horizons.users), slice, turns);
        self.sessions.release(oldest(horizons.users), slice, turns);
    }

    /// Bytes held, without those of the texts.
    pub fn bytes(&self) -> usize {
        [&self.sites, &self.pages, &self.products, &self.users, &self.sessions]
            .map(Names::bytes)
            .into_iter()
            .sum()
    }
}

/// For how many slices names are kept after they were last seen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Horizons {
    /// Sites and pages: the window of sessions that closed a gap after the last event, the views of a path, the baseline, the
    /// minute of unusual users.
    pages: u32,
    /// Products: the window, and a view up to a window ago.
    products: u32,
    /// Users and sessions: what is known of them, and sessions that are open.
    users: u32,
    /// Everything: a slice so long after the last event has nothing to tell.
    silence: u32,
}

impl Horizons {
    /// Of windows of this shape.
    pub fn new(config: &Config) -> Self {
        let (slices, gap) = (config.windows.slices() as u32, gap_slices(config));
        let users = Users::horizon(config).max(2 * gap) + gap + 2;
        Self {
            pages: users.max(slices.max(BASELINE_SLIDES) + 3 * gap + 3),
            products: slices + 2,
            users,
            // and the minute that users are judged in
            silence: (slices + gap + 1).max(BASELINE_SLIDES + 2).max(users),
        }
    }

    /// For how many slices after the last event of all there may be something to tell.
    pub fn silence(&self) -> u32 {
        self.silence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_belongs_to_one_name_at_a_time() {
        let mut names = Names::default();
        let mut number = |site: u32, text: &str, slice| {
            let fingerprint = Fingerprint::of(text, 0).with(site);
            let number = names.number(fingerprint, site, text, slice);
            (number, names.text(number).to_owned())
        };
        let (a, b) = (number(0, "/a", 1), number(0, "/b", 2));
        assert_eq!(number(0, "/a", 1), a);
        assert_ne!(number(1, "/a", 2).0, a.0, "another site");
        names.release(2, 0, 1);
        assert_eq!((names.live(), names.text(b.0)), (2, "/b"));
        let c = names.number(Fingerprint::of("/c", 0), 0, "/c", 3);
        assert_eq!((c, names.text(c)), (a.0, "/c"));
    }

    #[test]
    fn a_site_goes_with_all_its_names() {
        let config = Config::new(clickstream_event::Windows::new(6_000, 3_000).unwrap());
        let horizons = Horizons::new(&config);
        let of = |text: &str| Fingerprint::of(text, 0);
        // a site comes again after so many slices, and another one just before; whoever's turn it is
        for (first, gap) in (0..TURNS).flat_map(|first| (2..200).map(move |gap| (first, gap))) {
            let mut all = Directory::default();
            for slice in first..=first + gap {
                if slice == first + gap - 1 {
                    all.sites.number(of("other"), 0, "other", slice);
                }
                if slice == first || slice == first + gap {
                    let site = all.sites.number(of("site"), 0, "site", slice);
                    for text in ["/0", "/1", "/2", "/3", "/4"] {
                        let page = all.pages.number(of(text), site, text, slice);
                        assert_eq!(all.sites.text(all.pages.site(page)), "site", "{first} + {gap}");
                        let user = all.users.number(of(text), site, text, slice);
                        assert_eq!(all.users.site(user), site, "{first} + {gap}");
                    }
                }
                all.release(slice, &horizons);
            }
        }
    }
}
