//! No core files: what is in our memory, keys among it, is nobody's business
//! and does not belong on a disk. The programs that we start are as they would
//! be without us.

use std::io;
use std::mem::MaybeUninit;
use std::process::Command;
use std::sync::OnceLock;

/// The limits that we were given, the present one and the highest.
static GIVEN: OnceLock<libc::rlimit> = OnceLock::new();

/// From here on no crash and no SIGQUIT leaves a core file of this process. On
/// FreeBSD nobody but root can look into it with a debugger either.
pub fn forbid_cores() {
    let mut given = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: getrlimit fills an rlimit, which is plain data that was zeroed;
    // setrlimit only reads one; procctl reads one int, which lives until it
    // returns.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_CORE, given.as_mut_ptr()) == 0 {
            let given = *GIVEN.get_or_init(|| given.assume_init());
            let none = libc::rlimit {
                rlim_cur: 0,
                ..given
            };
            libc::setrlimit(libc::RLIMIT_CORE, &none);
        }
        #[cfg(target_os = "freebsd")]
        {
            let disable = std::ptr::from_ref(&libc::PROC_TRACE_CTL_DISABLE);
            let disable = disable.cast_mut().cast();
            libc::procctl(libc::P_PID, 0, libc::PROC_TRACE_CTL, disable);
        }
    }
}

/// A program that is about to be started, and is none of ours, may leave core
/// files if we might have. (FreeBSD's other prohibition ends by itself when
/// another program is executed.)
pub fn permit_cores(program: &mut Command) {
    use std::os::unix::process::CommandExt;
    let Some(given) = GIVEN.get().copied() else {
        return;
    };
    let permit = move || -> io::Result<()> {
        // SAFETY: only reads an rlimit. If it fails, there is no core file.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &given) };
        Ok(())
    };
    // SAFETY: runs in the child, where only async-signal-safe functions may be
    // called; setrlimit is a mere system call, and nothing is allocated.
    unsafe { program.pre_exec(permit) };
}
