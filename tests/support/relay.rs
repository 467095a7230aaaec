//! Copies connections byte by byte, and may change the bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Some bytes on their way.
pub struct Passing<'a> {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// From the server to the client.
    pub back: bool,
    /// How many have gone this way before.
    pub offset: usize,
    /// The bytes.
    pub bytes: &'a mut [u8],
}

/// Copies every connection to this address, and back, as long as the process
/// lives; `change` sees all that passes.
pub fn relay(
    listener: TcpListener,
    to: SocketAddr,
    change: impl Fn(Passing) + Send + Sync + 'static,
) {
    let change = Arc::new(change);
    thread::spawn(move || {
        for (connection, client) in listener.incoming().flatten().enumerate() {
            let Ok(server) = TcpStream::connect(to) else {
                continue;
            };
            let twin = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
            let ways = [
                (false, twin(&client), twin(&server)),
                (true, server, client),
            ];
            for (back, from, to) in ways {
                let change = change.clone();
                thread::spawn(move || {
                    copy(from, to, |offset, bytes| {
                        change(Passing {
                            connection,
                            back,
                            offset,
                            bytes,
                        })
                    })
                });
            }
        }
    });
}

/// Until either end is tired of it.
fn copy(mut from: TcpStream, mut to: TcpStream, change: impl Fn(usize, &mut [u8])) {
    let mut space = vec![0; 64 << 10];
    let mut offset = 0;
    while let Ok(count) = from.read(&mut space) {
        change(offset, &mut space[..count]);
        offset += count;
        if count == 0 || to.write_all(&space[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
