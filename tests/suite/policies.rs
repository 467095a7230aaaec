//! What a bucket's owner may have set up: credentials that may only write,
//! object lock; and several runs that meet on one name.

mod locked;
mod readers;
mod rivals;
pub mod write_only;
