//! What the environment and the user decide: the Firecracker version, directories, production mode,
//! and the file `config.toml` ([`user_config`](crate::user_config)).
//!
//! This page is the reference of every variable, path and fallback. [`Settings`] resolves them from
//! any source of variables; the functions of this module, which bear 0.13.0's names, from the
//! environment of the process. Nothing is cached: each call looks again.
//!
//! # Variables
//! A variable that is empty counts as unset, and so does one that is not UTF-8; what 0.13.0 did.
//!
//! | variable | what | if unset |
//! | --- | --- | --- |
//! | `MVM_FC_VERSION` at run time | the Firecracker version, in any form that [`normalize_fc_version`] reads; one without a version counts as unset | [`FC_VERSION_DEFAULT`] |
//! | `MVM_FC_VERSION` when this crate is built | [`FC_VERSION_DEFAULT`]; a text that is no version stops the build | `v1.14.1` |
//! | `MVM_PRODUCTION` | `1` or `true` in any case: production mode. Everything else, `yes` and `on` too: not | not |
//! | `MVM_DATA_DIR` | the data directory | below `HOME` |
//! | `MVM_CACHE_DIR`, `MVM_CONFIG_DIR`, `MVM_STATE_DIR`, `MVM_SHARE_DIR` | that directory itself | the XDG variable |
//! | `XDG_CACHE_HOME`, `XDG_CONFIG_HOME`, `XDG_STATE_HOME`, `XDG_DATA_HOME` | its parent | below `HOME` |
//! | `HOME` | where the directories are that nothing else names | an error if one of them is asked for |
//!
//! # Directories
//! The first that is set wins. None of them is created here.
//!
//! | directory | first | then | then |
//! | --- | --- | --- | --- |
//! | [`Data`](Directory::Data) | `$MVM_DATA_DIR` | | `$HOME/.mvm` |
//! | [`Cache`](Directory::Cache) | `$MVM_CACHE_DIR` | `$XDG_CACHE_HOME/mvm` | `$HOME/.cache/mvm` |
//! | [`Config`](Directory::Config) | `$MVM_CONFIG_DIR` | `$XDG_CONFIG_HOME/mvm` | `$HOME/.config/mvm` |
//! | [`State`](Directory::State) | `$MVM_STATE_DIR` | `$XDG_STATE_HOME/mvm` | `$HOME/.local/state/mvm` |
//! | [`Share`](Directory::Share) | `$MVM_SHARE_DIR` | `$XDG_DATA_HOME/mvm` | `$HOME/.local/share/mvm` |
//!
//! Templates are in `templates` of the data directory, development networks in `networks` of the share
//! directory.
//!
//! A directory is always absolute. A relative `MVM_*_DIR` is an error, because what it names would
//! change with the working directory; a relative `XDG_*` variable is ignored, as the XDG Base Directory
//! Specification demands. `HOME` unset, not UTF-8 or relative is an error as soon as it is needed,
//! and never `/tmp`.
//!
//! # The user's file
//! 1. `config.toml` in the directory [`Config`](Directory::Config), if it exists;
//! 2. else `$HOME/.mvm/config.toml`, if that exists (where older programs had it; whatever
//!    `MVM_DATA_DIR` says);
//! 3. else the first again, which is then created.
//!
//! ```
//! use std::ffi::OsString;
//! use std::path::PathBuf;
//!
//! use mvm_core::config::{Directory, DirectoryError, Settings};
//!
//! let settings = Settings::new(|name: &str| match name {
//!     "HOME" => Some(OsString::from("/home/op")),
//!     "XDG_CACHE_HOME" => Some(OsString::from("/var/cache")),
//!     _ => None,
//! });
//! # #[cfg(unix)] {
//! assert_eq!(settings.directory(Directory::Data), Ok(PathBuf::from("/home/op/.mvm")));
//! assert_eq!(settings.directory(Directory::Cache), Ok(PathBuf::from("/var/cache/mvm")));
//! # }
//! assert!(!settings.is_production_mode());
//!
//! let nothing = Settings::new(|_: &str| None);
//! assert_eq!(
//!     nothing.directory(Directory::Data),
//!     Err(DirectoryError::HomeUnset { directory: Directory::Data }),
//! );
//! ```

mod directory;
mod firecracker;
mod places;
mod settings;

pub use directory::{
    Directory, DirectoryError, DirectorySource, mvm_cache_dir, mvm_config_dir, mvm_data_dir,
    mvm_share_dir, mvm_state_dir,
};
pub use firecracker::{
    FC_VERSION_DEFAULT, FcVersion, FcVersionError, fc_version, fc_version_short,
    normalize_fc_version,
};
pub use places::{networks_dir, templates_base_dir};
pub use settings::{ProcessVariables, Settings, Variables, is_production_mode};

/// The architecture of the machine this program was built for, as Firecracker names its assets:
/// `x86_64` or `aarch64` where Firecracker runs.
///
/// ```
/// assert_eq!(mvm_core::config::ARCH, std::env::consts::ARCH);
/// ```
pub const ARCH: &str = std::env::consts::ARCH;
