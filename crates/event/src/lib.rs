//! Click events, result rows and the rule that decides which Kafka records are valid events.
