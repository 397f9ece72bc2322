//! What both of our HTTP servers are made of: the one that shows results and the one that takes events.
//!
//! | module | holds |
//! |---|---|
//! | [`connections`] | taking connections, within limits |
//! | [`problem`] | errors as problem details |

pub mod connections;
pub mod problem;
