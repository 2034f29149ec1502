//! The user's `config.toml`.
//!
//! - **Reading** is strict about what it knows and keeps what it does not: a key of this crate
//!   with a wrong value, and text that is no TOML, are errors with line and column, never silent
//!   defaults; other keys are ignored.
//! - **Editing** changes the value it is asked to change. Everything else of the file stays as it
//!   was, byte for byte: unknown keys, comments, order, white space.
//! - **Saving** replaces the file as a whole or not at all, keeps its owner and mode, follows a symbolic
//!   link instead of replacing it, and refuses if the file has changed since it was read.
//! - A call that fails leaves the file untouched.
//!
//! Where the file is: [`config`](crate::config#the-users-file).
//!
//! | key | value | default |
//! | --- | --- | --- |
//! | `lima_cpus` | CPUs of the Lima VM, 1 to 4294967295 | 8 |
//! | `lima_mem_gib` | memory of the Lima VM in GiB, 1 to 4294967295 | 16 |
//! | `default_cpus` | CPUs of a microVM, 1 to 4294967295 | 2 |
//! | `default_memory_mib` | memory of a microVM in MiB, 1 to 4294967295 | 512 |
//! | `log_format` | text; `human` and `json` are known | none: as `human` |
//! | `metrics_port` | TCP port of the metrics, 1 to 65535; 0 is none | none: no endpoint |
//! | `catalog_url` | text: where a remote image catalog is | none: the bundled one |
//!
//! ```
//! use mvm_core::user_config::ConfigFile;
//!
//! # let directory = std::env::temp_dir().join(format!("mvm-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! let path = directory.join("config.toml");
//! std::fs::write(&path, "# mine\ndefault_cpus = 4 # enough\nshiny = true\n")?;
//!
//! let mut file = ConfigFile::read(&path)?;
//! assert_eq!(file.config().default_cpus, 4);
//! file.set("default_cpus", "6")?;
//! file.set("log_format", "json")?;
//! file.save()?;
//! assert_eq!(
//!     std::fs::read_to_string(&path)?,
//!     "# mine\ndefault_cpus = 6 # enough\nshiny = true\nlog_format = \"json\"\n",
//! );
//! # std::fs::remove_dir_all(&directory)?;
//!
//! let error = mvm_core::user_config::MvmConfig::from_toml("\nlima_cpus = \"many\"\n").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "line 2, column 13: lima_cpus: a whole number from 1 to 4294967295 is wanted, not a string",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod file;
mod key;
mod lock;
mod text;
mod values;

pub use super::atomic::{WriteError, WriteStep};
pub use file::{ConfigFile, UserConfigError, config_path, load, save};
pub use key::{Key, SetError, UnknownKey, set_key};
pub use text::{Position, TomlError, TomlProblem};
pub use values::MvmConfig;
