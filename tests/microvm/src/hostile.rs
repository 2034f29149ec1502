//! The ports of the hostile guest, and what it does there.

/// Closes at once.
pub const CLOSES: u32 = 7001;
/// Sends bytes that are no frame.
pub const GARBAGE: u32 = 7002;
/// Sends the length of a frame that is too long, and goes on sending.
pub const OVERSIZE: u32 = 7003;
/// Says nothing.
pub const SILENT: u32 = 7004;
/// Sends the length of a frame, and then a byte each second.
pub const DRIPS: u32 = 7005;
/// Makes the handshake and then sends what is no frame of the session.
pub const GARBAGE_LATER: u32 = 7006;
/// Makes the handshake with another key than the one that was provisioned.
pub const OTHER_KEY: u32 = 7007;
/// Makes the handshake with a signature that does not fit.
pub const FORGED: u32 = 7008;
/// Makes the handshake and then sends frames of the session without end.
pub const ENDLESS: u32 = 7009;
/// Sends frames without end in the place of its hello.
pub const FLOOD: u32 = 7010;
/// Makes the handshake, announces the longest frame, and sends a byte of it each second.
pub const DRIPS_LATER: u32 = 7011;
/// Makes the handshake and closes the stream when the first request comes.
pub const CUTS: u32 = 7012;

/// All of them.
pub const PORTS: [u32; 12] = [
    CLOSES,
    GARBAGE,
    OVERSIZE,
    SILENT,
    DRIPS,
    GARBAGE_LATER,
    OTHER_KEY,
    FORGED,
    ENDLESS,
    FLOOD,
    DRIPS_LATER,
    CUTS,
];
