//! The user's `config.toml` against what 0.13.0 did, and what happens to the file.
#![cfg(feature = "config")]
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "common/vectors.rs"]
mod vectors;

use std::fs;
use std::path::Path;

use mvm_core::config::{Settings, Variables};
use mvm_core::user_config::{
    self, ConfigFile, Key, MvmConfig, Position, SetError, TomlProblem, UserConfigError, set_key,
};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;
use vectors::{behaviour, rows, text};

const DEFAULTS: &str =
    "lima_cpus = 8\nlima_mem_gib = 16\ndefault_cpus = 2\ndefault_memory_mib = 512\n";

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Sets keys in a text through a file, and gives the text that was saved.
fn edited(before: &str, settings: &[(&str, &str)]) -> String {
    let directory = directory();
    let path = directory.path().join("config.toml");
    fs::write(&path, before).unwrap();
    let mut file = ConfigFile::read(&path).unwrap();
    for (key, value) in settings {
        file.set(key, value).unwrap();
    }
    file.save().unwrap();
    assert_eq!(names(directory.path()), ["config.toml"]);
    let after = fs::read_to_string(&path).unwrap();
    assert_eq!(after, file.text());
    after
}

#[test]
fn documents_of_0_13_0() {
    for (folder, count) in [("toml", 4), ("toml_min", 9)] {
        let rows = rows(&format!("{folder}/MvmConfig.jsonl"));
        assert_eq!(rows.len(), count, "{folder}");
        for row in rows {
            let doc = text(&row, "doc");
            let full = row.get("full").and_then(Value::as_str).unwrap_or(doc);
            let config = MvmConfig::from_toml(doc).unwrap();
            assert_eq!(config.to_toml(), full, "{row}");
            let value: Value = serde_json::from_str(text(&row, "json")).unwrap();
            assert_eq!(serde_json::to_value(&config).unwrap(), value, "{row}");
            // The same through serde, in both formats.
            assert_eq!(toml::from_str::<MvmConfig>(doc).unwrap(), config);
            assert_eq!(serde_json::from_value::<MvmConfig>(value).unwrap(), config);
            assert_eq!(toml::to_string(&config).unwrap(), full);
        }
    }
}

#[test]
fn documents_that_0_13_0_refused() {
    let rows = rows("toml_bad/MvmConfig.jsonl");
    assert_eq!(rows.len(), 7);
    for row in rows {
        let doc = text(&row, "doc");
        let (line, column) = match text(&row, "case") {
            "bool-for-port" => (1, 16),
            "duplicate-key" => (2, 1),
            "int-for-string" => (1, 14),
            "negative" | "string-for-int" => (1, 16),
            // Two keys without a dot between them.
            "syntax" => (1, 5),
            "unterminated" => (1, 19),
            other => panic!("{other}"),
        };
        let error = MvmConfig::from_toml(doc).unwrap_err();
        assert_eq!(error.position, Position { line, column }, "{row}: {error}");
        assert!(toml::from_str::<MvmConfig>(doc).is_err(), "{row}");
    }
}

#[test]
fn keys_of_0_13_0() {
    for row in behaviour("config_set_key", 66) {
        let before: MvmConfig = serde_json::from_value(row["before"].clone()).unwrap();
        let after: MvmConfig = serde_json::from_value(row["after"].clone()).unwrap();
        let (key, value) = (text(&row, "key"), text(&row, "value"));
        let mut config = before.clone();
        let result = set_key(&mut config, key, value);
        assert_eq!(Value::from(result.is_ok()), row["ok"], "{row}");
        assert_eq!(config, after, "{row}");
        // The same through a file.
        let directory = directory();
        let path = directory.path().join("config.toml");
        fs::write(&path, before.to_toml()).unwrap();
        let mut file = ConfigFile::read(&path).unwrap();
        assert_eq!(file.set(key, value).is_ok(), result.is_ok());
        file.save().unwrap();
        assert_eq!(*ConfigFile::read(&path).unwrap().config(), after, "{row}");
        assert_eq!(fs::read_to_string(&path).unwrap(), after.to_toml(), "{row}");
    }
}

#[test]
fn files_of_0_13_0() {
    let mut wrong = 0;
    for row in behaviour("config_load", 7) {
        let directory = directory();
        let path = directory.path().join("config.toml");
        if let Some(content) = row["file"].as_str() {
            fs::write(&path, content).unwrap();
        }
        let loaded = user_config::load(Some(directory.path()));
        match row["file"].as_str() {
            // 0.13.0 took the defaults and said nothing.
            Some("not toml =" | "default_cpus = \"four\"\n") => {
                assert!(
                    matches!(loaded, Err(UserConfigError::Toml { .. })),
                    "{loaded:?}"
                );
                wrong += 1;
            }
            _ => {
                let config = serde_json::from_value::<MvmConfig>(row["loaded"].clone()).unwrap();
                assert_eq!(loaded.unwrap(), config, "{row}");
            }
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text(&row, "file_after"));
        assert_eq!(names(directory.path()), ["config.toml"]);
    }
    assert_eq!(wrong, 2);
}

#[test]
fn names_are_those_of_the_document() {
    let value = serde_json::to_value(MvmConfig::default()).unwrap();
    let mut names: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut keys = Key::ALL.map(Key::as_str);
    names.sort_unstable();
    keys.sort_unstable();
    assert_eq!(names, keys);
}

#[test]
fn errors_have_line_and_column() {
    for (text, message) in [
        (
            "# é\n\ndefault_cpus = \"4\"\n",
            "line 3, column 16: default_cpus: a whole number from 1 to 4294967295 is wanted, not a string",
        ),
        (
            "default_cpus = 0",
            "line 1, column 16: default_cpus: a whole number from 1 to 4294967295 is wanted, not 0",
        ),
        (
            "lima_cpus = 4294967296",
            "line 1, column 13: lima_cpus: a whole number from 1 to 4294967295 is wanted, not 4294967296",
        ),
        (
            "metrics_port = 65536",
            "line 1, column 16: metrics_port: a port from 0 (none) to 65535 is wanted, not 65536",
        ),
        (
            "catalog_url = [\n]\nlima_cpus = -1",
            "line 1, column 15: catalog_url: a string is wanted, not an array",
        ),
        (
            "x = \"é\"\n  lima_mem_gib = 1.5",
            "line 2, column 18: lima_mem_gib: a whole number from 1 to 4294967295 is wanted, not a floating-point number",
        ),
        (
            "[lima_cpus]\nx = 1",
            "line 1, column 2: lima_cpus: a whole number from 1 to 4294967295 is wanted, not a table",
        ),
        (
            "[[log_format]]\nx = 1",
            "line 1, column 3: log_format: a string is wanted, not an array of tables",
        ),
        (
            "log_format.x = 1",
            "line 1, column 1: log_format: a string is wanted, not a table",
        ),
        (
            "log_format = 2026-01-01",
            "line 1, column 14: log_format: a string is wanted, not a date",
        ),
    ] {
        let error = MvmConfig::from_toml(text).unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn port_zero_is_none() {
    let config = MvmConfig::from_toml("metrics_port = 0").unwrap();
    assert_eq!(config.metrics_port, None);
    assert_eq!(
        toml::from_str::<MvmConfig>("metrics_port = 0").unwrap(),
        config
    );
    let zero = MvmConfig {
        metrics_port: Some(0),
        ..MvmConfig::default()
    };
    assert_eq!(zero.to_toml(), DEFAULTS);
}

#[test]
fn an_edit_leaves_the_rest_alone() {
    for (before, settings, after) in [
        // Comments, order, white space and unknown keys.
        (
            "# top\n\nshiny = {a=1,  b = [ 2 ]} # s\n  default_cpus   =  0x2   # why\n# end",
            &[("default_cpus", "4")][..],
            "# top\n\nshiny = {a=1,  b = [ 2 ]} # s\n  default_cpus   =  4   # why\n# end",
        ),
        // A new key comes before the first table, or it would be one of the table's.
        (
            "# top\ndefault_cpus = 2 # two\n\n# about a\n[a]\nlima_cpus = 1\n",
            &[("lima_cpus", "4")],
            "# top\ndefault_cpus = 2 # two\nlima_cpus = 4\n\n# about a\n[a]\nlima_cpus = 1\n",
        ),
        (
            "[a]\nb = 1\n",
            &[("lima_cpus", "4")],
            "lima_cpus = 4\n[a]\nb = 1\n",
        ),
        (
            "a.b = 1\n[c]\n",
            &[("lima_cpus", "4")],
            "lima_cpus = 4\na.b = 1\n[c]\n",
        ),
        ("", &[("log_format", "json")], "log_format = \"json\"\n"),
        ("a = 1", &[("lima_cpus", "4")], "a = 1\nlima_cpus = 4\n"),
        // A value that is gone takes its line with it, but no comment.
        (
            "# one\nmetrics_port = 1\n# two\nlima_cpus = 1\n",
            &[("metrics_port", "none")],
            "# one\n# two\nlima_cpus = 1\n",
        ),
        (
            "  metrics_port = 1 # mine\nlima_cpus = 1\n",
            &[("metrics_port", "0")],
            "# mine\nlima_cpus = 1\n",
        ),
        ("log_format = '''\na\nb'''", &[("log_format", "")], ""),
        (
            "metrics_port = 0\n",
            &[("metrics_port", "0")],
            "metrics_port = 0\n",
        ),
        // Ends of lines as the file has them; a byte order mark stays in front.
        (
            "a = 1\r\n",
            &[("lima_cpus", "4")],
            "a = 1\r\nlima_cpus = 4\r\n",
        ),
        (
            "\u{feff}[a]\n",
            &[("lima_cpus", "4")],
            "\u{feff}lima_cpus = 4\n[a]\n",
        ),
        (
            "\u{feff}metrics_port = 1\na = 1",
            &[("metrics_port", "")],
            "\u{feff}a = 1",
        ),
        // Quoted keys, and text that needs quoting.
        (
            "\"catalog_url\" = \"a\"\n",
            &[("catalog_url", "\"q\"\n\\é")],
            "\"catalog_url\" = '''\n\"q\"\n\\é'''\n",
        ),
        // What a key is already set to is not written in another way.
        (
            "lima_cpus = 1_0\n",
            &[("lima_cpus", "10")],
            "lima_cpus = 1_0\n",
        ),
    ] {
        assert_eq!(edited(before, settings), after, "{before:?}");
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let directory = directory();
    let path = directory.path().join("config.toml");
    let before = "default_cpus = 4 # four\n";
    fs::write(&path, before).unwrap();
    let mut file = ConfigFile::read(&path).unwrap();
    let error = file.set("default_cpus", "0").unwrap_err();
    assert!(matches!(
        error,
        UserConfigError::Set(SetError::Value {
            key: Key::DefaultCpus,
            ..
        })
    ));
    let error = file.set("Default_cpus", "1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"Default_cpus\" is no key; there are lima_cpus, lima_mem_gib, default_cpus, \
         default_memory_mib, log_format, metrics_port, catalog_url"
    );
    let zero = MvmConfig {
        log_format: Some("json".into()),
        default_memory_mib: 0,
        ..MvmConfig::default()
    };
    assert!(matches!(file.set_all(&zero), Err(UserConfigError::Set(_))));
    assert_eq!(file.text(), before);
    assert!(user_config::save(&zero, Some(directory.path())).is_err());
    file.save().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
}

#[test]
fn saving_keeps_what_only_the_file_knows() {
    let directory = directory();
    let path = directory.path().join("config.toml");
    fs::write(
        &path,
        "# mine\nshiny = true\ndefault_cpus = 4\nmetrics_port = 1\n",
    )
    .unwrap();
    let mut config = user_config::load(Some(directory.path())).unwrap();
    config.default_cpus = 6;
    config.metrics_port = None;
    config.catalog_url = Some("file:///c".into());
    user_config::save(&config, Some(directory.path())).unwrap();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "# mine\nshiny = true\ndefault_cpus = 6\ncatalog_url = \"file:///c\"\n"
    );
    assert_eq!(user_config::load(Some(directory.path())).unwrap(), config);
    // A wrong file is not overwritten.
    fs::write(&path, "lima_cpus = \n").unwrap();
    let error = user_config::save(&config, Some(directory.path())).unwrap_err();
    assert!(matches!(&error, UserConfigError::Toml { error, .. }
        if matches!(error.problem, TomlProblem::Syntax(_)) && error.position.line == 1));
    assert_eq!(fs::read_to_string(&path).unwrap(), "lima_cpus = \n");
}

#[test]
fn a_file_that_has_changed_is_not_overwritten() {
    let directory = directory();
    let path = directory.path().join("below").join("config.toml");
    // Both see that there is no file.
    let (mut first, mut second) = (
        ConfigFile::read(&path).unwrap(),
        ConfigFile::read(&path).unwrap(),
    );
    assert!(!first.exists());
    first.set("lima_cpus", "1").unwrap();
    first.save().unwrap();
    second.set("lima_mem_gib", "1").unwrap();
    assert!(matches!(
        second.save(),
        Err(UserConfigError::Changed { .. })
    ));
    assert_eq!(*ConfigFile::read(&path).unwrap().config(), *first.config());
    // It goes on from its own write.
    first.set("lima_cpus", "2").unwrap();
    first.save().unwrap();
    assert_eq!(ConfigFile::read(&path).unwrap().config().lima_cpus, 2);
    fs::remove_file(&path).unwrap();
    first.set("lima_cpus", "3").unwrap();
    assert!(matches!(first.save(), Err(UserConfigError::Changed { .. })));
    assert!(!path.exists());
}

/// Every one of many concurrent edits is in the end there: those that lost the race try again.
#[test]
fn concurrent_edits_are_not_lost() {
    let directory = directory();
    let path = directory.path().join("config.toml");
    let keys = [
        "lima_cpus",
        "lima_mem_gib",
        "default_cpus",
        "default_memory_mib",
    ];
    std::thread::scope(|scope| {
        for key in keys {
            let path = &path;
            scope.spawn(move || {
                for value in 1..=10 {
                    loop {
                        let mut file = ConfigFile::read(path).unwrap();
                        file.set(key, &value.to_string()).unwrap();
                        match file.save() {
                            Ok(()) => break,
                            Err(UserConfigError::Changed { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let config = ConfigFile::read(&path).unwrap().config().clone();
    let values = [
        config.lima_cpus,
        config.lima_mem_gib,
        config.default_cpus,
        config.default_memory_mib,
    ];
    assert_eq!(values, [10; 4]);
    assert_eq!(names(directory.path()), ["config.toml"]);
}

#[test]
fn files_that_are_none_of_ours() {
    let directory = directory();
    let path = directory.path().join("config.toml");
    fs::write(&path, b"# \xff\n").unwrap();
    let error = ConfigFile::read(&path).unwrap_err();
    assert!(matches!(
        error,
        UserConfigError::NotUnicode { offset: 2, .. }
    ));
    fs::write(&path, "#".repeat(1 << 20)).unwrap();
    assert!(ConfigFile::read(&path).is_ok());
    fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    let error = ConfigFile::read(&path).unwrap_err();
    assert!(matches!(error, UserConfigError::TooLong { .. }));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = user_config::load(Some(directory.path())).unwrap_err();
    assert!(matches!(error, UserConfigError::Read { .. }), "{error}");
}

#[cfg(unix)]
fn settings(home: &Path, config: Option<&Path>) -> Settings<impl Variables + use<>> {
    let (home, config) = (home.to_path_buf(), config.map(Path::to_path_buf));
    Settings::new(move |name: &str| match name {
        "HOME" => Some(home.clone().into()),
        "MVM_CONFIG_DIR" => config.clone().map(Into::into),
        _ => None,
    })
}

#[cfg(unix)]
#[test]
fn where_the_file_is() {
    let home = directory();
    let other = directory();
    let path = |config: Option<&Path>| settings(home.path(), config).user_config_path().unwrap();
    let xdg = home.path().join(".config/mvm/config.toml");
    let older = home.path().join(".mvm/config.toml");
    assert_eq!(path(None), xdg);
    fs::create_dir_all(older.parent().unwrap()).unwrap();
    fs::write(&older, "").unwrap();
    assert_eq!(path(None), older);
    assert_eq!(path(Some(other.path())), older);
    fs::create_dir_all(xdg.parent().unwrap()).unwrap();
    fs::write(&xdg, "").unwrap();
    assert_eq!(path(None), xdg);
    fs::write(other.path().join("config.toml"), "").unwrap();
    assert_eq!(path(Some(other.path())), other.path().join("config.toml"));
    // Without a home there is no older file, and with neither no file.
    let own = other.path().to_path_buf();
    let homeless = Settings::new(move |name: &str| {
        (name == "MVM_CONFIG_DIR").then(|| own.clone().into_os_string())
    });
    assert!(homeless.user_config_path().is_ok());
    let nothing = Settings::new(|_: &str| None);
    assert!(matches!(
        nothing.user_config_path(),
        Err(UserConfigError::Directory(_))
    ));
    assert_eq!(
        user_config::config_path(Some(other.path())).unwrap(),
        other.path().join("config.toml")
    );
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set(path: &Path, value: &str) -> Result<(), UserConfigError> {
        let mut file = ConfigFile::read(path)?;
        file.set("lima_cpus", value)?;
        file.save()
    }

    #[test]
    fn the_mode_stays_and_the_file_is_another() {
        let directory = directory();
        let path = directory.path().join("config.toml");
        for bits in [0o600, 0o640, 0o444, 0o666, 0o755] {
            let _ = fs::remove_file(&path);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            let before = fs::File::open(&path).unwrap();
            set(&path, "3").unwrap();
            assert_eq!(mode(&path), bits);
            assert_ne!(
                before.metadata().unwrap().ino(),
                fs::metadata(&path).unwrap().ino()
            );
            assert_eq!(before.metadata().unwrap().len(), 0);
        }
    }

    #[test]
    fn a_new_file_is_as_any_other() {
        let directory = directory();
        let (ours, other) = (
            directory.path().join("config.toml"),
            directory.path().join("x"),
        );
        set(&ours, "3").unwrap();
        fs::write(&other, "").unwrap();
        // What the umask leaves of 644.
        assert_eq!(mode(&ours), mode(&other) & 0o644);
    }

    #[test]
    fn a_link_stays_and_its_target_is_replaced() {
        let directory = directory();
        let real = directory.path().join("real");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("c"), "a = 1\n").unwrap();
        // Relative, through a second link, in another directory.
        symlink("real/b", directory.path().join("config.toml")).unwrap();
        symlink("c", real.join("b")).unwrap();
        let path = directory.path().join("config.toml");
        set(&path, "3").unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("real/b"));
        assert_eq!(fs::read_link(real.join("b")).unwrap(), Path::new("c"));
        assert_eq!(
            fs::read_to_string(real.join("c")).unwrap(),
            "a = 1\nlima_cpus = 3\n"
        );
        assert_eq!(names(directory.path()), ["config.toml", "real"]);
        assert_eq!(names(&real), ["b", "c"]);
        // One that leads nowhere: the file is created there.
        fs::remove_file(real.join("c")).unwrap();
        set(&path, "4").unwrap();
        assert!(fs::symlink_metadata(real.join("c")).unwrap().is_file());
        // One that leads to itself.
        fs::remove_file(&path).unwrap();
        symlink("config.toml", &path).unwrap();
        assert!(matches!(set(&path, "5"), Err(UserConfigError::Read { .. })));
    }

    #[test]
    fn the_lock_is_waited_for() {
        let directory = directory();
        let path = directory.path().join("config.toml");
        let other = fs::File::open(directory.path()).unwrap();
        rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).unwrap();
        std::thread::scope(|scope| {
            let saving = scope.spawn(|| set(&path, "3"));
            std::thread::sleep(core::time::Duration::from_millis(50));
            assert!(!path.exists());
            drop(other);
            saving.join().unwrap().unwrap();
        });
        assert!(path.exists());
    }
}

fn config() -> impl Strategy<Value = MvmConfig> {
    let count = || prop_oneof![1_u32..9, Just(u32::MAX), 1..u32::MAX];
    let text = || proptest::option::of("\\PC{0,12}|[\"'\\\\\n\t\r\u{0}#=]{0,6}");
    let port = proptest::option::of(1_u16..=u16::MAX);
    (count(), count(), count(), count(), text(), port, text()).prop_map(
        |(lima_cpus, lima_mem_gib, default_cpus, default_memory_mib, log_format, port, url)| {
            MvmConfig {
                lima_cpus,
                lima_mem_gib,
                default_cpus,
                default_memory_mib,
                log_format,
                metrics_port: port,
                catalog_url: url,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn values_survive_the_file(config in config()) {
        let text = config.to_toml();
        prop_assert_eq!(&MvmConfig::from_toml(&text).unwrap(), &config);
        prop_assert_eq!(&toml::from_str::<MvmConfig>(&text).unwrap(), &config);
    }

    /// Whatever a file looks like: after an edit it has the new values, and its other lines.
    #[test]
    fn other_lines_survive_an_edit(
        lines in proptest::collection::vec(0_usize..14, 0..8),
        newline in proptest::sample::select(vec!["\n", "\r\n"]),
        config in config(),
    ) {
        const LINES: [&str; 14] = [
            "# a comment", "", "  # indented", "shiny = true", "x.y = 1 # dotted",
            "lima_cpus = 0x10 # hex", "  log_format = 'a'", "\"metrics_port\" = 1",
            "catalog_url = \"\"\"a\nb\"\"\" # after", "[table]", "[[tables]]", "z = { lima_cpus = 1 }",
            "default_cpus = 1_000", "[table2.lima_cpus]",
        ];
        let before: String = lines.iter().flat_map(|line| [LINES[*line], newline]).collect();
        let directory = directory();
        let path = directory.path().join("config.toml");
        fs::write(&path, &before).unwrap();
        // Doubled keys and the like are no TOML.
        let Ok(mut file) = ConfigFile::read(&path) else { return Ok(()) };
        file.set_all(&config).unwrap();
        file.save().unwrap();
        let after = fs::read_to_string(&path).unwrap();
        prop_assert_eq!(&MvmConfig::from_toml(&after).unwrap(), &config, "{:?}", after);
        let kept = |text: &str| -> Vec<String> {
            text.lines()
                .map(|line| line.trim().to_owned())
                .filter(|line| line.starts_with(['#', 's', 'x', 'z', '[']))
                .collect()
        };
        let mut rest = kept(&after).into_iter();
        for line in kept(&before) {
            prop_assert!(rest.any(|kept| kept == line), "{:?} not in {:?}", line, after);
        }
        for comment in ["# hex", "# after", "# dotted"] {
            prop_assert_eq!(before.contains(comment), after.contains(comment));
        }
    }
}
