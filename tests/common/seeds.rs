//! Well-formed input for each decoder, to start mutating from. `fuzz/seeds` holds the same bytes.
//! Needs `reference.rs` and `targets.rs` beside it, as modules of the same parent.
#![allow(dead_code, reason = "each user of these takes a part")]

use super::audit::Writer;
use super::reference::{string, varint};
use super::targets::{DOCUMENTS, fixture};

const STATE: &str = r#"{"instance_id":"i-5c51564e","pool_id":"api-pool","tenant_id":"t1","status":"stopped","net":{"tap_dev":"tn221i86","mac":"02:fc:00:dd:00:56","guest_ip":"10.240.221.86","gateway_ip":"10.240.221.1","cidr":24},"role":"builder","revision_hash":"d69b5d505c1fe7522425d748753f0f4d","firecracker_pid":1684,"last_started_at":"2025-12-31T23:59:59Z","last_stopped_at":"2026-02-25T12:00:00Z","idle_metrics":{"idle_secs":27199,"cpu_pct":0.5,"net_bytes":71603,"last_updated":"2025-06-15T08:30:00Z"},"healthy":false,"last_health_check_at":null,"manual_override_until":null,"config_version":3,"secrets_epoch":null,"entered_running_at":null,"entered_warm_at":null,"last_busy_at":null}"#;

/// The seeds of a target; at least one.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let transcript = fixture().transcript();
    match target {
        "frame_decoder" => vec![
            b"\x10\x10\x02\0\0\0\x05hello\0\0\0\0\0\0\0\x02".to_vec(),
            b"\x04\xff\xff\0\0\0\x01a\0\0\0\x04abcd\0\0\0\x05".to_vec(),
            b"\xff\x08\x00\0\0\0\x03abc\0\0\0\x09".to_vec(),
        ],
        "connect_line" => texts(&[
            "CONNECT 52\n",
            "CONNECT 4294967295\n\0\0\0\x01x",
            "OK 1073741824\nrest",
            "OK 0\n",
            "CONNECT 052\n",
            "OK 4294967296\n",
        ]),
        "host_hello" => {
            let mut with_extensions = fixture();
            with_extensions.host_extensions = vec![1, 2, 3];
            with_extensions.instance = "a".into();
            with_extensions.generation = u64::MAX;
            vec![
                transcript.host_hello,
                with_extensions.transcript().host_hello,
            ]
        }
        "guest_hello" => vec![transcript.guest_hello, vec![0, 3, 3, 3]],
        "host_finish" => vec![transcript.host_finish.to_vec()],
        "session_frame" => vec![
            transcript.frame(b'H', 0, 0, b"ping"),
            transcript.frame(b'H', 0, 0, &[0x5a; 200]),
            transcript.frame(b'H', 1, 0, b""),
            transcript.frame(b'G', 0, 0, b"reflected"),
            transcript.frame(b'H', 0, 1, b"too early"),
        ],
        "guest_request" => {
            let wake = [
                &[2, 0xf4, 3, 4][..],
                &varint(1),
                &varint(3_600_000_000),
                &varint(5),
                &[7; 32],
                &[1],
                &string(b"i-0a1b2c3d"),
                &[0, 1],
                &[9; 32],
            ];
            vec![
                vec![1, 0xf4, 3, 1, 7],
                vec![1, 0xf4, 3, 2],
                vec![1, 0xf4, 3, 3, 100, 1],
                wake.concat(),
                vec![1, 0xf4, 3, 5, 10, 2],
                [
                    &[1, 0xf4, 3, 6, 0x80, 8][..],
                    &string(b"of the fleet's own"),
                ]
                .concat(),
                vec![1, 100, 99, 1, 2, 3],
            ]
        }
        "guest_response" => vec![
            vec![1, 1, 0, 7, 42],
            [
                &[1, 2, 0, 2, 1, 1, 100, 1][..],
                &string(b"network"),
                &[1, 0, 5],
            ]
            .concat(),
            vec![1, 2, 9, 0],
            vec![1, 5, 0],
            vec![1, 4, 0, 1, 0, 1, 0, 1, 4, 0, 0, 0, 0, 0, 0],
            [&[1, 6, 0][..], &string(b"answer")].concat(),
        ],
        "signed_payload_postcard" => vec![
            signed_postcard(b"{}"),
            signed_postcard(&[0xa7; 200]),
            signed_postcard(b""),
            signed_postcard(b"mvm-core/frame/v3\0"),
        ],
        "signed_document_json" => vec![
            signed_json(b"{}"),
            signed_json(&[0xa7; 70]),
            signed_json(b""),
        ],
        "names" => texts(&[
            "acme",
            "i-0a1b2c3d",
            "a",
            "trail-",
            "under_score",
            "d69b5d505c1fe7522425d748753f0f4d",
            "sha256:0f343b0931126a20f133d67c2b018a3b",
            "tn221i86",
            "tn4095i254",
            "br-tenant-4095",
            "02:fc:00:dd:00:56",
            "02:FC:0f:ff:00:fe",
            "\x04acme",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ]),
        "flake_ref" => texts(&[
            ".",
            "github:owner/repo?ref=main#pkg",
            "git+ssh://git@example.org/x.git?rev=0a1b",
            "/nix/store/0a-source",
            "path:./übung",
            "\x01.",
        ]),
        "timestamp" => texts(&[
            "2026-02-25T12:00:00Z",
            "2026-02-25T12:00:00.123456789+05:30",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
            "2024-02-29t23:59:60-23:59",
            "2023-02-29T00:00:00Z",
            "\u{2}\u{5}",
        ]),
        "key_text" => {
            let digits = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
            let line =
                |usage: &str, half: &str| format!("mvm-core-key v1 {usage} {half} {digits}\n");
            texts(&[
                &line("document", "public"),
                &line("host", "secret"),
                &line("guest", "public").to_ascii_uppercase(),
                line("guest", "public").trim_end(),
                digits,
                "mvm-core-key v2 host public 00",
            ])
        }
        "instance_state_json" => texts(&[
            STATE,
            &STATE.replace(
                "\"last_busy_at\":null",
                "\"pending\":{\"to\":\"destroyed\",\"since\":\"2026-02-25T12:00:00Z\"}",
            ),
            &STATE
                .replace("\"stopped\"", "\"running\"")
                .replace(",\"role\":\"builder\"", ""),
        ]),
        "documents" => (0..)
            .zip(DOCUMENTS)
            .map(|(number, (_, _, vectors))| {
                [&[number], first_document(vectors).as_bytes()].concat()
            })
            .collect(),
        "admission" => {
            let state = |node: &str, sequence: u64| {
                format!(
                    r#"{{"schema_version":1,"node_id":"{node}","tenants":[],"sequence":{sequence}}}"#
                )
            };
            let timed = |end: &str, state: &str| {
                format!(r#"{{"expires_at":"2026-06-{end}T12:10:00Z","desired_state":{state}}}"#)
            };
            texts(&[
                &state("node-1", 12),
                &state("node-2", 12),
                &state("node-1", 4),
                &timed("01", &state("node-1", 12)),
                &timed("00", &state("node-1", 12)),
                &timed("30", &state("node-1", 5))
                    .replace("schema_version\":1", "schema_version\":2"),
                r#"{"expires_at":"2026-05-01T00:00:00Z","desired_state":{"schema_version":1,"node_id":"node-1","tenants":[],"sequence":9}}"#,
                // No document may begin so, and none can be signed.
                "mvm-core/{}",
            ])
        }
        "audit_log" => {
            let mut writer = Writer::new();
            writer.record("").record(r#","lost":3,"cut":7"#);
            let short = [&[3][..], &writer.bytes].concat();
            let mut writer = Writer::new();
            writer.old().record("");
            let first = writer.next_generation();
            writer.signed();
            let two = [&[60][..], &first, &[0xff], &writer.bytes].concat();
            vec![short, two]
        }
        "secret_binding_text" => texts(&[
            "OPENAI_API_KEY:api.openai.com",
            "KEY:api.example.org:X-Api-Key",
            "KEY=sk-1:2=3:api.example.org",
            "KEY=value:api.example.org:x-api-key",
            "_.=a:b:10.0.0.1:cookie",
            "KEY=a:b:c",
        ]),
        "hostd_server" => {
            let stream = |first: u8, bodies: &[&str]| {
                let frame =
                    |body: &&str| [&(body.len() as u32).to_be_bytes(), body.as_bytes()].concat();
                [
                    vec![first],
                    bodies.iter().map(frame).collect::<Vec<_>>().concat(),
                ]
                .concat()
            };
            let start = r#"{"StartInstance":{"tenant_id":"acme","pool_id":"api","instance_id":"i-0a1b2c3d"}}"#;
            let call = format!(r#"{{"id":0,"timeout_ms":5000,"request":{start}}}"#);
            vec![
                stream(3, &[r#""Ping""#, start]),
                stream(
                    127,
                    &[
                        r#"{"Hello":{"min":1,"max":2}}"#,
                        &call,
                        r#"{"id":1,"request":"Ping"}"#,
                    ],
                ),
                stream(
                    255,
                    &[
                        r#"{"Hello":{"min":2,"max":9}}"#,
                        r#"{"id":7,"request":"Pong"}"#,
                        "{}",
                        "{}",
                    ],
                ),
                stream(200, &[r#""Ping""#, r#""Ping""#]),
                stream(60, &[r#"{"Hello":{"min":3,"max":4}}"#, r#""Ping""#]),
            ]
        }
        "hostd_client" => texts(&[
            r#"{"Hello":{"version":2}}"#,
            r#"{"NoCommonVersion":{"min":3,"max":4}}"#,
            r#"{"Error":{"message":"unknown variant `Hello`"}}"#,
            r#""Pong""#,
            r#"{"id":0,"response":"Pong"}"#,
            r#"{"id":null,"response":{"Error":{"message":"not JSON"}}}"#,
            r#"{"id":1,"response":"Ok"}"#,
        ]),
        "instance_paths" => texts(&[
            "acme/api",
            "acme/api/i-0a1b2c3d",
            "a/b/c",
            "a/b/c/d",
            "acme//i",
            "/a/b",
        ]),
        "wire_values" => vec![
            vec![1, 0xac, 2, 0xff, 0xff, 0xff, 0xff, 0xf, 0],
            vec![1, 1, 5, 1, 2, 3],
            [
                &string("text ü".as_bytes())[..],
                &string(&[1, 2, 3]),
                &[1, 9],
            ]
            .concat(),
            [&varint(2 * 1_772_020_800)[..], &varint(999_999_999), &[3]].concat(),
            vec![2, 0xfc, 0, 0xdd, 0, 0x56],
            [&[3, 0xa0, 1, 0][..], &[0; 4], &[0; 4], &[0]].concat(),
            vec![7, 7, 42],
            vec![100, 1, 10, 2],
            transcript.guest_hello[34..66].to_vec(),
            transcript.host_finish.to_vec(),
        ],
        other => panic!("no seeds for {other}"),
    }
}

/// The document of the first of these lines.
fn first_document(vectors: &str) -> String {
    let line = vectors.lines().next().expect("a line");
    let row: serde_json::Value = serde_json::from_str(line).expect("a vector");
    row["doc"].as_str().expect("a document").to_owned()
}

fn signature(payload: &[u8]) -> [u8; 64] {
    use ed25519_dalek::{Signer, SigningKey};
    SigningKey::from_bytes(&[9; 32]).sign(payload).to_bytes()
}

fn signed_postcard(payload: &[u8]) -> Vec<u8> {
    [
        &string(payload)[..],
        &signature(payload),
        &string(b"coordinator-1"),
    ]
    .concat()
}

fn signed_json(payload: &[u8]) -> Vec<u8> {
    let document = serde_json::json!({
        "payload": payload,
        "signature": &signature(payload)[..],
        "signer_id": "coordinator-1",
    });
    document.to_string().into_bytes()
}
