//! Services that differ from Amazon's in everything they say.

use crate::support::store::{Conditions, Order, Settings};

/// A service of another kind.
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// How its store differs.
    pub change: fn(&mut Settings),
    /// Its listings are not sorted.
    pub unsorted: bool,
}

const fn service(name: &'static str, change: fn(&mut Settings)) -> Service {
    Service {
        name,
        change,
        unsorted: false,
    }
}

const fn unsorted(name: &'static str, change: fn(&mut Settings)) -> Service {
    Service {
        name,
        change,
        unsorted: true,
    }
}

/// All of them.
pub static SERVICES: &[Service] = &[
    service("no-etags", |s| s.etags = false),
    service("conditions-ignored", |s| s.conditions = Conditions::Ignored),
    service("conditions-501", |s| s.conditions = Conditions::Refused),
    service("conditions-unquoted", |s| {
        s.conditions = Conditions::Unquoted
    }),
    service("no-etags-ignored", |s| {
        (s.etags, s.conditions) = (false, Conditions::Ignored);
    }),
    service("pages-of-1", |s| s.page = 1),
    unsorted("reversed", |s| s.order = Order::Reversed),
    unsorted("reversed-pages", |s| {
        (s.order, s.page) = (Order::Reversed, 1)
    }),
    unsorted("shuffled", |s| s.order = Order::Shuffled(1)),
    unsorted("shuffled-pages", |s| {
        (s.order, s.page) = (Order::Shuffled(2), 1)
    }),
    unsorted("doubled", |s| s.order = Order::Doubled),
    unsorted("doubled-pages", |s| (s.order, s.page) = (Order::Doubled, 1)),
];
