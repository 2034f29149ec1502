//! What the init has in common with the programs that talk to it: its command line and the messages of
//! its own. Pure: no system call is made here.
#![cfg_attr(not(test), no_std)]

pub mod cmdline;
pub mod messages;
pub mod proc;
