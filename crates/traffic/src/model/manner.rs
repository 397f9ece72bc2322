//! How visitors behave, and how the `truth` header calls it.

use rand::Rng;

/// Kinds of bots.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bot {
    /// Some events in a tenth of a second each, on any page.
    Fast,
    /// The same pause after everything it does.
    Metronome,
    /// Says in its user agent what it is, and behaves well.
    Declared,
    /// Looks at a page every few seconds, at uneven intervals, for minutes, and does nothing else.
    Slow,
    /// Walks over every page of the shop.
    Scraper,
    /// Tries out stolen passwords: a burst of events on the page to log in.
    Stuffing,
}

/// Kinds of users who do what people hardly do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unusual {
    /// Buys what it has not looked at.
    Purchase,
    /// Looks at more than 60 different pages in a minute.
    Pages,
    /// Has three or four sessions at the same time.
    Sessions,
}

/// How a visitor behaves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Manner {
    /// As people do.
    Human,
    /// As people do who have come for a page that is the talk of the day, or with everybody else.
    Crowd,
    /// A bot.
    Bot(Bot),
    /// A user out of the ordinary.
    Unusual(Unusual),
}

impl Bot {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Fast, Self::Metronome, Self::Declared, Self::Slow, Self::Scraper, Self::Stuffing];

    /// What `truth` says of its events.
    pub fn truth(self) -> &'static str {
        match self {
            Self::Fast => "bot:fast",
            Self::Metronome => "bot:metronome",
            Self::Declared => "bot:declared",
            Self::Slow => "bot:slow",
            Self::Scraper => "bot:scraper",
            Self::Stuffing => "bot:stuffing",
        }
    }
}

impl Unusual {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Purchase, Self::Pages, Self::Sessions];

    /// What `truth` says of its events.
    pub fn truth(self) -> &'static str {
        match self {
            Self::Purchase => "unusual:purchase",
            Self::Pages => "unusual:pages",
            Self::Sessions => "unusual:sessions",
        }
    }
}

impl Manner {
    /// A visitor's manner: with these chances a bot or an unusual user, of every kind alike.
    pub fn draw(bots: f64, unusual: f64, rng: &mut impl Rng) -> Self {
        if bots <= 0.0 && unusual <= 0.0 {
            return Self::Human;
        }
        let draw = rng.random::<f64>();
        if draw < bots {
            Self::Bot(Bot::ALL[rng.random_range(0..Bot::ALL.len())])
        } else if draw < bots + unusual {
            Self::Unusual(Unusual::ALL[rng.random_range(0..Unusual::ALL.len())])
        } else {
            Self::Human
        }
    }
}
