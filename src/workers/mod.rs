//! Several processes that take turns at the stream: `-j`.

pub mod channel;
pub mod coordinator;
pub mod message;
pub mod process;
pub mod task;
pub mod worker;
