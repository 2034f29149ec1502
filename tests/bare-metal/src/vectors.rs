//! The vectors of `tests/vectors`, as the build script found them.

include!(concat!(env!("OUT_DIR"), "/vectors.rs"));
