//! Keys, and documents that are signed with them.
//!
//! A secret key is only ever in its file: no argument takes one, and no output has one.

pub(crate) mod files;
mod keygen;
mod sign;
mod trusted;
mod verify;

pub(crate) use self::keygen::{KeygenArgs, keygen};
pub(crate) use self::sign::{SignArgs, sign};
pub(crate) use self::verify::{VerifyArgs, verify};
