//! Properties of ids and derived names: what is made can be read back, whatever comes in is
//! answered without a panic, and everything fits where it is used.
// Helpers of tests, which clippy's exceptions for test functions do not reach.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::unwrap_used
)]

use core::fmt::{Debug, Display};
use std::collections::{BTreeMap, HashMap, HashSet};

use mvm_core::{
    id, limits,
    naming::{
        BridgeName, FlakeRef, FlakeRefError, HostOffset, Hostname, IdError, IdKind, InstanceId,
        InstancePath, MacAddr, NetError, NodeId, PathError, PoolId, PoolPath, RevisionHash,
        RevisionHashError, ShortName, SignerId, SocketBase, SocketBaseError, SocketFile,
        SocketPath, SocketPathError, SunPath, TapName, TemplateId, TenantId, TenantNetId, VmName,
        parse_instance_path, parse_pool_path, validate_flake_ref, validate_id,
        validate_revision_hash, validate_template_name,
    },
};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

const ID: &str = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const TEMPLATE: &str = "[a-z0-9][a-z0-9_-]{0,62}";
const FLAKE: &str = "[a-zA-Z0-9./:é][a-zA-Z0-9./:?=#@%~+_,中é-]{0,80}";
const HASH: &str = "[0-9A-Za-z_:+-][0-9A-Za-z._:+-]{0,127}";

fn path(tenant: &str, pool: &str, instance: &str) -> InstancePath {
    InstancePath {
        tenant: TenantId::new(tenant).unwrap(),
        pool: PoolId::new(pool).unwrap(),
        instance: InstanceId::new(instance).unwrap(),
    }
}

fn host(net: u16, offset: u8) -> (TenantNetId, HostOffset) {
    (
        TenantNetId::new(net).unwrap(),
        HostOffset::new(offset).unwrap(),
    )
}

/// The bytes in postcard.
fn postcard_of<T: Serialize>(value: &T) -> Vec<u8> {
    let mut buffer = [0; 2048];
    postcard::to_slice(value, &mut buffer).unwrap().to_vec()
}

/// There and back in both formats, with the bytes expected in each.
fn round_trip<T>(value: &T, json: &str, compact: &[u8])
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    assert_eq!(serde_json::to_string(value).unwrap(), json);
    assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
    // From a reader there is nothing to borrow.
    assert_eq!(
        &serde_json::from_reader::<_, T>(json.as_bytes()).unwrap(),
        value
    );
    assert_eq!(postcard_of(value), compact);
    assert_eq!(&postcard::from_bytes::<T>(compact).unwrap(), value);
    for len in 0..compact.len() {
        assert!(
            postcard::from_bytes::<T>(&compact[..len]).is_err(),
            "cut at {len}"
        );
    }
}

/// A string in both formats.
fn string_round_trip<T>(value: &T, text: &str)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    round_trip(
        value,
        &serde_json::to_string(text).unwrap(),
        &postcard_of(&text),
    );
}

/// Both formats refuse the value that `encoded` stands for, JSON with the message `says`.
fn refused<T: DeserializeOwned + Debug>(encoded: &impl Serialize, says: &str) {
    let json = serde_json::to_string(encoded).unwrap();
    let error = serde_json::from_str::<T>(&json).unwrap_err().to_string();
    assert!(error.contains(says), "{error:?} does not say {says:?}");
    assert!(
        postcard::from_bytes::<T>(&postcard_of(encoded)).is_err(),
        "{json}"
    );
}

// ---- Texts ----

proptest! {
    #[test]
    fn ids_lead_back_to_their_text(text in ID) {
        prop_assert_eq!(validate_id(&text, IdKind::Tenant), Ok(()));
        let tenant = TenantId::new(&text).unwrap();
        prop_assert_eq!(tenant.to_string().parse::<TenantId>().unwrap(), tenant.clone());
        prop_assert_eq!(tenant.as_str(), &text);
        prop_assert_eq!(format!("{tenant:?}"), format!("TenantId({text:?})"));
        prop_assert_eq!(format!("{tenant:>70}"), format!("{text:>70}"));
        string_round_trip(&tenant, &text);
        string_round_trip(&PoolId::new(&text).unwrap(), &text);
        string_round_trip(&InstanceId::new(&text).unwrap(), &text);
        string_round_trip(&NodeId::new(&text).unwrap(), &text);
        string_round_trip(&SignerId::new(&text).unwrap(), &text);
        string_round_trip(&VmName::new(&text).unwrap(), &text);
        string_round_trip(&Hostname::new(&text).unwrap(), &text);
    }

    #[test]
    fn other_texts_lead_back_to_themselves(template in TEMPLATE, flake in FLAKE, hash in HASH) {
        string_round_trip(&TemplateId::new(&template).unwrap(), &template);
        string_round_trip(&FlakeRef::new(&flake).unwrap(), &flake);
        string_round_trip(&RevisionHash::new(&hash).unwrap(), &hash);
        prop_assert_eq!(FlakeRef::new(&flake).unwrap().to_string(), flake);
    }

    #[test]
    fn ids_are_ordered_and_hashed_as_their_text(texts in prop::collection::vec(ID, 1..20)) {
        let ids: Vec<TenantId> = texts.iter().map(|text| TenantId::new(text).unwrap()).collect();
        for (a, text_a) in ids.iter().zip(&texts) {
            for (b, text_b) in ids.iter().zip(&texts) {
                prop_assert_eq!(a.cmp(b), text_a.cmp(text_b));
                prop_assert_eq!(a == b, text_a == text_b);
            }
        }
        let hashed: HashMap<TenantId, ()> = ids.iter().cloned().map(|id| (id, ())).collect();
        let ordered: BTreeMap<TenantId, ()> = ids.into_iter().map(|id| (id, ())).collect();
        for text in &texts {
            prop_assert!(hashed.contains_key(text.as_str()) && ordered.contains_key(text.as_str()));
        }
    }

    #[test]
    fn arbitrary_text_is_answered(text in any::<String>()) {
        answer_all(&text);
    }

    #[test]
    fn text_of_the_right_characters_is_answered(text in "[a-z0-9/:._tnib-]{0,200}") {
        answer_all(&text);
    }

    #[test]
    fn arbitrary_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        // What is accepted says the same again.
        fn answer<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
            if let Ok(value) = postcard::from_bytes::<T>(bytes) {
                assert_eq!(postcard::from_bytes::<T>(&postcard_of(&value)).unwrap(), value);
            }
            if let Ok(value) = serde_json::from_slice::<T>(bytes) {
                let json = serde_json::to_vec(&value).unwrap();
                assert_eq!(serde_json::from_slice::<T>(&json).unwrap(), value);
            }
        }
        answer::<TenantId>(&bytes);
        answer::<TemplateId>(&bytes);
        answer::<FlakeRef>(&bytes);
        answer::<RevisionHash>(&bytes);
        answer::<TenantNetId>(&bytes);
        answer::<HostOffset>(&bytes);
        answer::<TapName>(&bytes);
        answer::<BridgeName>(&bytes);
        answer::<MacAddr>(&bytes);
    }
}

/// Every parser on one text: what it accepts it writes again, and what it refuses it refuses with
/// a short message in ASCII.
fn answer_all(text: &str) {
    fn answer<T: Display, E: Display>(text: &str, result: Result<T, E>) {
        match result {
            Ok(value) => assert_eq!(value.to_string(), text),
            Err(error) => {
                let message = error.to_string();
                assert!(message.is_ascii() && message.len() < 120, "{message}");
                assert!(
                    message.chars().all(|found| !found.is_control()),
                    "{message}"
                );
            }
        }
    }
    answer(text, TenantId::new(text));
    answer(text, Hostname::new(text));
    answer(text, TemplateId::new(text));
    answer(text, FlakeRef::new(text));
    answer(text, RevisionHash::new(text));
    answer(text, TapName::parse(text));
    answer(text, BridgeName::parse(text));
    answer(text, MacAddr::parse(text));
    answer(text, ShortName::parse(text));
    answer(text, parse_pool_path(text));
    answer(text, parse_instance_path(text));
    let some = path("acme", "workers", "i-1");
    answer(
        text,
        SocketBase::new(text, SunPath::Linux).map(|base| base.as_str()),
    );
    if let Err(error) = SocketPath::in_state_dir(text, &some, SocketFile::Vsock, SunPath::Portable)
    {
        answer::<&str, _>(text, Err(error));
    }
}

#[test]
fn endless_and_hostile_texts_are_answered() {
    let short = [
        "",
        "\0",
        "a\0b",
        "..",
        "a/../b",
        "a/b/..",
        "é",
        "١",
        "ａ",
        "a\u{200b}",
        "\u{202e}a",
        "tn",
        "tni",
        "tn1i",
        "tni1",
        "br-tenant-",
        "02:fc",
        "02:fc:00:03:00:05:",
        "_",
        "\u{10ffff}",
    ];
    let parts = ["a", "-", "/", "0", "é", "😀", "\0", ":", "tn1i", "_", "../"];
    let long = parts.map(|part| part.repeat(100_000));
    for text in short.into_iter().chain(long.iter().map(String::as_str)) {
        answer_all(text);
    }
}

#[test]
fn ids_are_refused_for_their_first_fault() {
    use IdError::{
        Empty, HyphenAtEnd, HyphenAtStart, InvalidCharacter, TooLong, UnderscoreAtStart,
    };

    let kind = IdKind::Pool;
    let invalid = |at, found| InvalidCharacter { kind, at, found };
    let (long, long_template) = ("a".repeat(64), "A".repeat(1000));
    let table = [
        ("", Empty { kind }),
        (
            long.as_str(),
            TooLong {
                kind,
                len: 64,
                max: 63,
            },
        ),
        ("\0", invalid(0, '\0')),
        ("a\0", invalid(1, '\0')),
        ("..", invalid(0, '.')),
        ("a/b", invalid(1, '/')),
        ("aB", invalid(1, 'B')),
        ("a_b", invalid(1, '_')),
        ("-a-é", invalid(3, 'é')),
        ("a١", invalid(1, '١')),
        ("aａ", invalid(1, 'ａ')),
        ("a😀", invalid(1, '😀')),
        ("a b", invalid(1, ' ')),
        ("a\n", invalid(1, '\n')),
        ("a{", invalid(1, '{')),
        ("a`", invalid(1, '`')),
        ("a:", invalid(1, ':')),
        ("-", HyphenAtStart { kind }),
        ("-a", HyphenAtStart { kind }),
        ("a-", HyphenAtEnd { kind }),
    ];
    for (text, error) in table {
        assert_eq!(validate_id(text, kind), Err(error), "{text:?}");
        assert_eq!(PoolId::new(text), Err(error));
        assert_eq!(text.parse::<PoolId>(), Err(error));
        assert_eq!(PoolId::try_from(text), Err(error));
        refused::<PoolId>(&text, &error.to_string());
    }

    let kind = IdKind::Template;
    let table = [
        ("", Empty { kind }),
        (
            long_template.as_str(),
            TooLong {
                kind,
                len: 1000,
                max: 63,
            },
        ),
        (
            "a.b",
            InvalidCharacter {
                kind,
                at: 1,
                found: '.',
            },
        ),
        ("-", HyphenAtStart { kind }),
        ("_a", UnderscoreAtStart { kind }),
    ];
    for (text, error) in table {
        assert_eq!(validate_template_name(text), Err(error), "{text:?}");
        refused::<TemplateId>(&text, &error.to_string());
    }

    // Each kind is named in its message.
    let error = |kind| validate_id("", kind).unwrap_err().to_string();
    assert_eq!(error(IdKind::Tenant), "tenant id is empty");
    assert_eq!(NodeId::new("").unwrap_err().to_string(), "node id is empty");
    assert_eq!(
        SignerId::new("").unwrap_err().to_string(),
        "signer id is empty"
    );
    assert_eq!(
        InstanceId::new("").unwrap_err().to_string(),
        "instance id is empty"
    );
    assert_eq!(VmName::new("").unwrap_err().to_string(), "VM name is empty");
    assert_eq!(
        Hostname::new("").unwrap_err().to_string(),
        "host name is empty"
    );
    assert_eq!(
        TenantId::new("aé").unwrap_err().to_string(),
        "tenant id has U+00E9 at byte 1; allowed are a-z, 0-9 and '-'"
    );
}

#[test]
fn every_single_byte_is_an_id_or_is_not() {
    let valid: String = ('\0'..='\u{ff}')
        .filter(|found| validate_id(found.encode_utf8(&mut [0; 4]), IdKind::Node).is_ok())
        .collect();
    assert_eq!(valid, "0123456789abcdefghijklmnopqrstuvwxyz");
    let inside: String = ('\0'..='\u{ff}')
        .filter(|found| validate_id(&format!("a{found}a"), IdKind::Node).is_ok())
        .collect();
    assert_eq!(inside, "-0123456789abcdefghijklmnopqrstuvwxyz");
    let hash: String = ('\0'..='\u{ff}')
        .filter(|found| validate_revision_hash(&format!("{found}a")).is_ok())
        .collect();
    assert_eq!(
        hash,
        "+-.0123456789:ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
    );
}

#[test]
fn revision_hashes_are_components_of_paths() {
    use RevisionHashError::{Dots, Empty, InvalidCharacter, TooLong};

    let (longest, long) = ("f".repeat(128), "f".repeat(129));
    for text in [
        "sha256:0425afd5",
        "0c1p3kz5r9wq",
        "...",
        ".a",
        "v1.2+b-3_c",
        longest.as_str(),
    ] {
        assert_eq!(RevisionHash::new(text).unwrap(), text);
    }
    let table = [
        ("", Empty),
        (long.as_str(), TooLong { len: 129, max: 128 }),
        (".", Dots),
        ("..", Dots),
        ("a/b", InvalidCharacter { at: 1, found: '/' }),
        ("ab=", InvalidCharacter { at: 2, found: '=' }),
        ("a\0", InvalidCharacter { at: 1, found: '\0' }),
        ("é", InvalidCharacter { at: 0, found: 'é' }),
    ];
    for (text, error) in table {
        assert_eq!(RevisionHash::new(text), Err(error), "{text:?}");
        refused::<RevisionHash>(&text, &error.to_string());
    }
}

#[test]
fn flake_refs_are_bounded_in_bytes() {
    let (longest, long) = ("é".repeat(512), "é".repeat(512) + "a");
    assert_eq!(FlakeRef::new(&longest).unwrap(), longest.as_str());
    let error = FlakeRefError::TooLong {
        len: 1025,
        max: 1024,
    };
    assert_eq!(FlakeRef::new(&long), Err(error));
    refused::<FlakeRef>(&long, &error.to_string());
    refused::<FlakeRef>(&"", "flake reference is empty");
    refused::<FlakeRef>(&"github:a/b\u{202e}", "U+202E at byte 10");
    // Private use and not assigned, see the documentation.
    for text in ["\u{e000}", "a\u{10fffd}", "a\u{378}"] {
        assert_eq!(validate_flake_ref(text), Ok(()));
    }
    // What may not begin a reference may follow.
    for found in "-#=@%~?".chars() {
        assert_eq!(validate_flake_ref(&format!("a{found}")), Ok(()));
        let start = FlakeRefError::InvalidStart { found };
        assert_eq!(validate_flake_ref(&format!("{found}a")), Err(start));
    }
}

#[test]
fn what_is_not_a_string_is_refused() {
    for json in ["null", "1", "true", "[\"a\"]", "{}", "\"a", "[97]"] {
        assert!(serde_json::from_str::<TenantId>(json).is_err(), "{json}");
        assert!(serde_json::from_str::<FlakeRef>(json).is_err(), "{json}");
        assert!(serde_json::from_str::<TapName>(json).is_err(), "{json}");
        assert!(serde_json::from_str::<MacAddr>(json).is_err(), "{json}");
    }
    let error = serde_json::from_str::<TenantId>("7")
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected a tenant id"), "{error}");
    // Bytes that are not UTF-8 behind a length.
    assert!(postcard::from_bytes::<TenantId>(&[1, 0xff]).is_err());
}

#[test]
fn literals_are_the_values_they_look_like() {
    assert_eq!(id!(TenantId, "acme"), "acme");
    assert_eq!(id!(PoolId, "workers"), "workers");
    assert_eq!(id!(InstanceId, "i-196c341b"), "i-196c341b");
    assert_eq!(id!(NodeId, "n1"), "n1");
    assert_eq!(id!(SignerId, "ops"), "ops");
    assert_eq!(id!(VmName, "dev"), "dev");
    assert_eq!(id!(Hostname, "web-1"), "web-1");
    assert_eq!(id!(TemplateId, "web_base"), "web_base");
    assert_eq!(id!(FlakeRef, "github:org/repo#é"), "github:org/repo#é");
    assert_eq!(id!(RevisionHash, "sha256:00"), "sha256:00");
    let longest = id!(
        TenantId,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    );
    assert_eq!(longest.len(), limits::ID_MAX);
    assert!(TenantId::literal("").is_none() && TenantId::literal("a-").is_none());
    assert!(FlakeRef::literal("a b").is_none() && RevisionHash::literal("..").is_none());
}

#[test]
fn instance_ids_show_their_entropy() {
    assert_eq!(InstanceId::from_entropy([0; 4]), "i-00000000");
    assert_eq!(InstanceId::from_entropy([0xff; 4]), "i-ffffffff");
    assert_eq!(
        InstanceId::from_entropy([0x01, 0x23, 0xcd, 0xef]),
        "i-0123cdef"
    );
}

#[cfg(feature = "std")]
#[test]
fn generated_instance_ids_are_valid_and_differ() {
    let ids: HashSet<InstanceId> = (0..100)
        .map(|_| mvm_core::naming::generate_instance_id().unwrap())
        .collect();
    // Two of 100 random ids are equal once in 870,000 runs, three never.
    assert!(ids.len() >= 99);
    for id in ids {
        assert_eq!(validate_id(&id, IdKind::Instance), Ok(()));
        assert!(id.len() == 10 && id.starts_with("i-"));
    }
}

// ---- The network ----

#[test]
fn every_host_has_names_that_fit_and_lead_back() {
    let mut seen = 0_u32;
    for net in 0..=limits::TENANT_NET_ID_MAX {
        for offset in limits::HOST_OFFSET_MIN..=limits::HOST_OFFSET_MAX {
            let (net, offset) = host(net, offset);
            let tap = TapName::new(net, offset);
            assert!(tap.len() <= limits::INTERFACE_NAME_MAX);
            let read = TapName::parse(&tap).unwrap();
            assert!(read.parts() == (net, offset) && read == tap);
            let mac = MacAddr::new(net, offset);
            let read = MacAddr::from_octets(mac.octets()).unwrap();
            assert!(read.parts() == (net, offset) && read == mac);
            seen += 1;
        }
        let (net, offset) = host(net, 1);
        let bridge = BridgeName::new(net);
        assert!(bridge.len() <= limits::INTERFACE_NAME_MAX);
        assert_eq!(BridgeName::parse(&bridge).unwrap().net(), net);
        assert_eq!(bridge.as_str(), format!("br-tenant-{net}"));
        assert_eq!(TapName::new(net, offset).as_str(), format!("tn{net}i1"));
        let mac = MacAddr::new(net, offset).to_string();
        let [high, low] = net.get().to_be_bytes();
        assert_eq!(mac, format!("02:fc:{high:02x}:{low:02x}:00:01"));
        assert_eq!(MacAddr::parse(&mac).unwrap().parts(), (net, offset));
    }
    assert_eq!(seen, 4096 * 254);
}

#[test]
fn numbers_out_of_range_are_no_hosts() {
    let nets = (0..=u16::MAX)
        .filter(|net| TenantNetId::new(*net).is_ok())
        .count();
    let offsets = (0..=u8::MAX)
        .filter(|offset| HostOffset::new(*offset).is_ok())
        .count();
    assert_eq!((nets, offsets), (4096, 254));
    refused::<TenantNetId>(&4096_u16, "tenant network 4096 is greater than 4095");
    refused::<TenantNetId>(&u16::MAX, "tenant network 65535 is greater than 4095");
    refused::<HostOffset>(&0_u8, "host 0 of a tenant network is not in 1 to 254");
    refused::<HostOffset>(&255_u8, "host 255 of a tenant network is not in 1 to 254");
}

#[test]
fn derived_names_are_compact_in_postcard() {
    let (net, offset) = host(3, 5);
    round_trip(&net, "3", &[3]);
    round_trip(&offset, "5", &[5]);
    round_trip(&TapName::new(net, offset), r#""tn3i5""#, &[3, 5]);
    round_trip(&BridgeName::new(net), r#""br-tenant-3""#, &[3]);
    let mac = MacAddr::new(net, offset);
    round_trip(
        &mac,
        r#""02:fc:00:03:00:05""#,
        &[0x02, 0xfc, 0x00, 0x03, 0x00, 0x05],
    );

    let (net, offset) = host(4095, 254);
    round_trip(
        &TapName::new(net, offset),
        r#""tn4095i254""#,
        &[0xff, 0x1f, 254],
    );
    round_trip(&BridgeName::new(net), r#""br-tenant-4095""#, &[0xff, 0x1f]);
    let mac = MacAddr::new(net, offset);
    round_trip(
        &mac,
        r#""02:fc:0f:ff:00:fe""#,
        &[0x02, 0xfc, 0x0f, 0xff, 0x00, 0xfe],
    );

    // Numbers out of range in postcard.
    assert!(postcard::from_bytes::<TapName>(&[0x80, 0x20, 1]).is_err());
    assert!(postcard::from_bytes::<TapName>(&[0, 0]).is_err());
    assert!(postcard::from_bytes::<BridgeName>(&[0x80, 0x20]).is_err());
    for octets in [
        [0x02, 0xfc, 0x10, 0x00, 0x00, 0x01],
        [0x02, 0xfc, 0x00, 0x00, 0x00, 0x00],
        [0x02, 0xfc, 0x00, 0x00, 0x00, 0xff],
        [0x02, 0xfc, 0x00, 0x00, 0x01, 0x01],
        [0x03, 0xfc, 0x00, 0x00, 0x00, 0x01],
        [0x02, 0xfd, 0x00, 0x00, 0x00, 0x01],
    ] {
        assert!(MacAddr::from_octets(octets).is_err() && MacAddr::try_from(octets).is_err());
        assert!(postcard::from_bytes::<MacAddr>(&octets).is_err());
    }
}

#[test]
fn only_the_canonical_spelling_is_read() {
    for text in [
        "",
        "tn",
        "tn1",
        "tni1",
        "tn1i",
        "tn01i1",
        "tn1i01",
        "tn00i1",
        "TN1i1",
        "tn1I1",
        "tn1i1 ",
        " tn1i1",
        "tn+1i1",
        "tn-1i1",
        "tn1i1i1",
        "tn1i1\0",
        "tn65536i1",
        "tn1i256",
        "tn1i99999",
        "tn184467440737095516160i1",
        "tn１i1",
        "tn1i1\n",
        "tap1i1",
        "tnxi1",
    ] {
        assert_eq!(TapName::parse(text), Err(NetError::TapShape), "{text:?}");
        assert!(serde_json::from_str::<TapName>(&serde_json::to_string(text).unwrap()).is_err());
    }
    for text in [
        "",
        "br-tenant-",
        "br-tenant-01",
        "br-tenant-00",
        "br-tenant--1",
        "br-tenant-1 ",
        "BR-TENANT-1",
        "br-tenant-1\0",
        "br-tenant-x",
        "br-tenant-65536",
        "br-mvm-lab",
        "br-tenant-1i1",
    ] {
        assert_eq!(
            BridgeName::parse(text),
            Err(NetError::BridgeShape),
            "{text:?}"
        );
    }
    let large = NetError::NetTooLarge {
        net: 4096,
        max: 4095,
    };
    assert_eq!(BridgeName::parse("br-tenant-4096"), Err(large));
    for text in [
        "",
        "02:fc:00:03:00",
        "02:fc:00:03:00:05:",
        "02:fc:00:03:00:05:00",
        "02:FC:00:03:00:05",
        "02:fc:00:03:00:0A",
        "02-fc-00-03-00-05",
        "02fc00030005",
        "2:fc:0:3:0:5",
        "02:fc:00:03:00:5",
        "02:fc:00:03:00:0g",
        " 02:fc:00:03:00:05",
        "02:fc:00:03:00:05\0",
        "02:fc:00:03:01:05",
        "00:fc:00:03:00:05",
        "52:54:00:12:34:56",
        "02:fc:00:03:00:é",
        "02:fc:00:03:00:0５",
    ] {
        assert_eq!(MacAddr::parse(text), Err(NetError::MacShape), "{text:?}");
        assert!(serde_json::from_str::<MacAddr>(&serde_json::to_string(text).unwrap()).is_err());
    }
}

// ---- The hierarchy ----

proptest! {
    #[test]
    fn paths_lead_back_to_their_ids(tenant in ID, pool in ID, instance in ID) {
        let text = format!("{tenant}/{pool}/{instance}");
        let whole = path(&tenant, &pool, &instance);
        prop_assert_eq!(parse_instance_path(&text), Ok(whole.clone()));
        prop_assert_eq!(text.parse(), Ok(whole.clone()));
        prop_assert_eq!(whole.to_string(), text);
        let pool = whole.pool_path();
        prop_assert_eq!(parse_pool_path(&pool.to_string()), Ok(pool));
    }
}

#[test]
fn paths_have_exactly_their_segments() {
    let segments = |found, expected| PathError::Segments { found, expected };
    let empty = |kind| PathError::Id(IdError::Empty { kind });
    let invalid = |kind, at, found| PathError::Id(IdError::InvalidCharacter { kind, at, found });
    for (text, error) in [
        ("", segments(1, 3)),
        ("a", segments(1, 3)),
        ("a/b", segments(2, 3)),
        ("a/b/c/", segments(4, 3)),
        ("a/b/c/d", segments(4, 3)),
        ("/a/b/c", segments(4, 3)),
        ("//", empty(IdKind::Tenant)),
        ("a//c", empty(IdKind::Pool)),
        ("a/b/", empty(IdKind::Instance)),
        ("../b/c", invalid(IdKind::Tenant, 0, '.')),
        ("a/../c", invalid(IdKind::Pool, 0, '.')),
        ("a/b/..", invalid(IdKind::Instance, 0, '.')),
        ("a/b/c\0", invalid(IdKind::Instance, 1, '\0')),
        ("a/B/c", invalid(IdKind::Pool, 0, 'B')),
        ("a/é/c", invalid(IdKind::Pool, 0, 'é')),
        ("a/b/c\n", invalid(IdKind::Instance, 1, '\n')),
    ] {
        assert_eq!(parse_instance_path(text), Err(error), "{text:?}");
        assert_eq!(InstancePath::try_from(text), Err(error));
    }
    assert_eq!(parse_pool_path("a/b/c"), Err(segments(3, 2)));
    assert_eq!(PoolPath::try_from("a/"), Err(empty(IdKind::Pool)));
    let message = |error: PathError| error.to_string();
    assert_eq!(
        message(segments(3, 2)),
        "path has 3 segments, expected 2 (tenant/pool)"
    );
    assert_eq!(message(empty(IdKind::Pool)), "pool id is empty");
}

// ---- Budgets ----

const LIMITS: [(SunPath, usize, usize); 2] =
    [(SunPath::Linux, 107, 60), (SunPath::Portable, 103, 56)];
const FILES: [SocketFile; 5] = [
    SocketFile::FirecrackerApi,
    SocketFile::Vsock,
    SocketFile::VsockPort(0),
    SocketFile::VsockPort(52),
    SocketFile::VsockPort(u32::MAX),
];

/// An absolute directory of `len` bytes.
fn directory(len: usize) -> String {
    format!("/{}", "d".repeat(len - 1))
}

#[test]
fn the_longest_legal_input_fits() {
    let longest = "a".repeat(63);
    let longest = path(&longest, &longest, &longest);
    for (limit, bytes, max) in LIMITS {
        assert_eq!((limit.bytes(), SocketBase::max_bytes(limit)), (bytes, max));
        let directory = directory(max);
        let base = SocketBase::new(&directory, limit).unwrap();
        let lens = FILES.map(|file| {
            let socket = base.path(&longest, file);
            assert!(socket.starts_with(&directory), "{socket}");
            socket.len()
        });
        // The longest file leaves nothing over.
        assert_eq!(lens.into_iter().max(), Some(bytes));
    }
    assert_eq!(Hostname::from(&longest.instance).len(), 63);
    assert_eq!(Hostname::unique(&longest).len(), 63);
}

#[test]
fn firecracker_finds_the_sockets_of_a_port_beside_its_own() {
    let mut forms = HashSet::new();
    for len in 1..=63 {
        let id = "a".repeat(len);
        let base = SocketBase::new("/run/mvm", SunPath::Linux).unwrap();
        let whole = path(&id, "workers", "i-196c341b");
        let vsock = base.path(&whole, SocketFile::Vsock);
        for port in [0, 52, u32::MAX] {
            let socket = base.path(&whole, SocketFile::VsockPort(port));
            assert_eq!(socket.as_str(), format!("{vsock}_{port}"));
        }
        forms.insert(vsock.contains("/_"));
    }
    assert_eq!(forms.len(), 2, "both forms occur");
}

proptest! {
    #[test]
    fn a_socket_path_fits_and_is_readable_where_it_can_be(
        tenant in ID, pool in ID, instance in ID, len in 2..=60_usize, port in any::<u32>(),
    ) {
        let whole = path(&tenant, &pool, &instance);
        for (limit, bytes, max) in LIMITS {
            let directory = directory(len.min(max));
            let base = SocketBase::new(&directory, limit).unwrap();
            for (file, name) in [
                (SocketFile::FirecrackerApi, "firecracker.socket".to_owned()),
                (SocketFile::Vsock, "v.sock".to_owned()),
                (SocketFile::VsockPort(port), format!("v.sock_{port}")),
            ] {
                let socket = base.path(&whole, file);
                prop_assert!(socket.len() <= bytes);
                // All sockets of an instance share a directory: the longest file decides.
                let fits = directory.len() + 1 + whole.to_string().len() + 1 + 18 <= bytes;
                let expected = if fits {
                    format!("{directory}/{whole}/{name}")
                } else {
                    format!("{directory}/{}/{name}", ShortName::of_instance(&whole))
                };
                prop_assert_eq!(socket.as_str(), expected);
            }
        }
    }

    #[test]
    fn host_names_are_labels(tenant in ID, pool in ID, instance in ID) {
        let whole = path(&tenant, &pool, &instance);
        for name in [Hostname::from(&whole.instance), Hostname::unique(&whole)] {
            prop_assert_eq!(Hostname::new(&name), Ok(name.clone()));
            prop_assert!(name.len() <= limits::DNS_LABEL_MAX);
        }
    }

    #[test]
    fn short_names_are_stable_and_never_ids(tenant in ID, pool in ID, instance in ID) {
        let whole = path(&tenant, &pool, &instance);
        let short = ShortName::of_instance(&whole);
        prop_assert_eq!(&ShortName::of_instance(&whole.clone()), &short);
        prop_assert_eq!(ShortName::parse(&short), Ok(short.clone()));
        prop_assert_eq!(short.len(), 27);
        prop_assert_eq!(short.digits(), &short[1..]);
        prop_assert!(InstanceId::new(&short).is_err() && TenantId::new(&short).is_err());
        prop_assert!(ShortName::parse(&tenant).is_err());
    }
}

#[test]
fn short_names_are_those_of_an_independent_implementation() {
    // Python's hashlib (SHA-512/256) over the encoding of the documentation.
    let longest = path(&"a".repeat(63), &"b".repeat(63), &"c".repeat(63));
    for (whole, expected) in [
        (
            path("acme", "workers", "i-196c341b"),
            "_v8shygpk8aat62v1xqm44wp7jk",
        ),
        (path("a", "b", "c"), "_972mtgrd1767nz7bh0xk9fq4fc"),
        (longest, "_j121yq3hjwmfj0tyf7n3hmvv4s"),
    ] {
        assert_eq!(ShortName::of_instance(&whole), expected);
    }
    let pool = path("acme", "workers", "i-1").pool_path();
    assert_eq!(ShortName::of_pool(&pool), "_jc24gb5dhmnynrzk0zc8ey0gae");
}

#[test]
fn short_names_differ_for_neighbours() {
    let ids = [
        "a", "b", "aa", "ab", "ba", "a-b", "b-a", "1", "11", "i-1", "instance", "pool",
    ];
    let mut names = HashSet::new();
    let mut hosts = HashSet::new();
    for tenant in ids {
        for pool in ids {
            for instance in ids {
                let whole = path(tenant, pool, instance);
                names.insert(ShortName::of_instance(&whole));
                hosts.insert(Hostname::unique(&whole));
            }
            names.insert(ShortName::of_pool(&path(tenant, pool, "x").pool_path()));
        }
    }
    assert_eq!((names.len(), hosts.len()), (12 * 12 * 13, 12 * 12 * 12));
}

#[test]
fn what_is_no_short_name_is_refused() {
    let good = "_v8shygpk8aat62v1xqm44wp7jk";
    assert_eq!(ShortName::parse(good).unwrap(), good);
    for text in [
        "",
        "_",
        "v8shygpk8aat62v1xqm44wp7jk",
        "-v8shygpk8aat62v1xqm44wp7jk",
        "_v8shygpk8aat62v1xqm44wp7j",
        "_v8shygpk8aat62v1xqm44wp7jkk",
        "_V8shygpk8aat62v1xqm44wp7jk",
        "_i8shygpk8aat62v1xqm44wp7jk",
        "_l8shygpk8aat62v1xqm44wp7jk",
        "_o8shygpk8aat62v1xqm44wp7jk",
        "_u8shygpk8aat62v1xqm44wp7jk",
        "_v8shygpk8aat62v1xqm44wp7j\0",
        "_é8shygpk8aat62v1xqm44wp7j",
    ] {
        assert!(ShortName::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_base_is_refused_before_any_path_is_made() {
    use SocketBaseError::{Component, NotAbsolute, Nul, TooLong};

    for (base, error) in [
        ("", NotAbsolute),
        ("run/mvm", NotAbsolute),
        ("./run", NotAbsolute),
        ("/", Component { at: 1 }),
        ("/run/", Component { at: 5 }),
        ("//run", Component { at: 1 }),
        ("/run//mvm", Component { at: 5 }),
        ("/run/./mvm", Component { at: 5 }),
        ("/run/../mvm", Component { at: 5 }),
        ("/..", Component { at: 1 }),
        ("/run\0/mvm", Nul { at: 4 }),
    ] {
        assert_eq!(
            SocketBase::new(base, SunPath::Linux),
            Err(error),
            "{base:?}"
        );
        let some = path("a", "b", "c");
        let state = SocketPath::in_state_dir(base, &some, SocketFile::Vsock, SunPath::Linux);
        assert_eq!(state, Err(SocketPathError::Base(error)));
    }
    for base in [
        "/run/mvm",
        "/run/.mvm",
        "/run/...",
        "/run/a..b",
        "/é",
        "/run/a b",
    ] {
        assert_eq!(
            SocketBase::new(base, SunPath::Portable).unwrap().as_str(),
            base
        );
    }
    for (limit, _, max) in LIMITS {
        assert!(SocketBase::new(&directory(max), limit).is_ok());
        let long = directory(max + 1);
        let error = TooLong { len: max + 1, max };
        assert_eq!(SocketBase::new(&long, limit), Err(error));
    }
}

#[test]
fn the_layout_of_0_13_0_can_be_too_long_and_says_so() {
    let state = |tenant: usize, pool: usize, instance: usize| {
        let ids = [tenant, pool, instance].map(|len| "a".repeat(len));
        let whole = path(&ids[0], &ids[1], &ids[2]);
        SocketPath::in_state_dir("/var/lib/mvm", &whole, SocketFile::Vsock, SunPath::Linux)
    };
    // 53 bytes for the three ids.
    assert_eq!(state(30, 13, 10).unwrap().len(), 107);
    assert_eq!(
        state(30, 14, 10),
        Err(SocketPathError::TooLong { len: 108, max: 107 })
    );
    // The flaw: two ids of 63 bytes and a generated instance id.
    assert_eq!(
        state(63, 63, 10),
        Err(SocketPathError::TooLong { len: 190, max: 107 })
    );
    let longest = path(&"a".repeat(63), &"a".repeat(63), "i-196c341b");
    let base = SocketBase::new("/var/lib/mvm/run", SunPath::Linux).unwrap();
    assert_eq!(
        base.path(&longest, SocketFile::Vsock).len(),
        16 + 1 + 27 + 1 + 6
    );
}

#[cfg(unix)]
#[test]
fn the_longest_path_can_be_bound() {
    use std::os::unix::net::UnixListener;

    // A short directory of our own, made longer up to the limit of this system.
    let limit = if cfg!(target_os = "linux") {
        SunPath::Linux
    } else {
        SunPath::Portable
    };
    let root = format!("/tmp/mvm-core-{}", std::process::id());
    let fill = SocketBase::max_bytes(limit) - root.len() - 1;
    let directory = format!("{root}/{}", "d".repeat(fill));
    let longest = path(&"a".repeat(63), &"b".repeat(63), &"c".repeat(63));
    let base = SocketBase::new(&directory, limit).unwrap();
    let socket = base.path(&longest, SocketFile::FirecrackerApi);
    assert_eq!(socket.len(), limit.bytes());
    std::fs::create_dir_all(std::path::Path::new(socket.as_str()).parent().unwrap()).unwrap();
    let bound = UnixListener::bind(socket.as_str());
    let over = UnixListener::bind(format!("{}x", socket.as_str()));
    std::fs::remove_dir_all(&root).unwrap();
    bound.unwrap();
    // One byte more is what the kernel refuses: the budget is not merely cautious.
    if cfg!(target_os = "linux") {
        assert!(over.is_err());
    }
}

#[test]
fn the_fault_is_that_of_the_rule_and_not_of_the_kind() {
    use mvm_core::naming::{IdError, IdKind, validate_id};
    let kind = IdKind::Template;
    let (at, found) = (1, '_');
    assert_eq!(
        validate_id("a_b", kind),
        Err(IdError::InvalidCharacter { kind, at, found })
    );
}
