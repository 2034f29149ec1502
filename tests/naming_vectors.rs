//! Names against what 0.13.0 did (`tests/vectors/behaviour`), and against an independent reading
//! of the grammars where 0.13.0 was lax.
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use mvm_core::naming::{
    FlakeRef, FlakeRefError, HostOffset, IdError, IdKind, InstancePath, MacAddr, NetError,
    PathError, PoolPath, TapName, TemplateId, TenantId, TenantNetId, VmName, parse_instance_path,
    parse_pool_path, validate_flake_ref, validate_id, validate_template_name, validate_vm_name,
};
use serde_json::Value;
use unicode_general_category::{GeneralCategory, get_general_category};

fn rows(table: &str) -> Vec<Value> {
    let path = format!(
        "{}/tests/vectors/behaviour/{table}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text<'a>(row: &'a Value, member: &str) -> &'a str {
    row.get(member).and_then(Value::as_str).unwrap()
}

fn number(row: &Value, member: &str) -> u16 {
    row.get(member)
        .and_then(Value::as_u64)
        .and_then(|number| number.try_into().ok())
        .unwrap()
}

/// What 0.13.0's function `name` said to the input of the row.
fn accepted(row: &Value, name: &str) -> bool {
    row.get(name)
        .and_then(|result| result.get("ok"))
        .and_then(Value::as_bool)
        .unwrap()
}

#[test]
fn ids_are_exactly_those_of_0_13_0() {
    let kinds = [
        IdKind::Tenant,
        IdKind::Pool,
        IdKind::Instance,
        IdKind::Node,
        IdKind::Signer,
        IdKind::Vm,
        IdKind::Network,
        IdKind::Hostname,
    ];
    let (mut seen, mut valid) = (0, 0);
    for row in rows("validate_names") {
        let input = text(&row, "input");
        let expected = accepted(&row, "validate_id");
        for kind in kinds {
            assert_eq!(
                validate_id(input, kind).is_ok(),
                expected,
                "{input:?} as {kind}"
            );
        }
        assert_eq!(
            accepted(&row, "validate_network_name"),
            expected,
            "{input:?}"
        );
        assert_eq!(TenantId::new(input).is_ok(), expected, "{input:?}");
        assert_eq!(
            validate_vm_name(input).is_ok(),
            accepted(&row, "validate_vm_name")
        );
        assert_eq!(
            VmName::new(input).is_ok(),
            accepted(&row, "validate_vm_name")
        );
        // Both sides agree on whether the length is what is wrong.
        if let Err(error) = validate_id(input, IdKind::Tenant) {
            let theirs = row.get("validate_id").unwrap();
            let length = matches!(error, IdError::Empty { .. } | IdError::TooLong { .. });
            assert_eq!(
                text(theirs, "err").contains("1-63 characters"),
                length,
                "{input:?}"
            );
        }
        seen += 1;
        valid += usize::from(expected);
    }
    assert_eq!((seen, valid), (844, 122));
}

#[test]
fn template_names_are_exactly_those_of_0_13_0() {
    let (mut seen, mut valid) = (0, 0);
    for row in rows("validate_names") {
        let input = text(&row, "input");
        let expected = accepted(&row, "validate_template_name");
        assert_eq!(validate_template_name(input).is_ok(), expected, "{input:?}");
        assert_eq!(TemplateId::new(input).is_ok(), expected, "{input:?}");
        seen += 1;
        valid += usize::from(expected);
    }
    assert_eq!((seen, valid), (844, 175));
}

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Length,
    Character(char),
    Start(char),
}

/// The grammar of flake references, read from its specification for the second time.
fn flake_ref(input: &str) -> Result<(), Refused> {
    if !(1..=1024).contains(&input.len()) {
        return Err(Refused::Length);
    }
    let forbidden = |found: &char| match *found {
        '\0'..='\x20' | '\x7f' => true,
        found @ '\x21'..='\x7e' => r#""'`$&|;<>()!*[]{}\^"#.contains(found),
        found => matches!(
            get_general_category(found),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::SpaceSeparator
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
        ),
    };
    if let Some(found) = input.chars().find(forbidden) {
        return Err(Refused::Character(found));
    }
    match input.chars().next() {
        Some(first) if "-#=@%~?".contains(first) => Err(Refused::Start(first)),
        _ => Ok(()),
    }
}

fn reason(error: FlakeRefError) -> Refused {
    match error {
        FlakeRefError::Empty | FlakeRefError::TooLong { .. } => Refused::Length,
        FlakeRefError::InvalidCharacter { found, .. } => Refused::Character(found),
        FlakeRefError::InvalidStart { found } => Refused::Start(found),
        other => panic!("unknown reason {other:?}"),
    }
}

#[test]
fn flake_refs_are_refused_as_by_0_13_0_or_for_the_reason_expected() {
    let (mut seen, mut refused_by_both, mut refused_now) = (0, 0, 0);
    for row in rows("validate_names") {
        let input = text(&row, "input");
        let result = validate_flake_ref(input);
        assert_eq!(result.map_err(reason), flake_ref(input), "{input:?}");
        assert_eq!(FlakeRef::new(input).map(|_| ()), result, "{input:?}");
        if let Err(FlakeRefError::InvalidCharacter { at, found }) = result {
            assert!(
                input.get(at..).is_some_and(|rest| rest.starts_with(found)),
                "{input:?}"
            );
        }
        match (accepted(&row, "validate_flake_ref"), result.is_ok()) {
            (false, valid) => {
                assert!(!valid, "0.13.0 refused {input:?}");
                refused_by_both += 1;
            }
            (true, valid) => refused_now += usize::from(!valid),
        }
        seen += 1;
    }
    assert_eq!((seen, refused_by_both, refused_now), (844, 30, 249));
}

#[test]
fn every_character_of_unicode_is_judged_as_by_another_table() {
    assert!(unicode_general_category::UNICODE_VERSION >= (16, 0, 0));
    let (mut seen, mut refused) = (0_u32, 0_u32);
    for found in '\0'..=char::MAX {
        // Behind a letter, so that only the alphabet is in question.
        let mut buffer = [b'a'; 5];
        let len = found.encode_utf8(&mut buffer[1..]).len();
        let input = core::str::from_utf8(&buffer[..=len]).unwrap();
        let result = validate_flake_ref(input).map_err(reason);
        assert_eq!(result, flake_ref(input), "U+{:04X}", u32::from(found));
        seen += 1;
        refused += u32::from(result.is_err());
    }
    assert_eq!(seen, 0x11_0000 - 0x800);
    // 33 controls, space and 19 marks of ASCII; 32 controls, 170 format characters (Unicode 16.0),
    // 16 spaces and 2 separators beyond it.
    assert_eq!(refused, 33 + 1 + 19 + 32 + 170 + 16 + 2);
}

#[test]
fn tap_names_and_addresses_are_those_of_0_13_0() {
    let (mut seen, mut refused) = (0, 0);
    for row in rows("tap_mac") {
        let (tap, mac) = (text(&row, "tap_name"), text(&row, "mac_address"));
        let net = TenantNetId::new(number(&row, "net_id")).unwrap();
        let offset = u8::try_from(number(&row, "offset")).unwrap();
        seen += 1;
        match HostOffset::new(offset) {
            Ok(offset) => {
                assert_eq!(TapName::new(net, offset).as_str(), tap);
                assert_eq!(MacAddr::new(net, offset).to_string(), mac);
                assert_eq!(TapName::parse(tap).unwrap().parts(), (net, offset));
                assert_eq!(MacAddr::parse(mac).unwrap().parts(), (net, offset));
            }
            Err(error) => {
                assert!(offset == 0 || offset == 255);
                assert_eq!(
                    error,
                    NetError::OffsetOutOfRange {
                        offset,
                        min: 1,
                        max: 254
                    }
                );
                assert_eq!(TapName::parse(tap), Err(error));
                assert_eq!(MacAddr::parse(mac), Err(error));
                refused += 1;
            }
        }
    }
    assert_eq!((seen, refused), (25, 10));
}

#[test]
fn networks_beyond_4095_are_refused() {
    let mut seen = 0;
    for row in rows("tap_mac_out_of_range") {
        let net = number(&row, "net_id");
        let error = TenantNetId::new(net).unwrap_err();
        assert_eq!(error, NetError::NetTooLarge { net, max: 4095 });
        assert_eq!(TapName::parse(text(&row, "tap_name")), Err(error));
        assert_eq!(MacAddr::parse(text(&row, "mac_address")), Err(error));
        seen += 1;
    }
    assert_eq!(seen, 6);
}

/// A path of either length, as its segments.
fn parse(row: &Value) -> Result<Vec<String>, PathError> {
    let input = text(row, "input");
    match text(row, "fn") {
        "parse_pool_path" => parse_pool_path(input)
            .map(|PoolPath { tenant, pool }| vec![tenant.to_string(), pool.to_string()]),
        "parse_instance_path" => parse_instance_path(input).map(
            |InstancePath {
                 tenant,
                 pool,
                 instance,
             }| { vec![tenant.to_string(), pool.to_string(), instance.to_string()] },
        ),
        other => panic!("unknown function {other}"),
    }
}

#[test]
fn paths_are_those_of_0_13_0() {
    let (mut seen, mut refused) = (0, 0);
    for row in rows("parse_path") {
        let result = parse(&row);
        match row.get("out") {
            Some(out) => {
                let expected: Vec<String> = serde_json::from_value(out.clone()).unwrap();
                assert_eq!(result.unwrap(), expected);
            }
            None => {
                assert!(matches!(result, Err(PathError::Segments { .. })), "{row}");
                refused += 1;
            }
        }
        seen += 1;
    }
    assert_eq!((seen, refused), (52, 10));
}

#[test]
fn paths_that_0_13_0_took_by_mistake_are_refused() {
    let mut seen = 0;
    for row in rows("parse_path_lax") {
        let result = parse(&row);
        let segments = text(&row, "input").split('/').count();
        let expected = if text(&row, "fn") == "parse_pool_path" {
            2
        } else {
            3
        };
        match result {
            Err(PathError::Segments { found, .. }) => assert_eq!(found, segments, "{row}"),
            Err(PathError::Id(_)) => assert_eq!(segments, expected, "{row}"),
            other => panic!("{row}: {other:?}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 21);
}
