//! Pages as services send them, and what is wrong with some.

use super::*;

/// Where a page leads.
enum Next<'a> {
    End,
    /// There is more, and nobody says where.
    Cut,
    Token(&'a str),
}

use Next::{Cut, End, Token};

fn page(keys: &[&str], next: Next) -> Page {
    let object = |key: &&str| Object {
        key: key.to_string(),
        size: 1,
        modified: String::new(),
    };
    Page {
        objects: keys.iter().map(object).collect(),
        truncated: !matches!(next, End),
        token: match next {
            Token(token) => Some(token.to_string()),
            _ => None,
        },
    }
}

/// What is wrong with the first of these pages with which something is; empty
/// if nothing is.
fn first_doubt(mut pages: Pages, answers: &[Page]) -> String {
    for page in answers {
        if let Some(doubt) = pages.doubt(page) {
            return doubt;
        }
        pages.go_on(page);
    }
    String::new()
}

fn as_set(answers: &[Page]) -> String {
    first_doubt(Pages::new("k"), answers)
}

fn in_order(answers: &[Page]) -> String {
    first_doubt(Pages::in_order("k"), answers)
}

const ADVANCE: &str = "the server's listing does not advance";

#[test]
fn a_set_has_no_order_and_an_order_has_each_key_once() {
    for odd in [
        &[&["k2", "k1"][..]][..],
        &[&["k1", "k1"]],
        &[&["k1", "k3"], &["k2"]],
        &[&["k1", "k2"], &["k2", "k3"]],
        &[&["k1", "k2", "k4"], &["k5"], &["k3"]],
    ] {
        let tokens: Vec<String> = (0..odd.len()).map(|n| n.to_string()).collect();
        let mut answers: Vec<Page> = odd
            .iter()
            .zip(&tokens)
            .map(|(keys, token)| page(keys, Token(token)))
            .collect();
        answers.push(page(&[], End));
        assert_eq!(as_set(&answers), "", "{odd:?}");
        let doubt = in_order(&answers);
        assert!(doubt.contains("order of keys: of k, it has k"), "{doubt}");
    }
    let good = [page(&["k1", "k2"], Token("a")), page(&["k3"], End)];
    assert_eq!((in_order(&good), as_set(&good)), Default::default());
    let foreign = [page(&["k1", "l"], End)];
    assert!(as_set(&foreign).contains("not asked for"));
}

/// Where there is no token, the last key must be the greatest.
#[test]
fn what_is_cut_off_without_a_token_must_have_an_order() {
    let fine = [
        page(&["k1", "k1", "k2"], Cut),
        page(&["k3", "k4"], Cut),
        page(&["k6", "k5"], End),
    ];
    assert_eq!(as_set(&fine), "");
    for odd in [
        &[page(&["k2", "k1"], Cut)][..],
        &[page(&["k1", "k3"], Token("a")), page(&["k2"], Cut)],
        &[page(&["k3", "k2"], Token("a")), page(&["k4"], Cut)],
        &[page(&["k1", "k1", "k3", "k2"], Cut)],
    ] {
        let doubt = as_set(odd);
        assert!(doubt.contains("without a token"), "{doubt}: {odd:?}");
    }
}

#[test]
fn what_does_not_advance_is_noticed() {
    for still in [
        &[page(&[], Cut)][..],
        &[page(&["k1"], Cut), page(&["k1"], Cut)],
        &[page(&["k1", "k2"], Cut), page(&["k2", "k3"], End)],
        &[page(&["k1", "k2"], Cut), page(&["k3", "k1"], End)],
        &[page(&["k1"], Token("a")), page(&["k2"], Token("a"))],
        &[page(&[], Token("a")), page(&[], Token("a"))],
    ] {
        assert_eq!(as_set(still), ADVANCE, "{still:?}");
    }
    // A page may be empty, and one key may come twice.
    let slow = [
        page(&[], Token("a")),
        page(&["k1"], Token("b")),
        page(&["k1"], Token("c")),
        page(&["k2"], Token("d")),
        page(&[], End),
    ];
    assert_eq!(as_set(&slow), "");
}

#[test]
fn a_circle_is_noticed_however_large_it_is() {
    for length in [1, 2, 3, 7, 100, 1000] {
        for before in [0, 1, 5, 64] {
            let mut pages = Pages::new("k");
            let mut steps = 0;
            let doubt = loop {
                let at = if steps < before {
                    format!("once {steps}")
                } else {
                    format!("again {}", (steps - before) % length)
                };
                let page = page(&[&format!("k{at}")], Token(&at));
                match pages.doubt(&page) {
                    Some(doubt) => break doubt,
                    None => pages.go_on(&page),
                }
                steps += 1;
            };
            assert_eq!(doubt, ADVANCE);
            assert!(steps <= 4 * (length + before + 1), "{steps}: {length}");
        }
    }
}

/// The token is another one each time, and leads nowhere.
#[test]
fn the_same_page_for_ever_is_noticed() {
    for keys in [&["k1", "k2"][..], &[]] {
        let mut pages = Pages::new("k");
        let noticed = (0..2000).find(|n| {
            let page = page(keys, Token(&n.to_string()));
            let doubt = pages.doubt(&page);
            pages.go_on(&page);
            doubt.as_deref() == Some(ADVANCE)
        });
        assert!(noticed.is_some(), "{keys:?}");
    }
}
