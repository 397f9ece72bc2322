//! The other views of a window: trending pages, sessions, journeys, the funnel, anomalies.

use std::collections::VecDeque;

use clickstream_event::rows::Anomaly;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};

use clickstream_top::text::{grown, percent, thousands};

use super::window::{Paint, bar, shorten};
use crate::results::Window;

/// What the console shows of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// The ten pages with most views.
    Top,
    /// Pages that rise.
    Trending,
    /// Where sessions enter, and how many see nothing else.
    Sessions,
    /// From which page to which, and common paths.
    Journeys,
    /// From view to purchase.
    Funnel,
    /// What was out of the ordinary.
    Anomalies,
    /// One after the other, a window each.
    Rotate,
}

impl View {
    /// All, by the name they have on the command line.
    pub const ALL: [(&'static str, Self); 7] = [
        ("top", Self::Top),
        ("trending", Self::Trending),
        ("sessions", Self::Sessions),
        ("journeys", Self::Journeys),
        ("funnel", Self::Funnel),
        ("anomalies", Self::Anomalies),
        ("rotate", Self::Rotate),
    ];

    /// The view of the n-th window.
    pub fn of_window(self, n: usize) -> Self {
        match self {
            Self::Rotate => Self::ALL[n % (Self::ALL.len() - 1)].1,
            view => view,
        }
    }
}

/// The section of a view other than the top list, `width` columns wide.
pub fn draw(
    view: View,
    window: &Window,
    anomalies: &VecDeque<Anomaly>,
    width: usize,
    paint: Paint<'_>,
) -> String {
    match view {
        View::Trending => trending(window, width, paint),
        View::Sessions => sessions(window, width, paint),
        View::Journeys => journeys(window, width, paint),
        View::Funnel => funnel(window, width, paint),
        View::Anomalies => list(anomalies, width, paint),
        View::Top | View::Rotate => String::new(),
    }
}

fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>, paint: Paint<'_>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table
        .set_header(header.iter().map(|name| Cell::new(paint((*name).to_owned()).dim())).collect::<Vec<_>>());
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn trending(window: &Window, width: usize, paint: Paint<'_>) -> String {
    if window.trending.is_empty() {
        return "no page rises: none has 10 views in the later half of the window and clearly more than in the earlier\n"
            .into();
    }
    let room = width.saturating_sub(52).clamp(12, 44);
    let most = window.trending.iter().map(|row| row.score).fold(1.0, f64::max);
    let rows = window.trending.iter().map(|row| {
        vec![
            row.rank.to_string(),
            shorten(&row.page_url, room),
            thousands(row.prior_views),
            thousands(row.recent_views),
            grown(row.prior_views, row.growth),
            format!("{:.1}", row.score),
            paint(bar(row.score / most, 12)).cyan().to_string(),
        ]
    });
    table(
        &["#", "trending page", "before", "now", "growth", "score", ""],
        &[0, 2, 3, 4, 5],
        rows.collect(),
        paint,
    )
}

fn sessions(window: &Window, width: usize, paint: Paint<'_>) -> String {
    let room = width.saturating_sub(56).clamp(12, 44);
    let rows = window.bounce_rates.iter().map(|row| {
        let provisional = window.provisional.iter().find(|other| other.page_url == row.page_url);
        vec![
            shorten(&row.page_url, room),
            thousands(row.entries),
            percent(row.bounce_rate),
            provisional.map_or_else(String::new, |row| thousands(row.entries)),
            provisional.map_or_else(String::new, |row| percent(row.provisional_bounce_rate)),
            provisional.map_or_else(String::new, |row| thousands(row.undecided)),
        ]
    });
    let mut text = match &window.funnel {
        Some(funnel) => format!("{} sessions closed in this window\n", thousands(funnel.sessions)),
        None => "no session has closed in this window yet\n".to_owned(),
    };
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        text.push_str(&table(
            &["entry page", "closed", "bounced", "begun", "so far", "undecided"],
            &[1, 2, 3, 4, 5],
            rows,
            paint,
        ));
    }
    text
}

fn journeys(window: &Window, width: usize, paint: Paint<'_>) -> String {
    let room = (width.saturating_sub(28) / 2).clamp(10, 40);
    let rows = window.transitions.iter().map(|row| {
        vec![
            shorten(&row.from_page, room),
            format!("→ {}", shorten(&row.to_page, room)),
            thousands(row.transition_count),
            percent(row.transition_rate),
        ]
    });
    let mut text = table(&["from", "to", "times", "of all who left"], &[2, 3], rows.collect(), paint);
    let paths = window.paths.iter().filter(|path| path.rank <= 3);
    let rows: Vec<Vec<String>> = paths
        .map(|path| {
            vec![thousands(path.path_count), shorten(&path.pages.join(" → "), width.saturating_sub(12))]
        })
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(&["times", "common paths"], &[0], rows, paint));
    }
    text
}

fn funnel(window: &Window, width: usize, paint: Paint<'_>) -> String {
    let Some(funnel) = &window.funnel else { return "no session has closed in this window yet\n".into() };
    let room = width.saturating_sub(46).clamp(8, 60);
    let steps = [
        ("sessions", funnel.sessions, funnel.sessions),
        ("viewed a page", funnel.viewed, funnel.sessions),
        ("put into the cart", funnel.carted, funnel.viewed),
        ("purchased", funnel.purchased, funnel.carted),
    ];
    let rows = steps.iter().enumerate().map(|(n, (name, count, before))| {
        let lost = before - count.min(before);
        let drop_off = if n == 0 {
            String::new()
        } else {
            let rate = (*before > 0).then(|| lost as f64 / *before as f64);
            format!("−{} ({})", thousands(lost), percent(rate))
        };
        let share = *count as f64 / funnel.sessions.max(1) as f64;
        vec![(*name).to_owned(), thousands(*count), drop_off, paint(bar(share, room)).cyan().to_string()]
    });
    let mut text = table(&["step", "sessions", "drop-off", ""], &[1, 2], rows.collect(), paint);
    text.push_str(&format!("{} of all sessions end in a purchase\n", percent(funnel.conversion_rate)));
    text
}

fn list(anomalies: &VecDeque<Anomaly>, width: usize, paint: Paint<'_>) -> String {
    if anomalies.is_empty() {
        return "nothing out of the ordinary so far\n".into();
    }
    let room = width.saturating_sub(64).clamp(10, 32);
    let rows = anomalies.iter().map(|row| {
        vec![
            row.detected_at.clock(),
            paint(kind(row)).yellow().to_string(),
            shorten(&row.subject, room),
            shorten(&row.reason, width.saturating_sub(room + 30).max(20)),
        ]
    });
    table(&["at", "anomaly", "of", "why"], &[], rows.collect(), paint)
}

fn kind(row: &Anomaly) -> String {
    row.kind.replace('_', " ")
}

/// An anomaly in one line.
pub fn anomaly_line(row: &Anomaly, width: usize) -> String {
    shorten(&format!("⚑ {} {}: {} – {}", row.detected_at.clock(), kind(row), row.subject, row.reason), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::proof::row::Row as ResultRow;
    use crate::results::{Arrived, Assembler};
    use clickstream_event::{Timestamp, topic};
    use console::style;

    /// A window with a row of every kind.
    fn window() -> Window {
        let base = r#""site_id":"shop","window_start":"2026-11-25T11:15:00.000Z","window_end":"2026-11-25T11:20:00.000Z""#;
        let rows = [
            (
                topic::SITE_METRICS,
                r#""event_count":3,"view_count":2,"click_count":1,"add_to_cart_count":0,"purchase_count":0,"unique_users":2,"active_sessions":2,"click_through_rate":0.5,"conversion_rate":0.0,"revenue":0,"human_event_count":3,"human_view_count":2,"human_click_count":1,"human_add_to_cart_count":0,"human_purchase_count":0,"human_unique_users":2,"human_click_through_rate":0.5,"human_conversion_rate":0.0,"human_revenue":0"#,
            ),
            (
                topic::TRENDING_PAGES,
                r#""rank":1,"page_url":"/p/\u0007rising","recent_views":40,"prior_views":10,"growth":3.0,"score":4.24"#,
            ),
            (topic::BOUNCE_RATES, r#""page_url":"/","entries":1200,"bounces":600,"bounce_rate":0.5"#),
            (
                topic::PROVISIONAL_BOUNCE_RATES,
                r#""page_url":"/","entries":1300,"bounces":500,"undecided":210,"provisional_bounce_rate":0.4587"#,
            ),
            (
                topic::PAGE_TRANSITIONS,
                r#""from_page":"/","to_page":"/search","transition_count":77,"transition_rate":0.25"#,
            ),
            (topic::COMMON_PATHS, r#""length":3,"rank":1,"pages":["/","/search","/p/lamp"],"path_count":12"#),
            (
                topic::FUNNELS,
                r#""sessions":200,"viewed":198,"carted":18,"purchased":6,"view_to_cart_rate":0.09,"cart_to_purchase_rate":0.333,"conversion_rate":0.03"#,
            ),
        ];
        let mut assembler = Assembler::default();
        for (topic, fields) in rows {
            let row = ResultRow::parse(topic, format!("{{{base},{fields}}}").as_bytes()).unwrap();
            assembler.take(Arrived { topic, at: Timestamp(0), row: row.into() });
        }
        assembler.complete(Timestamp(i64::MAX)).remove(0)
    }

    fn anomaly() -> Anomaly {
        Anomaly {
            site_id: "shop".into(),
            kind: "traffic_spike".into(),
            rule: "z_score".into(),
            subject: "/p/lamp".into(),
            detected_at: Timestamp(1_795_583_040_000),
            window_start: Timestamp(1_795_583_030_000),
            window_end: Timestamp(1_795_583_040_000),
            observed: 412.0,
            expected: 38.0,
            score: 53.4,
            reason: "412 events in 10 s, usually 38 ± 7".into(),
        }
    }

    #[test]
    fn every_view_says_what_it_is_about_and_fits() {
        let anomalies = VecDeque::from([anomaly()]);
        for (view, said) in [
            (View::Trending, "+300 %"),
            (View::Sessions, "210"),
            (View::Journeys, "/ → /search → /p/lamp"),
            (View::Funnel, "−180 (90.9 %)"),
            (View::Anomalies, "412 events in 10 s, usually 38 ± 7"),
        ] {
            for width in [80, 120] {
                let text = draw(view, &window(), &anomalies, width, &|text| style(text).force_styling(false));
                assert!(text.contains(said), "{text}");
                assert!(
                    !text.contains('\u{7}') && text.lines().all(|line| line.chars().count() <= width),
                    "{text}"
                );
            }
        }
        assert_eq!(
            anomaly_line(&anomaly(), 100),
            "⚑ 05:04:00 traffic spike: /p/lamp – 412 events in 10 s, usually 38 ± 7"
        );
    }

    #[test]
    fn views_take_turns() {
        assert_eq!(View::Rotate.of_window(0), View::Top);
        assert_eq!(View::Rotate.of_window(5), View::Anomalies);
        assert_eq!(View::Rotate.of_window(6), View::Top);
        assert_eq!(View::Funnel.of_window(3), View::Funnel);
    }
}
