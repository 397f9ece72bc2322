//! The whole product in this process: a durable log in files, and the embedded engine.
//!
//! For an instant start, and where there is no Java. Topics have the names and forms they have in Kafka. It is no distributed
//! engine and will not become one: whoever outgrows a machine runs the same pipeline as Flink SQL.
//!
//! | module | does |
//! |---|---|
//! | [`inlet`] | takes events from the generator |
//! | [`pipeline`] | starts and stops the two threads that do the work |
//! | [`writing`] | one of them: writes events to the log |
//! | [`counting`] | the other: counts them, writes rows |
//! | [`handed_in`] | takes records that another program hands in |
//! | [`shards`] | counting on more than one core |
//! | [`results`] | the topics the rows go to, and how far they have got |
//! | [`restart`] | where the log is read again after a stop of any kind |

pub mod counting;
pub mod handed_in;
pub mod inlet;
pub mod pipeline;
pub mod restart;
pub mod results;
pub mod shards;
pub mod writing;
