//! Boots real microVMs and checks, over a real vsock, what the library and the example's init promise.
//!
//! `microvm` (the program) runs scenarios; `inside` holds the programs that run inside of the guests.

pub mod error;
pub mod host;
pub mod hostile;
pub mod initramfs;
pub mod machine;
pub mod modules;
pub mod process;
pub mod qmp;
pub mod scenarios;
pub mod setting;
pub mod tap;
