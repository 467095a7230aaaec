//! Text and numbers: times, sizes, URLs.

pub mod time;
pub mod units;
pub mod uri;
