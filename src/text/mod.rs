//! Text and numbers: times, sizes, URLs.

pub mod hex;
pub mod time;
pub mod units;
pub mod uri;
