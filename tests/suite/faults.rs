//! s3pipe behind a proxy that does what networks and servers do wrong, one
//! fault at a time: what passes must be survived unseen, what stays must end
//! in the right exit status, and nothing may ever put a wrong byte on stdout.

mod answers;
mod damage;
mod limits;
pub mod site;
mod wire;
