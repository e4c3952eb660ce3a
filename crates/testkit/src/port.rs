//! Loopback ports that stay ours from the moment of choosing until a server has bound them.
//!
//! A port found by binding port 0 may be handed to any outgoing connection before the server binds it. So ports come
//! from below the range that kernels use for outgoing connections, and a lock file per port keeps other test
//! processes away while a lease is held.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Linux hands out 32768 and above for outgoing connections by default, other systems 49152 and above.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// One loopback port that no other lease on this machine holds.
pub(crate) struct PortLease {
    number: u16,
    /// Unlocked by closing, so a killed process leaves nothing locked.
    _lock: File,
}

impl PortLease {
    /// Leases a port that nobody listens on.
    pub(crate) fn take() -> io::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let locks = lock_directory()?;
        // Processes start at different places, so that they rarely try the same port.
        let start = (process::id() % u32::from(COUNT)) as u16;
        for _ in 0..COUNT {
            let offset = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + (start.wrapping_mul(31).wrapping_add(offset)) % COUNT;
            let lock = File::create(locks.join(number.to_string()))?;
            match lock.try_lock() {
                Ok(()) if is_free(number) => return Ok(Self { number, _lock: lock }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::from(io::ErrorKind::AddrInUse))
    }

    /// Leases as many ports as the caller destructures.
    pub(crate) fn take_array<const N: usize>() -> io::Result<[Self; N]> {
        let leases: Vec<Self> = (0..N).map(|_| Self::take()).collect::<io::Result<_>>()?;
        Ok(leases.try_into().unwrap_or_else(|_| unreachable!("the range has N elements")))
    }

    /// The port's number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).is_ok()
}

/// One directory a user, because another user's lock files cannot be opened for writing.
fn lock_directory() -> io::Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let path = std::env::temp_dir().join(format!("s3bl-testkit-ports-{user}"));
    fs::create_dir_all(&path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_held_together_are_different_ports() {
        let leases = PortLease::take_array::<20>().unwrap();
        let mut numbers: Vec<u16> = leases.iter().map(PortLease::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 20);
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_leased() {
        let lease = PortLease::take().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, lease.number())).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }
}
