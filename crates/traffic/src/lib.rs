//! Synthetic visitors of a web shop: a seeded, repeatable stream of timed events.
