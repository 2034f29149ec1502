//! Who is at the other end, and who may be.

use alloc::collections::BTreeSet;
use core::fmt;
use std::io;
use std::os::fd::AsFd;

use super::system;

/// The process at the other end of a connection, as the kernel knows it (`SO_PEERCRED`).
///
/// User and group are the effective ones that the process had when it connected, or, seen by a client, when
/// the server began to listen; supplementary groups are not among them. A user that this user namespace does
/// not know has the kernel's overflow id, 65,534 as a rule: allow nobody by that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Peer {
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
    /// Its process id, where it has one in this pid namespace. By the time it is looked at, another process
    /// may have it: for messages, not for decisions.
    pub pid: Option<u32>,
}

impl Peer {
    /// Who is at the other end of a connected Unix socket.
    ///
    /// # Errors
    /// Those of the operating system; [`Unsupported`](io::ErrorKind::Unsupported) where it is not Linux.
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// let (a, _b) = std::os::unix::net::UnixStream::pair()?;
    /// assert_eq!(mvm_core::protocol::Peer::of(&a)?.pid, Some(std::process::id()));
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn of(socket: impl AsFd) -> io::Result<Self> {
        system::peer(socket)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}, gid {}", self.uid, self.gid)?;
        match self.pid {
            Some(pid) => write!(f, ", pid {pid}"),
            None => Ok(()),
        }
    }
}

/// Who may connect: users and groups.
///
/// Root is nobody special here: who is to be let in is named.
///
/// ```
/// use mvm_core::protocol::AllowList;
///
/// let agents = AllowList::owner().with_uid(990).with_gid(991);
/// assert!(!format!("{agents:?}").is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowList {
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
}

impl AllowList {
    /// Nobody yet.
    #[must_use]
    pub const fn nobody() -> Self {
        Self {
            uids: BTreeSet::new(),
            gids: BTreeSet::new(),
        }
    }

    /// Root, and the effective user of this process.
    #[must_use]
    pub fn owner() -> Self {
        Self::nobody().with_uid(0).with_uid(own_uid())
    }

    /// With this user too.
    #[must_use]
    pub fn with_uid(mut self, uid: u32) -> Self {
        self.uids.insert(uid);
        self
    }

    /// With everybody whose effective group is this one. Supplementary groups do not count.
    #[must_use]
    pub fn with_gid(mut self, gid: u32) -> Self {
        self.gids.insert(gid);
        self
    }

    /// Whether a peer is let in.
    #[must_use]
    pub fn allows(&self, peer: &Peer) -> bool {
        self.uids.contains(&peer.uid) || self.gids.contains(&peer.gid)
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.uids.is_empty() && self.gids.is_empty() {
            return f.write_str("nobody");
        }
        let named =
            (self.uids.iter().map(|id| ("uid", id))).chain(self.gids.iter().map(|id| ("gid", id)));
        for (at, (kind, id)) in named.enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} {id}")?;
        }
        Ok(())
    }
}

/// The effective user of this process.
pub(super) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn nobody_is_let_in_who_is_not_named() {
        let peer = |uid, gid| Peer {
            uid,
            gid,
            pid: None,
        };
        let list = AllowList::nobody().with_uid(990).with_gid(7);
        for (uid, gid, allowed) in [
            (990, 0, true),
            (0, 7, true),
            (0, 0, false),
            (7, 990, false),
            (65_534, 65_534, false),
        ] {
            assert_eq!(list.allows(&peer(uid, gid)), allowed, "{uid} {gid}");
            assert!(!AllowList::nobody().allows(&peer(uid, gid)));
        }
        assert_eq!(list.to_string(), "uid 990, gid 7");
        assert_eq!(AllowList::nobody().to_string(), "nobody");
    }
}
