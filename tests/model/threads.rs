//! Many explorations, as many at a time as there are processors.

use std::sync::Mutex;

/// Do this with each of them, print what it says, and panic with all that failed.
pub fn each<T: Send>(all: Vec<T>, test: impl Fn(T) -> Result<String, String> + Sync) {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let queue = Mutex::new(all.into_iter().enumerate());
    let said = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                loop {
                    let Some((n, next)) = queue.lock().unwrap().next() else {
                        return;
                    };
                    let line = test(next);
                    said.lock().unwrap().push((n, line));
                }
            });
        }
    });
    let mut said = said.into_inner().unwrap();
    said.sort();
    let mut failed = Vec::new();
    for (_, line) in said {
        match line {
            Ok(line) => println!("{line}"),
            Err(line) => failed.push(line),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
