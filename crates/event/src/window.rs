//! Sliding windows `[start, end)` whose starts are multiples of the slide since the Unix epoch.

use crate::Timestamp;

/// The shape of the sliding windows: how long a window is, and how often one ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    size_ms: i64,
    slide_ms: i64,
}

/// Why a pair of window size and slide is no usable shape.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WindowError {
    /// The slide is not a positive number of whole seconds.
    #[error("the slide is {0} ms, but it must be at least one second and a whole number of seconds")]
    Slide(i64),
    /// The slide does not divide the size.
    #[error(
        "a window of {size_s} s cannot slide by {slide_s} s: the slide must divide the window, so that every event \
         counts in the same number of windows; {}",
        that_work(*below_s, *above_s)
    )]
    NotDivided {
        /// Window size in seconds.
        size_s: i64,
        /// Slide in seconds.
        slide_s: i64,
        /// Largest multiple of the slide below the size (at least one slide), in seconds.
        below_s: i64,
        /// Smallest multiple of the slide above the size, in seconds.
        above_s: i64,
    },
    /// So many slides in a window that a job with one counter for each would not fit a method of the JVM.
    #[error("a window of {0} slides is too fine: at most {max} slides fit a window; use a longer slide", max = Windows::MAX_SLICES)]
    TooFine(i64),
}

fn that_work(below_s: i64, above_s: i64) -> String {
    if below_s == above_s {
        format!("the shortest window that works is {above_s} s")
    } else {
        format!("the nearest windows that work are {below_s} s and {above_s} s")
    }
}

impl Windows {
    /// The largest number of slides in a window.
    pub const MAX_SLICES: i64 = 120;

    /// Checks a window size and a slide, both in milliseconds.
    pub fn new(size_ms: i64, slide_ms: i64) -> Result<Self, WindowError> {
        if slide_ms < 1000 || slide_ms % 1000 != 0 {
            return Err(WindowError::Slide(slide_ms));
        }
        if size_ms < slide_ms || size_ms % slide_ms != 0 {
            let below = (size_ms / slide_ms).max(1) * slide_ms;
            return Err(WindowError::NotDivided {
                size_s: size_ms / 1000,
                slide_s: slide_ms / 1000,
                below_s: below / 1000,
                above_s: (size_ms / slide_ms + 1) * slide_ms / 1000,
            });
        }
        if size_ms / slide_ms > Self::MAX_SLICES {
            return Err(WindowError::TooFine(size_ms / slide_ms));
        }
        Ok(Self { size_ms, slide_ms })
    }

    /// Window size in milliseconds.
    pub fn size_ms(self) -> i64 {
        self.size_ms
    }

    /// Slide in milliseconds.
    pub fn slide_ms(self) -> i64 {
        self.slide_ms
    }

    /// Slides in a window: the number of windows an event counts in.
    pub fn slices(self) -> i64 {
        self.size_ms / self.slide_ms
    }

    /// The number of the slide `ts` falls into, counted from the epoch.
    pub fn slice(self, ts: Timestamp) -> i64 {
        ts.0.div_euclid(self.slide_ms)
    }

    /// The ends of all windows that hold `ts`, earliest first.
    pub fn ends(self, ts: Timestamp) -> impl Iterator<Item = Timestamp> {
        let first = (self.slice(ts) + 1) * self.slide_ms;
        (0..self.slices()).map(move |i| Timestamp(first + i * self.slide_ms))
    }

    /// Start of the first window that lies wholly at or after `ts`.
    pub fn first_start_at(self, ts: Timestamp) -> Timestamp {
        Timestamp((ts.0 + self.slide_ms - 1).div_euclid(self.slide_ms) * self.slide_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_the_nearest_windows_that_work() {
        let error = Windows::new(300_000, 7_000).unwrap_err();
        assert!(error.to_string().contains("294 s and 301 s"), "{error}");
        assert!(Windows::new(300_000, 0).is_err());
        assert!(Windows::new(300_000, 1_500).is_err());
        assert!(Windows::new(300_000, 1_000).is_err());
        assert_eq!(Windows::new(300_000, 10_000).map(Windows::slices), Ok(30));
    }

    proptest! {
        #[test]
        fn an_event_is_in_exactly_the_windows_that_hold_it(ts in 0i64..10_000_000, slide in 1i64..20, n in 1i64..40) {
            let windows = Windows::new(slide * n * 1000, slide * 1000).unwrap();
            let ends: Vec<i64> = windows.ends(Timestamp(ts)).map(|end| end.0).collect();
            let brute: Vec<i64> = (0..)
                .map(|i| i * slide * 1000)
                .take_while(|start| *start <= ts)
                .map(|start| start + windows.size_ms())
                .filter(|end| *end > ts)
                .collect();
            let missing = ends.len() - brute.len();
            // windows that start before the epoch exist too; brute force above starts at zero
            prop_assert_eq!(&ends[missing..], &brute[..]);
            prop_assert_eq!(ends.len() as i64, n);
            let start = windows.first_start_at(Timestamp(ts)).0;
            prop_assert!(start >= ts && start - ts < slide * 1000 && start % (slide * 1000) == 0);
        }
    }
}
