//! Decoding an event: shared by the fuzz target and the test that replays the corpus.

use clickstream_event::{Record, Rules, Timestamp, decode, validate::MAX_BYTES};

/// 2026-11-25T00:00:00Z.
const ARRIVAL: Timestamp = Timestamp(1_795_564_800_000);

/// Any bytes decode or are refused; what decodes as an event and is encoded again decodes to the same event.
pub fn check(bytes: &[u8]) {
    let Ok(Record::Event(event, event_time)) = decode(bytes, ARRIVAL, Rules::default()) else { return };
    assert!(event_time <= ARRIVAL && event_time <= event.timestamp);
    let mut canonical = Vec::new();
    event.encode(&mut canonical);
    if canonical.len() > MAX_BYTES {
        // the canonical form of `1e12` or of a time without fraction is longer than what was sent
        return;
    }
    let again = decode(&canonical, ARRIVAL, Rules::default());
    assert_eq!(
        again,
        Ok(Record::Event(event, event_time)),
        "{} became {}",
        bytes.escape_ascii(),
        canonical.escape_ascii()
    );
}
