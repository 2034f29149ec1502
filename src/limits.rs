//! Every limit of the core in one place: unit, value, reason.

// --- wire ---

/// Longest body of a frame in an established session: 262,144 bytes (256 KiB).
///
/// Large enough for a status of every component with room for a fleet's own messages, small enough
/// that a guest can hold one frame in a static buffer. Fixed by the session protocol.
pub const FRAME_BODY_MAX: usize = 256 * 1024;

/// Longest body of a frame during the handshake: 1,024 bytes.
///
/// A peer that has not proved who it is gets no more memory than its longest legitimate message
/// (a hello with 128 bytes of extensions, about 350 bytes) needs. Fixed by the session protocol.
pub const HANDSHAKE_BODY_MAX: usize = 1024;

/// Bytes in front of every body: its length as a big-endian `u32`.
pub const FRAME_HEADER_LEN: usize = 4;

// --- time ---

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// Seconds from 1970 to the earliest [`Timestamp`](crate::time::Timestamp), 0001-01-01T00:00:00Z:
/// RFC 3339 has no year before 0000, and ISO 8601 has the year 0000 by agreement only.
pub const TIMESTAMP_MIN_SECONDS: i64 = -62_135_596_800;

/// Seconds from 1970 to the second of the latest [`Timestamp`](crate::time::Timestamp),
/// 9999-12-31T23:59:59Z: years of RFC 3339 have four digits.
pub const TIMESTAMP_MAX_SECONDS: i64 = 253_402_300_799;

/// Bytes of the longest timestamp that is written: `9999-12-31T23:59:59.999999999Z`.
pub const TIMESTAMP_TEXT_MAX: usize = 30;

// --- naming ---

/// Longest string id, in bytes: 63, the longest DNS label (RFC 1035, section 2.3.4), so that an
/// id can be a host name.
pub const ID_MAX: usize = 63;

/// Longest flake reference, in bytes. It is one argument of a command line and one member of a
/// desired state; no real one comes near.
pub const FLAKE_REF_MAX: usize = 1024;

/// Longest revision hash, in bytes: SHA-512 in hexadecimal, which is the longest digest in use.
pub const REVISION_HASH_MAX: usize = 128;

/// Greatest network number of a tenant: 4095, because 0.13.0's scheme gives a tenant 12 bits.
pub const TENANT_NET_ID_MAX: u16 = 4095;

/// Least number of a host in its tenant's /24: 0 is the network's own address.
pub const HOST_OFFSET_MIN: u8 = 1;

/// Greatest number of a host in its tenant's /24: 255 is the broadcast address.
pub const HOST_OFFSET_MAX: u8 = 254;

/// Longest name of a network interface, in bytes, without the NUL: `IFNAMSIZ` (16) less one
/// (Linux, `include/uapi/linux/if.h`).
pub const INTERFACE_NAME_MAX: usize = 15;

/// Longest path of a Unix socket on Linux, in bytes, without the NUL: `sun_path` is 108 bytes
/// (`include/uapi/linux/un.h`).
pub const SUN_PATH_LINUX_MAX: usize = 107;

/// Longest path of a Unix socket everywhere, in bytes, without the NUL: `sun_path` is 104 bytes
/// on macOS and the BSDs (`sys/un.h`).
pub const SUN_PATH_PORTABLE_MAX: usize = 103;

/// Longest host name that the kernel keeps, in bytes, without the NUL: `__NEW_UTS_LEN` (Linux,
/// `include/uapi/linux/utsname.h`).
pub const HOST_NAME_MAX: usize = 64;

/// Longest label of a DNS name, in bytes (RFC 1035, section 2.3.4).
pub const DNS_LABEL_MAX: usize = 63;

// --- session ---

/// Longest extensions of a hello, in bytes: two key shares of a later suite, with room.
pub const EXTENSIONS_MAX: usize = 128;
/// How long a handshake may take as a whole, in milliseconds.
pub const HANDSHAKE_DEADLINE_MS: u64 = 5_000;
/// How many handshakes an endpoint keeps waiting; the oldest gives way.
pub const PENDING_HANDSHAKES_MAX: usize = 4;
/// Of how many services an endpoint holds a session at once.
pub const SERVICES_MAX: usize = 8;
/// How many host keys a guest trusts: the one in use, its successor, and as many spare.
pub const TRUSTED_HOST_KEYS_MAX: usize = 4;
/// How many keys of one guest a host trusts: the one in use and its successor.
pub const TRUSTED_GUEST_KEYS_MAX: usize = 2;
/// How many frames a session may carry in each direction.
pub const SESSION_FRAMES_MAX: u64 = 1 << 32;
// --- retry ---

/// The longest delay of a [`RetryPolicy`](crate::retry::RetryPolicy): a year (365 days). Longer is
/// a mistake in a configuration; and so a delay in nanoseconds stays far from 64 bits.
pub const RETRY_DELAY_MAX: core::time::Duration =
    core::time::Duration::from_secs(365 * 24 * 60 * 60);

// --- instance ---

/// Bits of the longest IPv4 prefix: 32, a single address.
pub const IPV4_PREFIX_MAX: u8 = 32;

/// Age in seconds at which a measurement of activity no longer says anything about now: 120. Two
/// missed measurements of one that comes every minute.
pub const IDLE_METRICS_AGE_MAX: u64 = 120;

/// The largest process id: 2,147,483,647, the largest positive `pid_t`, which is an `int` on every
/// Unix. (Linux itself stops at 2^22: `PID_MAX_LIMIT` in `include/linux/threads.h`.)
pub const PID_MAX: u32 = 2_147_483_647;

// --- hostd ---

/// Longest body of a frame between the agent and hostd: 1,048,576 bytes (1 MiB). 0.13.0 reads no longer
/// one.
pub const HOSTD_FRAME_MAX: usize = 1024 * 1024;

/// Bytes of the buffer that a connection to hostd begins with. Requests have some 200 bytes, so it is one
/// page.
pub const HOSTD_BUFFER_LEN: usize = 4096;

/// Bytes of that buffer that are kept for the next frame, once a frame needed them: 16,384. A connection
/// with frames of some 10 KiB then makes room once, and 64 connections keep 1 MiB.
pub const HOSTD_BUFFER_KEPT: usize = 4 * HOSTD_BUFFER_LEN;

/// Longest error message that hostd makes, in bytes: a frame holds it with every byte escaped (six bytes
/// of JSON for one), and a person reads no more.
pub const HOSTD_MESSAGE_MAX: usize = 4096;

/// Requests that a client has under way on one connection to hostd, at most. Reason: each is an operation
/// on an instance, which a node does a few of at a time.
pub const HOSTD_PENDING_MAX: usize = 64;

/// Connections that hostd has open, unless it is configured otherwise. Reason: a node has a handful of
/// programs that ask, and each connection costs a file descriptor and a thread.
pub const HOSTD_CONNECTIONS: usize = 64;

/// Connections of one user to hostd, unless it is configured otherwise: a quarter of all, so that one that
/// runs wild leaves room for the others.
pub const HOSTD_CONNECTIONS_PER_UID: usize = 16;

/// Operations that hostd does at a time for one connection of version 2, unless it is configured otherwise.
pub const HOSTD_CALLS: usize = 8;

/// How long a frame may take from its first byte to its last, and the first one from the connection's
/// beginning, unless hostd is configured otherwise; likewise how long an answer may wait to be taken:
/// 5,000 milliseconds. Requests have some 200 bytes and the peer is on the same machine.
pub const HOSTD_FRAME_MS: u64 = 5_000;

/// How long a connection to hostd may say nothing between requests, unless it is configured otherwise:
/// 600,000 milliseconds (10 minutes).
pub const HOSTD_IDLE_MS: u64 = 600_000;

/// How long an operation may take, whatever the client says, unless hostd is configured otherwise: 600,000
/// milliseconds (10 minutes). Volumes are overwritten within one.
pub const HOSTD_CALL_MS: u64 = 600_000;

// --- secrets ---

/// Longest name of an environment variable that a secret is bound to, in bytes. It is the name of a file
/// too, which has 255 at most (`NAME_MAX`, Linux, `include/uapi/linux/limits.h`).
pub const ENV_VAR_MAX: usize = 128;

/// Longest DNS name as text, in bytes: 255 on the wire (RFC 1035, section 2.3.4), of which the length of the
/// first label and the root take two.
pub const DNS_NAME_MAX: usize = 253;

/// Longest name of a header for credentials, in bytes. No real one comes near.
pub const HEADER_NAME_MAX: usize = 128;

/// Longest value of a secret, in bytes: 8,192. Web servers take no longer header (nginx, Apache).
pub const SECRET_VALUE_MAX: usize = 8192;

// --- virtual machines ---

/// Longest id of a virtual machine that its backend gives, in bytes. A container's has 64.
pub const VM_ID_MAX: usize = 128;

/// Longest path, in bytes, without the NUL: `PATH_MAX` (Linux, `include/uapi/linux/limits.h`) less one.
pub const PATH_MAX: usize = 4095;

/// Longest name of a file, in bytes: `NAME_MAX` (Linux, `include/uapi/linux/limits.h`).
pub const FILE_NAME_MAX: usize = 255;

// --- guest ---

/// Longest request or answer of the control vocabulary: 65,536 bytes.
///
/// Everything of this crate's own fits 2 KiB; the rest is for a fleet's extension messages. It is
/// a quarter of [`FRAME_BODY_MAX`], so that a control message always fits a frame.
pub const CONTROL_MESSAGE_MAX: usize = 64 * 1024;

/// Most components in one status: 16.
///
/// A report is held without a heap on both sides, at up to 40 bytes a component.
pub const STATUS_COMPONENTS_MAX: usize = 16;

/// Longest name of a component in a status: 32 bytes of printable ASCII.
///
/// Enough for the name of a system service; it is shown to people and matched by programs.
pub const COMPONENT_NAME_MAX: usize = 32;

/// Bytes of the hash of secrets or of a lock file, at most. Reason: SHA-512 in hexadecimal has 128.
pub const HASH_TEXT_MAX: usize = 128;

/// Bytes of a JSON document that are read, at most: 256 MiB. Reason: a desired state of 100,000
/// pools has some 80 MB. It is a limit of the text, not of memory: reading takes up to some 20 times the text
/// at its peak (measured with a list of empty texts; of the shortest routes there can be, 7 times). Whoever
/// reads texts of strangers looks at their length before.
pub const DOCUMENT_MAX: usize = 256 * 1024 * 1024;

/// Bytes of a document that is stored on a node, at most: 1 MiB. They have some kilobytes; a file of more was
/// not written by a program of the fleet.
pub const STORED_DOCUMENT_MAX: usize = 1024 * 1024;

/// Problems, and warnings, that are kept of one document; the others are counted. Reason: nobody
/// reads more, and a hostile document of 256 MiB could have millions.
pub const PROBLEMS_MAX: usize = 1000;

/// Characters of a member's name that the path of a problem shows, at most: 128. Reason: a name may be as
/// long as its document, and a thousand problems may be below it.
pub const PATH_NAME_MAX: usize = 128;

/// Bytes of the parser's words that a problem holds, at most: 1,024. Reason: they may quote a value as long
/// as its document.
pub const PARSER_WORDS_MAX: usize = 1024;

/// Bytes of a route's path prefix, at most: 1,024. Reason: no real one comes near; and of a path of any
/// length no more than this needs to be looked at.
pub const PATH_PREFIX_MAX: usize = 1024;

/// How many instances of a pool may be wanted in each status: 100. Reason: 0.13.0's limit, which it did not
/// enforce.
pub const DESIRED_PER_STATE_MAX: u32 = 100;

// --- audit logs ---

/// Longest line of an audit log, in bytes, without its newline: 262,144 (256 KiB). Reason: an entry of 0.13.0 has
/// some 200 bytes, and some KiB with threats; a verifier holds no more than one line.
pub const AUDIT_LINE_MAX: usize = 256 * 1024;

/// Bytes of a file beside an audit log: 1,024. Reason: what it says takes 620 at most, and has one length, so that
/// it is overwritten in place; within one page, which is written as a whole.
pub const AUDIT_SIDECAR_LEN: usize = 1024;
