//! The standard descriptors as plain files: std's own stdin reads ahead, which
//! would lose data once several processes share it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::os::poll::wait;
use crate::os::signals::without_ticks;

/// Standard input or output as an unbuffered file that waits where an
/// inherited non-blocking descriptor would fail with EAGAIN.
pub struct Stream(File);

/// Standard input. Call once.
pub fn stdin() -> Stream {
    // SAFETY: descriptor 0 is open (std opens /dev/null in place of a closed
    // one before main) and nothing else in the program uses it.
    Stream(unsafe { File::from_raw_fd(libc::STDIN_FILENO) })
}

/// Standard output. Call once.
pub fn stdout() -> Stream {
    // SAFETY: as for stdin, with descriptor 1.
    Stream(unsafe { File::from_raw_fd(libc::STDOUT_FILENO) })
}

/// A worker's channel to its coordinator, which is the standard descriptor
/// that its data does not use: stdin with `of_stdin`, else stdout. None if that
/// is no socket. Call once.
pub fn channel(of_stdin: bool) -> Option<UnixStream> {
    let fd = if of_stdin {
        libc::STDIN_FILENO
    } else {
        libc::STDOUT_FILENO
    };
    // SAFETY: as for stdin; the caller uses either this or the stream.
    let channel = unsafe { UnixStream::from_raw_fd(fd) };
    if channel.local_addr().is_ok() {
        return Some(channel);
    }
    // It is somebody else's descriptor, and not ours to close.
    let _ = channel.into_raw_fd();
    None
}

impl From<OwnedFd> for Stream {
    /// One end of a pipe to another program.
    fn from(fd: OwnedFd) -> Stream {
        Stream(File::from(fd))
    }
}

impl Stream {
    /// Close the descriptor, and report what only close(2) says: a full quota or
    /// a lost server on some network file systems.
    pub fn close(self) -> io::Result<()> {
        let fd = self.0.into_raw_fd();
        // A tick in the middle would leave unclear what became of the data.
        without_ticks(|| {
            // SAFETY: we own `fd` and give it up here.
            match unsafe { libc::close(fd) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        })
    }

    /// A duplicate of the descriptor, for another process.
    pub fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.0.try_clone()?.into())
    }

    /// How many bytes of a regular file are still to be read. None if it is
    /// something else.
    pub fn rest(&mut self) -> Option<u64> {
        let about = self.0.metadata().ok().filter(|about| about.is_file())?;
        let at = io::Seek::stream_position(&mut self.0).ok()?;
        Some(about.len().saturating_sub(at))
    }

    /// Linux: a larger pipe means fewer turns between its two processes.
    /// Elsewhere, and where stdin is no pipe, nothing happens.
    pub fn widen_pipe(&self) {
        #[cfg(target_os = "linux")]
        // SAFETY: F_SETPIPE_SZ takes an int and touches no memory of ours.
        unsafe {
            libc::fcntl(self.0.as_raw_fd(), libc::F_SETPIPE_SZ, 1 << 20);
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                wait(self.0.as_raw_fd(), libc::POLLIN)?;
                Err(io::ErrorKind::Interrupted.into())
            }
            result => result,
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.0.write(buf) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                wait(self.0.as_raw_fd(), libc::POLLOUT)?;
                Err(io::ErrorKind::Interrupted.into())
            }
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
