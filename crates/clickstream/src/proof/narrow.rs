//! Which events a number is made of.

use clickstream_event::{EventType, Timestamp};

/// What an event must be, to count in a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Narrow {
    /// Of one of these types; of any, where there are none.
    types: &'static [EventType],
    /// Of nobody who was a labelled bot at the time.
    human: bool,
    /// In the earlier or in the later half of the window.
    half: Option<Half>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Half {
    Earlier,
    Later,
}

impl Narrow {
    /// Of a metric; all events of the row, where the metric is none of events.
    pub fn of(metric: &str) -> Self {
        use EventType::{AddToCart, Click, PageView, Purchase};
        let (human, name) = match metric.strip_prefix("human_") {
            Some(name) => (true, name),
            None => (false, metric),
        };
        let types: &[EventType] = match name {
            "view_count" | "recent_views" | "prior_views" | "growth" | "stay_count" | "mean_stay_ms"
            | "median_stay_ms" | "transition_count" | "path_count" => &[PageView],
            "click_count" => &[Click],
            "add_to_cart_count" => &[AddToCart],
            "purchase_count" | "revenue" => &[Purchase],
            "click_through_rate" => &[PageView, Click],
            _ => &[],
        };
        let half = match name {
            "recent_views" => Some(Half::Later),
            "prior_views" => Some(Half::Earlier),
            _ => None,
        };
        Self { types, human, half }
    }

    /// Whether an event counts: its type, whether its user was a labelled bot at the time, its time, and the middle of the window.
    pub fn takes(&self, event_type: &str, labelled_bot: bool, at: Timestamp, middle: Timestamp) -> bool {
        let half = match self.half {
            None => true,
            Some(Half::Earlier) => at < middle,
            Some(Half::Later) => at >= middle,
        };
        half && !(self.human && labelled_bot)
            && (self.types.is_empty() || self.types.iter().any(|known| known.name() == event_type))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_people_leave_out_bots_and_nothing_else() {
        let takes = |metric: &str, event_type: &str, bot: bool, at: i64| {
            Narrow::of(metric).takes(event_type, bot, Timestamp(at), Timestamp(10))
        };
        for (metric, types) in [
            ("event_count", &["page_view", "click", "add_to_cart", "purchase"][..]),
            ("view_count", &["page_view"]),
            ("click_count", &["click"]),
            ("add_to_cart_count", &["add_to_cart"]),
            ("purchase_count", &["purchase"]),
            ("revenue", &["purchase"]),
            ("unique_users", &["page_view", "click", "add_to_cart", "purchase"]),
            ("conversion_rate", &["page_view", "click", "add_to_cart", "purchase"]),
            ("click_through_rate", &["page_view", "click"]),
        ] {
            for event_type in EventType::ALL.map(EventType::name) {
                let counts = types.contains(&event_type);
                let human = format!("human_{metric}");
                assert_eq!(takes(metric, event_type, true, 0), counts, "{metric} {event_type}");
                assert_eq!(takes(&human, event_type, false, 0), counts, "{human} {event_type}");
                assert!(!takes(&human, event_type, true, 0), "{human} {event_type}");
            }
        }
        assert!(takes("prior_views", "page_view", true, 9) && !takes("prior_views", "page_view", true, 10));
        assert!(takes("recent_views", "page_view", true, 10) && !takes("recent_views", "page_view", true, 9));
    }
}
