//! What std has no name for: a connection that is reset, and one that takes
//! little at a time.

use std::mem::size_of_val;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

fn set<T>(fd: RawFd, level: libc::c_int, option: libc::c_int, value: &T) {
    let length = libc::socklen_t::try_from(size_of_val(value)).expect("a small value");
    let value: *const T = value;
    // SAFETY: the value is alive, of the type that the option has, and copied.
    let result = unsafe { libc::setsockopt(fd, level, option, value.cast(), length) };
    assert_eq!(result, 0, "setsockopt: {}", std::io::Error::last_os_error());
}

/// Closes a connection by a reset, with all that was not sent yet.
pub fn reset(stream: TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    set(
        stream.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_LINGER,
        &linger,
    );
}

/// Has the connections that come here receive as little at a time as can be, and
/// send little: a client's own buffer grows with the size of a segment.
pub fn narrow(listener: &TcpListener) {
    let fd = listener.as_raw_fd();
    let (segment, buffer): (libc::c_int, libc::c_int) = (512, 1);
    set(fd, libc::IPPROTO_TCP, libc::TCP_MAXSEG, &segment);
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &buffer);
}
