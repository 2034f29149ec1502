//! Secret bindings: what a text means, what is shown, and what a guest gets.

use std::collections::BTreeMap;

use mvm_core::document::Document;
use mvm_core::limits::SECRET_VALUE_MAX;
use mvm_core::secret_binding::*;
use mvm_core::text::TextError;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::vectors::{Counts, assert_type, behaviour, text};

const fn counts(json: usize, min: usize, bad: usize) -> Counts {
    let badid = 0;
    Counts {
        json,
        min,
        bad,
        badid,
    }
}

#[test]
fn documents() {
    assert_type::<SecretBinding>("SecretBinding", counts(3, 5, 14));
    assert_type::<ResolvedBinding>("ResolvedBinding", counts(5, 2, 17));
    assert_type::<ResolvedSecrets>("ResolvedSecrets", counts(2, 0, 4));
}

#[test]
fn texts_of_0_13_0() {
    let mut seen = 0;
    for row in behaviour("secret_binding_parse", 11) {
        let parsed = text(&row, "input").parse::<SecretBinding>();
        assert_eq!(row["ok"], parsed.is_ok(), "{row}");
        if let Ok(binding) = parsed {
            assert_eq!(serde_json::to_value(&binding).unwrap(), row["out"]);
            assert_eq!(binding.to_string(), text(&row, "display"));
            assert_eq!(binding.placeholder(), text(&row, "placeholder"));
            assert_eq!(binding.secret_filename(), text(&row, "secret_filename"));
            seen += 1;
        }
    }
    assert_eq!(seen, 5);
    for row in behaviour("defaults", 30) {
        if text(&row, "name") == "SecretBinding::new(K, h)" {
            let new = SecretBinding::new(EnvVar::new("K").unwrap(), TargetHost::new("h").unwrap());
            assert_eq!(serde_json::to_value(&new).unwrap(), row["value"]);
            return;
        }
    }
    panic!("no default");
}

#[test]
fn secrets_of_0_13_0() {
    let mut seen = 0;
    for row in behaviour("secret_resolve", 3) {
        let bindings: Vec<SecretBinding> = serde_json::from_value(row["bindings"].clone()).unwrap();
        let env: BTreeMap<String, String> = serde_json::from_value(row["env"].clone()).unwrap();
        let resolved = ResolvedSecrets::resolve(bindings, |name| env.get(name).cloned());
        assert_eq!(row["ok"], resolved.is_ok(), "{row}");
        let Ok(secrets) = resolved else {
            assert_eq!(
                resolved.unwrap_err().to_string(),
                "MISSING_KEY is not set, and the binding has no value"
            );
            continue;
        };
        assert_eq!(serde_json::to_value(&secrets).unwrap(), row["out"]);
        assert_eq!(secrets.manifest_json(), text(&row, "manifest_json"));
        assert_eq!(
            json!(secrets.placeholder_env_vars()),
            row["placeholder_env_vars"]
        );
        let files = secrets.to_secret_files();
        assert!(files.iter().all(|file| file.mode() == 0o400));
        let files: Vec<_> = files
            .iter()
            .map(|file| (file.name().as_str(), file.secret_content()))
            .collect();
        assert_eq!(json!(files), row["secret_files"]);
        seen += 1;
    }
    assert_eq!(seen, 2);
}

/// Value, host, header.
fn parts(text: &str) -> Result<(Option<String>, String, String), BindingError> {
    let binding: SecretBinding = text.parse()?;
    let value = binding
        .value
        .as_ref()
        .map(|value| value.secret_str().to_owned());
    Ok((
        value,
        binding.target_host.to_string(),
        binding.header.to_string(),
    ))
}

#[test]
fn no_part_of_a_value_becomes_a_host_or_a_header() {
    let host = "api.example.org";
    for value in [
        "sk:1",
        "a:b:c",
        "a=b",
        "==",
        ":",
        ":a",
        "a:",
        "sk:evil.com",
        "sk:evil.com:x-token",
        "sk:evil.com:Authorization",
        "http://u:p@h:80/?a=b",
        "é:ü",
        "a b",
        "sk:10.0.0.7",
    ] {
        let got = parts(&format!("KEY={value}:{host}")).unwrap();
        assert_eq!(
            got,
            (Some(value.into()), host.into(), "Authorization".into())
        );
        for header in [
            "X-Token",
            "x-api-key",
            "Authorization",
            "PRIVATE-TOKEN",
            "cookie",
        ] {
            let got = parts(&format!("KEY={value}:{host}:{header}")).unwrap();
            assert_eq!(got, (Some(value.into()), host.into(), header.into()));
        }
        // Neither a host without a dot nor an unusual header tells where a value with a colon ends.
        if value.contains(':') {
            for rest in [
                "localhost",
                "localhost:X-Token",
                "api.example.org:Credentials",
            ] {
                let text = format!("KEY={value}:{rest}");
                assert_eq!(parts(&text), Err(BindingError::Ambiguous), "{text}");
            }
        }
    }
}

#[test]
fn texts_that_are_refused() {
    use BindingError::{Ambiguous, EnvVar, Header, Host, Shape, Value};
    let wrong = |at| TextError::InvalidCharacter { at };
    for (text, error) in [
        ("", Shape),
        ("KEY", Shape),
        ("KEY=value", Shape),
        ("KEY=", Shape),
        (":host", EnvVar(TextError::Empty)),
        ("=v:host", EnvVar(TextError::Empty)),
        ("1KEY:host", EnvVar(wrong(0))),
        ("../KEY:host", EnvVar(wrong(0))),
        (".KEY:host", EnvVar(wrong(0))),
        ("K/Y:host", EnvVar(wrong(1))),
        ("KÉY:host", EnvVar(wrong(1))),
        ("K Y=v:host", EnvVar(wrong(1))),
        ("KEY:", Host(TextError::Empty)),
        ("KEY=v:", Host(TextError::Empty)),
        ("KEY=v:h.org:", Host(TextError::Empty)),
        ("KEY:a=b", Host(wrong(1))),
        ("KEY:https://h", Header(wrong(0))),
        ("KEY:h_x", Host(wrong(1))),
        ("KEY:-h", Host(wrong(0))),
        ("KEY:a.b-", Host(wrong(3))),
        ("KEY:a..b", Host(wrong(2))),
        ("KEY:a.b.", Host(wrong(4))),
        ("KEY:10.0.0.256", Host(wrong(7))),
        ("KEY:10.1", Host(wrong(3))),
        ("KEY:*.example.org", Host(wrong(0))),
        ("KEY:h:", Header(TextError::Empty)),
        ("KEY:h:8080", Header(wrong(0))),
        ("KEY:h:a.org", Header(wrong(1))),
        ("KEY:h:X-A:b", Header(wrong(3))),
        ("KEY:h:X A", Header(wrong(1))),
        ("KEY:h:X\r\nHost", Header(wrong(1))),
        ("KEY=:host", Value(TextError::Empty)),
        ("KEY=a\r\nHost: evil:h.org", Value(wrong(1))),
        ("KEY=a\0:h.org", Value(wrong(1))),
        ("KEY=v:h:8080", Ambiguous),
        ("KEY=v:h.org:8080", Ambiguous),
        ("KEY=v:::1", Ambiguous),
    ] {
        assert_eq!(parts(text), Err(error), "{text:?}");
    }
    let long = "v".repeat(SECRET_VALUE_MAX);
    assert!(parts(&format!("KEY={long}:h.org")).is_ok());
    let (len, max) = (SECRET_VALUE_MAX + 1, SECRET_VALUE_MAX);
    let error = Value(TextError::TooLong { len, max });
    assert_eq!(parts(&format!("KEY={long}v:h.org")), Err(error));
}

#[test]
fn a_document_is_held_to_the_same_grammar() {
    let json = br#"{"env_var":"../x","target_host":"h:80","header":"A\nB","value":"a\nb"}"#;
    let invalid = SecretBinding::from_json(json).unwrap_err();
    let paths: Vec<_> = invalid.problems().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["env_var", "target_host", "header", "value"]);
    for problem in invalid.problems() {
        assert!(!problem.to_string().contains("a\nb"));
    }
}

#[test]
fn a_secret_is_not_shown() {
    let secret = "hunter2-hunter2";
    let binding: SecretBinding = format!("KEY={secret}:h.org").parse().unwrap();
    let mut shown = vec![
        format!("{binding:?}"),
        format!("{binding:#?}"),
        binding.to_string(),
    ];
    let secrets = ResolvedSecrets::resolve(vec![binding], |_| None).unwrap();
    shown.push(format!("{secrets:?}"));
    shown.push(secrets.manifest_json());
    shown.push(format!("{:?}", secrets.placeholder_env_vars()));
    let files = secrets.to_secret_files();
    assert!(files[0].secret_content().contains(secret));
    shown.push(format!("{files:?}"));
    for wrong in [
        format!("KEY={secret}\n:h.org"),
        format!("KEY={secret}:x:y"),
        format!("KEY={secret}"),
    ] {
        let error = wrong.parse::<SecretBinding>().unwrap_err();
        shown.push(error.to_string());
        shown.push(format!("{error:?}"));
    }
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn two_secrets_never_have_one_file() {
    for (first, second) in [("API_KEY", "api.key"), ("KEY", "Key"), ("A", "A")] {
        let bindings = [first, second]
            .map(|name| format!("{name}=v:h.org").parse().unwrap())
            .into_iter()
            .collect();
        let error = ResolvedSecrets::resolve(bindings, |_| None).unwrap_err();
        let [first, second] = [first, second].map(|name| EnvVar::new(name).unwrap());
        assert_eq!(error, ResolveError::SameFile { first, second });
    }
    let json = r#"{"bindings":[
        {"env_var":"A","target_host":"h","header":"X-A","value":"1"},
        {"env_var":"B","target_host":"h","header":"X-A","value":"2"},
        {"env_var":"a","target_host":"h","header":"X-A","value":"3"},
        {"env_var":"A","target_host":"h","header":"X-A","value":"4"}]}"#;
    let invalid = ResolvedSecrets::from_json(json.as_bytes()).unwrap_err();
    let problems: Vec<_> = invalid.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "bindings[2].env_var: the same as bindings[0].env_var",
            "bindings[3].env_var: the same as bindings[0].env_var",
        ]
    );
}

#[test]
fn a_value_from_the_environment_is_checked() {
    let bindings = vec!["KEY:h.org".parse().unwrap()];
    let error = ResolvedSecrets::resolve(bindings, |_| Some("v\n".to_owned())).unwrap_err();
    let env_var = EnvVar::new("KEY").unwrap();
    let error_of_text = TextError::InvalidCharacter { at: 1 };
    assert_eq!(
        error,
        ResolveError::Value {
            env_var,
            error: error_of_text
        }
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_value_is_whole_or_the_text_is_refused(
        value in "[a-zA-Z0-9:=.\\-\"\\\\ é]{1,24}",
        host in "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}",
        header in proptest::option::of(prop_oneof![
            Just("X-Token".to_owned()),
            "[a-z]{1,8}",
            "[a-z]{1,4}-key",
        ]),
    ) {
        let rest = header.as_ref().map_or(host.clone(), |header| format!("{host}:{header}"));
        match parts(&format!("KEY={value}:{rest}")) {
            Ok((got, to, in_header)) => {
                // The one text that is told wrong is a host without a dot that is called like a header.
                let like_a_header = header.is_none() && is_credential_header(&host);
                if !like_a_header {
                    prop_assert_eq!(got, Some(value));
                    prop_assert_eq!(to, host);
                    prop_assert_eq!(in_header, header.unwrap_or("Authorization".into()));
                }
            }
            Err(error) => prop_assert_eq!(error, BindingError::Ambiguous),
        }
    }

    #[test]
    fn files_are_what_serde_json_writes(value in "[^\\p{Cc}]{1,40}") {
        let binding: Value = json!({"env_var": "A.b", "target_host": "h", "header": "X-A", "value": value});
        let secrets: ResolvedSecrets =
            serde_json::from_value(json!({"bindings": [binding.clone()]})).unwrap();
        let files = secrets.to_secret_files();
        prop_assert_eq!(files[0].name().as_str(), "a_b");
        prop_assert_eq!(files[0].secret_content(), binding.to_string());
    }

    #[test]
    fn a_name_of_a_file_is_one_component(name in "[A-Za-z_][A-Za-z0-9_.]{0,20}") {
        let file = EnvVar::new(&name).unwrap().file_name();
        prop_assert!(file.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,30}|[KEY=:.a-z]{0,20}") {
        if let Ok(binding) = text.parse::<SecretBinding>() {
            let shown: SecretBinding = binding.to_string().parse().unwrap();
            prop_assert_eq!(shown.target_host, binding.target_host);
            prop_assert_eq!(shown.header, binding.header);
        }
    }
}
