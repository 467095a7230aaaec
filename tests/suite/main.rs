//! The built program against real S3 servers, directly and through a proxy
//! that injects faults. One binary, so that each server is started once.

#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/mod.rs"]
mod support;

mod actors;
mod commands;
mod commit;
mod cores;
mod damage;
mod encryption;
mod example;
mod faults;
mod format;
mod hostile;
mod identity;
mod kill;
mod manual;
mod odd;
mod policies;
mod programs;
mod recipe;
mod resume;
mod seals;
mod servers;
mod stops;
mod store;
mod storm;
mod streams;
mod tls;
mod upkeep;
mod usage;
mod version1;
mod workers;
