//! `config`: the user's `config.toml`, and where files of the user are.

use alloc::string::ToString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use mvm_core::config::{Directory, Settings};
use mvm_core::user_config::{ConfigFile, Key, UnknownKey, UserConfigError, config_path};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::style::{BAD, BOLD, DIM, visible};

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show the value of a key, or all of them. A value that there is none of is `none`.
    ///
    /// Where the file does not exist, or has no such line, it is the default. Nothing is written.
    ///
    /// Exit code: 0 if it was read, 1 if the file is wrong or there is no such key, 2 if it could not be read.
    ///
    /// With --json: {"ok", "file", "exists", "key", "value"}, and without a key {"ok", "file", "exists", "values": {key:
    /// value}}; a value that there is none of is null. Where it is wrong or could not be read: {"ok": false, "error",
    /// "file", "line", "column"}; line and column, both from 1, are null where there is no place.
    Get(GetArgs),
    /// Set a key; everything else of the file stays as it is.
    ///
    /// For texts and the port, `none` and an empty value are no value. The file is created if there is none, and replaced
    /// as a whole or not at all.
    ///
    /// Exit code: 0 if it is set, 1 if the file is wrong or there is no such key or value, 2 if it could not be read or
    /// written.
    ///
    /// With --json: {"ok", "file", "key", "value"}; where it was not set, as `config get` has it.
    Set(SetArgs),
    /// Show where the file and the user's directories are, each with what decided it.
    ///
    /// Exit code: 0 if all are known, 1 if not.
    ///
    /// With --json: {"ok", "file", "exists", "error", "directories": [{"name", "path", "source": "variable" | "xdg" |
    /// "default", "variable", "error"}]}; of a place that is not known, everything but the error is null.
    Path,
}

#[derive(Args)]
pub(crate) struct GetArgs {
    /// The key.
    key: Option<String>,
    /// The file. By default it is where `config path` says.
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct SetArgs {
    /// The key.
    key: String,
    /// Its value.
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// The file. By default it is where `config path` says.
    #[arg(long)]
    file: Option<PathBuf>,
}

pub(crate) fn run(command: &ConfigCommand, json: bool) -> ExitCode {
    let done = match command {
        ConfigCommand::Get(args) => get(args, json),
        ConfigCommand::Set(args) => set(args, json),
        ConfigCommand::Path => Ok(path(json)),
    };
    done.unwrap_or_else(|failure| failure.tell(json))
}

fn get(args: &GetArgs, json: bool) -> Result<ExitCode, Failure> {
    let file = read(args.file.as_deref())?;
    let values = values(&file)?;
    let mut document = json!({ "ok": true, "file": file.path(), "exists": file.exists() });
    match &args.key {
        Some(name) => {
            let key = known(name, file.path())?;
            let value = values.get(key.as_str()).unwrap_or(&Value::Null);
            if json {
                add(&mut document, "key", key.as_str());
                add(&mut document, "value", value.clone());
            } else {
                outln!("{}", shown(value));
            }
        }
        None if json => add(&mut document, "values", values),
        None => {
            for key in Key::ALL {
                let value = values.get(key.as_str()).unwrap_or(&Value::Null);
                outln!("{key} = {}", shown(value));
            }
        }
    }
    if json {
        outln!("{document:#}");
    }
    Ok(ExitCode::SUCCESS)
}

fn set(args: &SetArgs, json: bool) -> Result<ExitCode, Failure> {
    let mut file = read(args.file.as_deref())?;
    let key = known(&args.key, file.path())?;
    let path = file.path().to_path_buf();
    file.set(&args.key, &args.value)
        .and_then(|()| file.save())
        .map_err(|error| failed(&error, Some(&path)))?;
    let values = values(&file)?;
    let value = values.get(key.as_str()).unwrap_or(&Value::Null);
    if json {
        let document = json!({ "ok": true, "file": path, "key": key.as_str(), "value": value });
        outln!("{document:#}");
    } else {
        outln!(
            "{key} = {} {DIM}{}{DIM:#}",
            shown(value),
            visible(&path.display().to_string())
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: Option<&Path>) -> Result<ConfigFile, Failure> {
    let path = match file {
        Some(file) => file.to_path_buf(),
        None => config_path(None).map_err(|error| failed(&error, None))?,
    };
    ConfigFile::read(&path).map_err(|error| failed(&error, Some(&path)))
}

fn known(name: &str, file: &Path) -> Result<Key, Failure> {
    name.parse().map_err(|error: UnknownKey| {
        placed(Failure::no(error), Some(file), Value::Null, Value::Null)
    })
}

fn failed(error: &UserConfigError, file: Option<&Path>) -> Failure {
    let (line, column) = match error {
        UserConfigError::Toml { error, .. } => {
            (error.position.line.into(), error.position.column.into())
        }
        _ => (Value::Null, Value::Null),
    };
    let failure = match error {
        UserConfigError::Toml { .. }
        | UserConfigError::NotUnicode { .. }
        | UserConfigError::TooLong { .. }
        | UserConfigError::Set(_)
        | UserConfigError::Uneditable { .. } => Failure::no(error),
        _ => Failure::untried(error),
    };
    placed(failure, file, line, column)
}

fn placed(failure: Failure, file: Option<&Path>, line: Value, column: Value) -> Failure {
    failure
        .with("file", json!(file))
        .with("line", line)
        .with("column", column)
}

/// Every key with its value, null for none.
fn values(file: &ConfigFile) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(file.config()) {
        Ok(Value::Object(values)) => Ok(values),
        Ok(_) => Ok(Map::new()),
        Err(error) => Err(Failure::untried(error)),
    }
}

fn add(document: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
}

/// As `config set` takes it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => visible(text),
        value => value.to_string(),
    }
}

fn path(json: bool) -> ExitCode {
    let settings = Settings::of_process();
    let mut ok = true;
    let mut rows = Vec::new();
    for directory in Directory::ALL {
        let name = directory.to_string();
        let mut row = json!({
            "name": name, "path": null, "source": null, "variable": null, "error": null,
        });
        match settings.locate(directory) {
            Ok((path, source)) => {
                let (kind, variable) = crate::doctor::source(source);
                add(&mut row, "path", json!(path));
                add(&mut row, "source", kind);
                add(&mut row, "variable", json!(variable));
                if !json {
                    let path = visible(&path.display().to_string());
                    outln!("{name:<6} {BOLD}{path}{BOLD:#} {DIM}{source}{DIM:#}");
                }
            }
            Err(error) => {
                ok = false;
                add(&mut row, "error", error.to_string());
                if !json {
                    outln!("{name:<6} {BAD}{}{BAD:#}", visible(&error.to_string()));
                }
            }
        }
        rows.push(row);
    }
    let mut document = json!({ "ok": ok, "file": null, "exists": null, "error": null });
    match settings.user_config_path() {
        Ok(file) => {
            let exists = file.exists();
            let word = if exists { "exists" } else { "not there yet" };
            if !json {
                let path = visible(&file.display().to_string());
                outln!("file   {BOLD}{path}{BOLD:#} {DIM}{word}{DIM:#}");
            }
            add(&mut document, "file", json!(file));
            add(&mut document, "exists", exists);
        }
        Err(error) => {
            ok = false;
            add(&mut document, "ok", false);
            add(&mut document, "error", error.to_string());
            if !json {
                outln!("file   {BAD}{}{BAD:#}", visible(&error.to_string()));
            }
        }
    }
    if json {
        add(&mut document, "directories", rows);
        outln!("{document:#}");
    }
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
