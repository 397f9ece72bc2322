//! Slides with far more or far fewer events than the slides before, on a page or on the whole site.

use std::collections::BTreeMap;

use clickstream_event::detection::{
    BASELINE_MIN_SLIDES, BASELINE_SLIDES, DROP_RATIO, DROP_Z, EXCESS_VARIANCE, SPIKE_EVENTS, SPIKE_RATIO,
    SPIKE_Z,
};
use serde_json::{Value, json};

use super::{Decided, Event, rounded, time};

/// Slides that are looked at: the baseline, and the one in question after it.
const SLIDES: usize = BASELINE_SLIDES as usize + 1;

pub(super) fn anomalies(events: &[Event], decided: Decided) -> Vec<Value> {
    let slide_ms = decided.shape.slide_ms;
    let span_ms = SLIDES as i64 * slide_ms;
    let looked_at =
        decided.by_span(span_ms, events.iter().map(|event| (event.site.as_str(), event.ts, event)));
    let mut found = Vec::new();
    for ((site, end), events) in looked_at {
        // events of each slide, the oldest first; of the site under its id, of a page under its own
        let mut counts: BTreeMap<&str, [u64; SLIDES]> = BTreeMap::new();
        for event in events {
            let slide = ((event.ts - (end - span_ms)) / slide_ms) as usize;
            counts.entry(site).or_insert([0; SLIDES])[slide] += 1;
            if event.page != site {
                counts.entry(&event.page).or_insert([0; SLIDES])[slide] += 1;
            }
        }
        let first = counts[site].iter().position(|count| *count > 0).unwrap();
        for (subject, counts) in &counts {
            let (baseline, x) = (&counts[first..SLIDES - 1], counts[SLIDES - 1]);
            let Some(row) = anomaly(baseline, x, slide_ms) else { continue };
            let place = json!({ "site_id": site, "subject": subject, "detected_at": time(end),
                "window_start": time(end - slide_ms), "window_end": time(end) });
            found.push(super::merged([place, row]));
        }
    }
    found
}

/// What is out of the ordinary about a slide of `x` events after these.
fn anomaly(baseline: &[u64], x: u64, slide_ms: i64) -> Option<Value> {
    if baseline.len() < BASELINE_MIN_SLIDES as usize {
        return None;
    }
    let n = baseline.len() as f64;
    let s1 = baseline.iter().sum::<u64>() as f64;
    let s2 = baseline.iter().map(|count| count * count).sum::<u64>() as f64;
    let mean = s1 / n;
    let variance = (s2 / n - mean * mean).max(0.0);
    let deviation = variance.sqrt().max((EXCESS_VARIANCE * mean).sqrt()).max(1.0);
    let z = (x as f64 - mean) / deviation;
    let kind = if z >= SPIKE_Z && x as f64 >= SPIKE_RATIO * mean && x >= SPIKE_EVENTS {
        "traffic_spike"
    } else if z <= -DROP_Z && x as f64 <= DROP_RATIO * mean {
        "traffic_drop"
    } else {
        return None;
    };
    let reason =
        format!("{x} events in {} s, usually {} ± {}", slide_ms / 1_000, rounded(mean), rounded(deviation));
    Some(
        json!({ "kind": kind, "rule": "z_score", "observed": x, "expected": mean, "score": z, "reason": reason }),
    )
}
