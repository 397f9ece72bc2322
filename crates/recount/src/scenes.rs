//! Stretches of a log in which something is just about to be noticed: sessions at their gap, bots at their thresholds, paths,
//! purchases, bursts and silence.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::Shape;

/// One event of a scene.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// Milliseconds after the scene begins.
    pub after: i64,
    /// As in `event_type`.
    pub kind: &'static str,
    pub user: String,
    pub session: String,
    pub page: String,
    pub product: Option<String>,
    /// Index into [`AGENTS`].
    pub agent: Option<usize>,
}

/// What happens, and when it begins.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// The scene begins so many milliseconds after the next multiple of so many, or at once.
    pub begins: Option<(i64, i64)>,
    pub acts: Vec<Act>,
    /// By how much each event arrives after its time; taken in turn.
    pub lags: Vec<i64>,
    /// Whether the events are spread over all partitions.
    pub is_spread: bool,
}

/// User agents as they stand in JSON: with and without the words, in any case and form.
pub(crate) const AGENTS: &[&str] = &[
    r#""Googlebot/2.1""#,
    r#""Mozilla/5.0 (X11; Linux x86_64)""#,
    r#""a BoT""#,
    r#""HEADLESSchrome""#,
    r#""my SpideR""#,
    r#""crawL""#,
    r#""Yahoo! Slurp;""#,
    r#""b ot, craw, spidr, slur, headles""#,
    r#""\u0042ot""#,
    r#""b\/ot""#,
    r#""é bot 😀""#,
    r#""\u017fpider \u017fcan""#,
    r#""SP\u0130DER \u212arawl CHEC\u212a""#,
    r#""CURL/8.5.0""#,
    r#""Whats\u0041pp/2.23""#,
    r#""+HTTP""#,
    r#""\ud800bot""#,
    r#""bo\ud800t""#,
    r#""sl\u0001urp""#,
    r#""bot\n""#,
    r#""""#,
    "null",
    "true",
    "17",
    r#"{"a":"bot"}"#,
    r#"["bot"]"#,
];

/// One scene of any kind.
pub(crate) fn scene(shape: Shape) -> impl Strategy<Value = Scene> {
    let minute = |from: i64| Just(Some((60_000, from)));
    let at_once = Just(None).boxed();
    let slide = Just(Some((shape.slide_ms, 0))).boxed();
    let (before_minute, around_minute) = (minute(-2_500).boxed(), minute(-30).boxed());
    let told = |begins: &BoxedStrategy<Option<(i64, i64)>>, acts: BoxedStrategy<Vec<Act>>| {
        let lags = prop_oneof![2 => Just(vec![0]), 1 => vec(0i64..95, 1..6)];
        (begins.clone(), acts, lags, any::<bool>()).prop_map(|(begins, acts, lags, is_spread)| Scene {
            begins,
            acts,
            lags,
            is_spread,
        })
    };
    prop_oneof![
        80 => told(&at_once, walk(shape).boxed()),
        20 => told(&slide, walk(shape).boxed()),
        30 => told(&at_once, one_moment().boxed()),
        30 => told(&at_once, fast(shape).boxed()),
        40 => told(&at_once, metronome(shape).boxed()),
        40 => told(&at_once, repeated(shape).boxed()),
        30 => told(&at_once, crawl(shape).boxed()),
        50 => told(&at_once, declared(shape).boxed()),
        60 => told(&at_once, shopping(shape).boxed()),
        20 => told(&around_minute, shopping(shape).boxed()),
        15 => told(&before_minute, many_pages().boxed()),
        30 => told(&around_minute, many_sessions().boxed()),
        30 => told(&slide, burst_or_silence(shape).boxed()),
        30 => told(&slide, rise(shape).boxed()),
        1 => told(&at_once, many_paths().boxed()),
    ]
}

fn act(after: i64, kind: &'static str, user: usize, session: usize, page: usize) -> Act {
    Act {
        after,
        kind,
        user: format!("u{user}"),
        session: format!("s{session}"),
        page: format!("/p{page}"),
        product: None,
        agent: None,
    }
}

const KINDS: [&str; 4] = ["page_view", "click", "add_to_cart", "purchase"];

/// One less, just so much, or one more.
fn about(ms: i64) -> impl Strategy<Value = i64> {
    select(vec![(ms - 1).max(0), ms, ms + 1])
}

/// So many instants in order, the first 0 and the last `took`.
fn instants(count: usize, took: i64) -> impl Strategy<Value = Vec<i64>> {
    vec(0..=took, count - 2).prop_map(move |mut instants| {
        instants.extend([0, took]);
        instants.sort_unstable();
        instants
    })
}

/// Instants after others: as long after the last of them as a label holds.
fn afterwards(mut instants: Vec<i64>, pauses: &[i64]) -> Vec<i64> {
    for pause in pauses {
        instants.push(instants[instants.len() - 1] + pause);
    }
    instants
}

/// Two sessions of one or two users over few pages, with reloads, clicks between, and pauses as long as the session gap.
fn walk(shape: Shape) -> impl Strategy<Value = Vec<Act>> {
    let gap = shape.session_gap_ms;
    let pause = prop_oneof![
        4 => select(vec![0, 1, 20, 140, 141, 142, 700]),
        2 => about(gap),
        1 => about(gap / 2),
        1 => about(shape.window_ms),
    ];
    let step = (pause, select(vec![0usize, 0, 0, 0, 0, 0, 1, 2, 3]), 0usize..5, 0usize..6, 0usize..4);
    vec(step, 1..14).prop_map(|steps| {
        let mut now = 0;
        let acts = steps.into_iter().map(|(pause, kind, who, session, page)| {
            now += pause;
            act(now, KINDS[kind], usize::from(who == 0), usize::from(session == 0), page)
        });
        acts.collect()
    })
}

/// Several views of a session within a millisecond, and one before and after.
fn one_moment() -> impl Strategy<Value = Vec<Act>> {
    (vec((0usize..4, 0usize..5), 2..6), 0i64..3).prop_map(|(views, pause)| {
        let last = views.len() as i64 - 1;
        let after = |n: i64| pause * i64::from(n > 0) + pause * i64::from(n == last);
        let acts = views
            .into_iter()
            .enumerate()
            .map(|(n, (page, kind))| act(after(n as i64), KINDS[if kind == 4 { 1 } else { 0 }], 2, 2, page));
        acts.collect()
    })
}

/// Thirty events in about ten seconds, and what follows while the label holds and after.
fn fast(shape: Shape) -> impl Strategy<Value = Vec<Act>> {
    (29usize..32, 9_998i64..10_002, 0usize..6, about(shape.window_ms), 0i64..9_000).prop_flat_map(
        |(count, took, user, until, rest)| {
            instants(count, took).prop_map(move |instants| {
                let instants = afterwards(instants, &[until, 1, 1, rest]);
                let event = |(n, after): (usize, i64)| act(after, KINDS[n % 4], user, n % 2, n % 5);
                instants.into_iter().enumerate().map(event).collect()
            })
        },
    )
}

/// Twenty events with gaps that vary by about a tenth, within about a window.
fn metronome(shape: Shape) -> impl Strategy<Value = Vec<Act>> {
    let usual = (shape.window_ms / 19).min(900);
    let gap = prop_oneof![3 => 0..=usual, 2 => usual - 1..=usual + 1];
    (gap, -2i64..3, 19usize..24, 0usize..6, about(shape.window_ms)).prop_map(
        |(gap, more, count, user, until)| {
            let differs = gap / 10 + more;
            let mut now = 0;
            let mut instants = vec![0];
            for n in 1..count {
                now += (gap + if n % 2 == 0 { differs } else { -differs }).max(0);
                instants.push(now);
            }
            let instants = afterwards(instants, &[until, 1, 1]);
            let event = |(n, after): (usize, i64)| act(after, KINDS[n % 3], user, 3, n % 4);
            instants.into_iter().enumerate().map(event).collect()
        },
    )
}

/// About twelve events on one page in about ten seconds.
fn repeated(shape: Shape) -> impl Strategy<Value = Vec<Act>> {
    let odd_one = prop_oneof![3 => Just(None), 1 => (0usize..12).prop_map(Some)];
    (11usize..15, 9_998i64..10_002, 0usize..6, odd_one, about(shape.window_ms)).prop_flat_map(
        |(count, took, user, odd_one, until)| {
            instants(count, took).prop_map(move |instants| {
                let instants = afterwards(instants, &[until, 1, 1]);
                let page = |n: usize| if Some(n) == odd_one { 1 } else { 0 };
                let event = |(n, after): (usize, i64)| act(after, KINDS[n % 4], user, 4, page(n));
                instants.into_iter().enumerate().map(event).collect()
            })
        },
    )
}

/// About twenty-five page views in about a window; sometimes with something else among them.
fn crawl(shape: Shape) -> impl Strategy<Value = Vec<Act>> {
    let click = prop_oneof![3 => Just(None), 1 => (0usize..26).prop_map(Some)];
    (24usize..28, about(shape.window_ms), 0usize..6, click, about(shape.window_ms)).prop_flat_map(
        |(count, took, user, click, until)| {
            instants(count, took).prop_map(move |instants| {
                let instants = afterwards(instants, &[until, 1, 1]);
                let kind = |n: usize| KINDS[usize::from(Some(n) == click)];
                let event = |(n, after): (usize, i64)| act(after, kind(n), user, 5, n % 7);
                instants.into_iter().enumerate().map(event).collect()
            })
        },
    )
}

/// A user agent, and what the user does while the label holds and after.
fn declared(shape: Shape) -> impl Strategy<Value = Vec<Act>> {
    let again = prop_oneof![2 => Just(None), 1 => (0..AGENTS.len()).prop_map(Some)];
    (0..AGENTS.len(), again, about(shape.window_ms), 0i64..400, 0usize..6).prop_map(
        |(agent, again, until, pause, user)| {
            let mut acts: Vec<Act> = [0, 0, pause, pause + 1, until, until + 1, pause + until + 1]
                .into_iter()
                .enumerate()
                .map(|(n, after)| act(after, KINDS[n % 3], user, n % 2, n % 2))
                .collect();
            acts[1].agent = Some(agent);
            acts[3].agent = again;
            acts
        },
    )
}

/// Views and purchases of products by one user in several sessions.
fn shopping(shape: Shape) -> impl Strategy<Value = Vec<Act>> {
    let pause = prop_oneof![
        4 => select(vec![0, 1, 30, 500]),
        1 => about(shape.window_ms),
        1 => about(shape.session_gap_ms),
    ];
    let step = (pause, select(vec![0usize, 0, 0, 1, 3, 3, 3]), 0usize..4, 0usize..2, 0usize..8);
    (vec(step, 2..9), 0usize..3).prop_map(|(steps, user)| {
        let mut now = 0;
        let acts = steps.into_iter().map(|(pause, kind, product, session, page)| {
            now += pause;
            let product = product.checked_sub(1).map(|n| format!("sku{n}"));
            Act { product, ..act(now, KINDS[kind], user, session, page % 3) }
        });
        acts.collect()
    })
}

/// About sixty different pages in a minute or over its end.
fn many_pages() -> impl Strategy<Value = Vec<Act>> {
    (59usize..63, 0i64..50, 0usize..6, 0usize..3).prop_map(|(count, pause, user, again)| {
        let event = |n: usize| act(n as i64 * pause, KINDS[n % 3], user, n % 2, n % count);
        (0..count + again).map(event).collect()
    })
}

/// About three sessions of a user in a minute or over its end.
fn many_sessions() -> impl Strategy<Value = Vec<Act>> {
    vec((0i64..70, 0usize..4, 0usize..4), 2..7).prop_map(|mut events| {
        events.sort_unstable();
        events
            .into_iter()
            .map(|(after, session, page)| act(after, KINDS[page % 2], 1, session, page))
            .collect()
    })
}

/// Slides with as many events each, then one with far more or none, then few.
fn burst_or_silence(shape: Shape) -> impl Strategy<Value = Vec<Act>> {
    let few = (select(vec![1usize, 2]), select(vec![0usize, 19, 20, 21, 22]), 5usize..9);
    let some = (Just(4usize), select(vec![0usize, 31, 32, 33]), 5usize..9);
    // as many as a drop needs, and as few events as make one
    let many = (select(vec![35usize, 36, 40]), 0usize..4, 6usize..9);
    (prop_oneof![2 => few, 2 => some, 3 => many], select(vec![1usize, 2, 1_000])).prop_map(
        move |((usual, then, slides), pages)| {
            let mut acts = Vec::new();
            for (slide, count) in
                std::iter::repeat_n(usual, slides).chain([then, usual.min(2), 0, 1]).enumerate()
            {
                for n in 0..count {
                    let after = slide as i64 * shape.slide_ms + n as i64 * shape.slide_ms / count as i64;
                    let who = acts.len() % 40 + 10;
                    // now and then on the page that is named as the site
                    let page = if n % pages == 0 { "a".into() } else { "/p1".into() };
                    acts.push(Act { page, ..act(after, KINDS[n % 2], who, who, 0) });
                }
            }
            acts
        },
    )
}

/// Two pages with the same numbers of views, around what makes a list, in the two halves of a window.
fn rise(shape: Shape) -> impl Strategy<Value = Vec<Act>> {
    (9usize..14, 0usize..6, 0i64..3).prop_map(move |(recent, prior, later)| {
        let half = shape.window_ms / 2;
        let mut acts = Vec::new();
        for (count, from, to) in [(prior, 0, half - 1), (recent, half, shape.window_ms - 1 + later)] {
            for n in 0..count {
                // the first and the last instant of the half among them
                let after = from + (to - from) * n as i64 / (count as i64 - 1).max(1);
                for page in [0, 1] {
                    acts.push(act(after, "page_view", 10 + n, 10 + n, page));
                }
            }
        }
        acts
    })
}

/// More different paths in a slide than it keeps.
fn many_paths() -> impl Strategy<Value = Vec<Act>> {
    (500usize..508, 0usize..3).prop_map(|(count, again)| {
        let event = |n: usize| act(n as i64, "page_view", 5, 5, (n * 7) % count);
        (0..count + 3 + again).map(event).collect()
    })
}
