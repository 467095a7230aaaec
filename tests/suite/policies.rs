//! What a bucket's owner may have set up: credentials that may only do what
//! they need, object lock, an archive, headers of the owner's own; and several
//! runs that meet on one name.

mod archive;
mod headers;
mod locked;
mod permissions;
mod readers;
mod rivals;
pub mod write_only;
