//! Several processes that take turns at the stream (`-j`): the coordinator, which
//! is the process that the user has started, and its workers, which are started by
//! it as copies of the same program.

pub mod channel;
pub mod coordinator;
pub mod message;
pub mod process;
pub mod task;
pub mod worker;
