//! The windows that an event counts in, a line each: its page, its product, its site.

use clickstream_engine::Config;
use clickstream_top::text::{fit_path, thousands};
use console::style;

use super::draw::{field, mark};
use crate::commands::{facts, length};
use crate::config::time_text;
use crate::proof::row::Row;
use crate::proof::trace::{Counted, Trace};

/// The windows, at most `limit` of them, with the rows that the event is part of.
pub fn draw(story: &Trace, config: Config, limit: usize) -> String {
    let all = &story.windows;
    let closed = all.iter().filter(|window| window.closed.is_some()).count();
    let (size, slide) = (config.windows.size_ms(), config.windows.slide_ms());
    let mut text = format!(
        "\n{} {} of {}, one every {}; {} closed so far\n",
        style("counts in").bold(),
        count(all.len(), "window"),
        time_text(size),
        time_text(slide),
        closed
    );
    let product = field(story, "product_id");
    let mut header = vec!["window".to_owned(), format!("page {}", short(&field(story, "page_url")))];
    if !product.is_empty() {
        header.push(format!("product {}", short(&product)));
    }
    header.push(format!("site {}", short(&field(story, "site_id"))));
    // what is open shows when it closes, in the place of the first number
    let rows = all.iter().take(limit).map(|window| {
        let span = format!("{} – {}", window.start.clock(), window.end.clock());
        let mut cells = vec![span];
        cells.extend((0..header.len() - 1).map(|n| cell(window, n, story)));
        cells
    });
    let rows: Vec<Vec<String>> = std::iter::once(header.clone()).chain(rows).collect();
    text.push_str(&padded(rows));
    if all.len() > limit {
        text.push_str(&format!("  … {} more: --limit 0 lists all\n", all.len() - limit));
    }
    text.push_str(&style("  + is how long after the end of its window a row was in its topic; ✓ it is what the recount says\n").dim().to_string());
    text
}

fn cell(window: &Counted, n: usize, story: &Trace) -> String {
    let Some(standing) = window.rows.get(n) else {
        return match (n, window.closes_in_ms) {
            (0, Some(left)) if story.live && left > 0 => format!("not yet: closes in {}", seconds(left)),
            (0, Some(_)) if story.live => "not yet: closes any moment".to_owned(),
            (0, _) => format!("not yet: the log ends at {}", story.read_to.clock()),
            _ => String::new(),
        };
    };
    let Some(row) = &standing.rows.found else { return "closed, no row in the topic yet".to_owned() };
    let after = standing.after_ms.map_or_else(String::new, |after| format!("+{}", length(after)));
    let again = match standing.written_again {
        0 => String::new(),
        n => format!(", written again {n} ×"),
    };
    format!("{}  {after}{again} {}", numbers(row, story), mark(standing))
}

/// The number that the event is part of, and the users.
fn numbers(row: &Row, story: &Trace) -> String {
    let kind = field(story, "event_type");
    let (counts, users) = match row {
        Row::Page(row) => (&row.counts, row.counts.unique_users),
        Row::Product(row) => (&row.counts, row.counts.unique_users),
        Row::Site(row) => return format!("{} events", thousands(row.event_count)),
        _ => return String::new(),
    };
    let (n, what) = match kind.as_str() {
        "click" => (counts.click_count, "clicks"),
        "add_to_cart" => (counts.add_to_cart_count, "adds to cart"),
        "purchase" => (counts.purchase_count, "purchases"),
        _ => (counts.view_count, "views"),
    };
    format!("{} {what}, {} users", thousands(n), thousands(users))
}

/// Lines as a table with room between the columns.
fn padded(rows: Vec<Vec<String>>) -> String {
    let row = |row: Vec<String>| {
        let mut cells = row.into_iter();
        let mut next = || cells.next().unwrap_or_default();
        [format!("  {}", next()), format!("  {}", next()), format!("  {}", next()), format!("  {}", next())]
    };
    facts(rows.into_iter().map(row))
}

fn short(text: &str) -> String {
    fit_path(text, 28)
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{} {what}s", thousands(n as u64)) }
}

fn seconds(ms: i64) -> String {
    if ms < 1_000 {
        "less than a second".to_owned()
    } else {
        length(ms / 1_000 * 1_000).replace(".0 s", " s")
    }
}

#[cfg(test)]
mod tests {
    use clickstream_event::{Timestamp, topic};
    use serde_json::json;

    use super::*;
    use crate::proof::trace::{Fate, Moment, Place, Standing};
    use crate::proof::written::Compared;

    fn story(windows: Vec<Counted>, live: bool) -> Trace {
        let place = Place { partition: 2, offset: 7 };
        Trace {
            log: "memory".into(),
            place,
            key: None,
            arrival: Timestamp(1_000),
            truth: None,
            event: json!({ "event_type": "click", "page_url": "/\u{1b}[31m", "site_id": "shop" }),
            timestamp: Some(Timestamp(1_000)),
            event_time: Some(Timestamp(1_000)),
            fate: Fate::Counted,
            copies: Vec::new(),
            watermark_passed: None,
            labelled_bot: None,
            anomalies: Vec::new(),
            session: None,
            windows,
            dead_letter: None,
            read_to: Timestamp(12_000),
            live,
        }
    }

    fn window(end: i64, closed: bool, rows: Vec<Standing>) -> Counted {
        let by = Place { partition: 0, offset: 0 };
        Counted {
            start: Timestamp(end - 10_000),
            end: Timestamp(end),
            closed: closed.then_some(Moment { at: Timestamp(end), by }),
            closes_in_ms: (!closed).then_some(3_400),
            rows,
        }
    }

    fn standing(row: Option<Row>) -> Standing {
        Standing {
            written: row.as_ref().map(|_| Timestamp(10_210)),
            after_ms: row.as_ref().map(|_| 210),
            written_again: 0,
            rows: Compared { topic: topic::PAGE_METRICS, recount: row.clone(), found: row },
        }
    }

    #[test]
    fn a_window_says_its_number_or_when_it_closes() {
        let row = json!({ "site_id": "shop", "window_start": "1970-01-01T00:00:00.000Z", "window_end": "1970-01-01T00:00:10.000Z",
            "page_url": "/", "view_count": 5, "click_count": 3, "add_to_cart_count": 0, "purchase_count": 0, "unique_users": 2,
            "click_through_rate": 0.6, "human_view_count": 5, "human_click_count": 3, "human_add_to_cart_count": 0,
            "human_purchase_count": 0, "human_unique_users": 2, "human_click_through_rate": 0.6 });
        let row = Row::parse(topic::PAGE_METRICS, row.to_string().as_bytes());
        let windows = || {
            vec![
                window(10_000, true, vec![standing(row.clone())]),
                window(11_000, true, vec![standing(None)]),
                window(20_000, false, Vec::new()),
            ]
        };
        let config = Config::new(clickstream_event::Windows::new(10_000, 1_000).unwrap());
        let drawn = |live, limit| {
            let text = draw(&story(windows(), live), config, limit);
            console::strip_ansi_codes(&text).into_owned()
        };
        let all = drawn(true, usize::MAX);
        for words in [
            "counts in 3 windows of 10s, one every 1s; 2 closed so far",
            "00:00:00 – 00:00:10    3 clicks, 2 users  +210 ms ✓",
            "closed, no row in the topic yet",
            "not yet: closes in 3 s",
        ] {
            assert!(all.contains(words), "{words}: {all}");
        }
        assert!(!all.contains('\u{1b}'), "no terminal obeys what visitors send: {all:?}");
        assert!(drawn(false, usize::MAX).contains("not yet: the log ends at 00:00:12"));
        assert!(drawn(true, 1).contains("… 2 more"));
    }
}
