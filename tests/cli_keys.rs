//! `keygen`, `sign` and `verify` as a program sees them.
#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mvm_core::naming::SignerId;
use mvm_core::signing::{
    DocumentKey, DocumentPublicKey, Guest, Host, PublicKey, SecretKey, SignedDocument,
};
use serde_json::{Value, json};
use tempfile::TempDir;

fn run_with(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mvm-core"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn run(args: &[&str]) -> Output {
    run_with(args, b"")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn error(output: &Output) -> String {
    let document = document(output);
    assert_eq!(document["ok"], false);
    document["error"].as_str().unwrap().to_owned()
}

/// A directory with the key of a signer and the public half, as `keygen` makes them.
struct Signer {
    directory: TempDir,
    key: String,
    public: String,
}

impl Signer {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (key, public) = (path("signer.key"), path("signer.pub"));
        let output = run(&["keygen", "document", &key, "--public-out", &public]);
        assert_eq!(code(&output), 0, "{output:?}");
        Self {
            directory,
            key,
            public,
        }
    }

    fn path(&self, name: &str) -> String {
        self.directory
            .path()
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// `name`, signed.
    fn sign(&self, content: &[u8]) -> Vec<u8> {
        let output = run_with(
            &["sign", "--key", &self.key, "--signer", "coordinator-1"],
            content,
        );
        assert_eq!(code(&output), 0, "{output:?}");
        output.stdout
    }

    fn trust(&self) -> String {
        format!("coordinator-1={}", self.public)
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_key_is_made() {
    let directory = tempfile::tempdir().unwrap();
    for usage in ["document", "signer", "host", "guest"] {
        let file = directory.path().join(usage);
        let public = directory.path().join(format!("{usage}.pub"));
        let args = [
            "keygen",
            usage,
            file.to_str().unwrap(),
            "--public-out",
            public.to_str().unwrap(),
            "--json",
        ];
        let output = run(&args);
        assert_eq!(code(&output), 0, "{output:?}");
        let told = document(&output);
        let secret = fs::read_to_string(&file).unwrap();
        let text = fs::read_to_string(&public).unwrap();
        let fingerprint = match usage {
            "host" => {
                let public = PublicKey::<Host>::from_text(&text).unwrap();
                assert_eq!(
                    SecretKey::<Host>::from_text(&secret).unwrap().public(),
                    public
                );
                public.fingerprint()
            }
            "guest" => {
                let public = PublicKey::<Guest>::from_text(&text).unwrap();
                assert_eq!(
                    SecretKey::<Guest>::from_text(&secret).unwrap().public(),
                    public
                );
                public.fingerprint()
            }
            _ => {
                let public = DocumentPublicKey::from_text(&text).unwrap();
                assert_eq!(DocumentKey::from_text(&secret).unwrap().public(), public);
                public.fingerprint()
            }
        };
        assert_eq!(told["fingerprint"], fingerprint.to_string());
        assert_eq!(told["public_text"], text.trim_end());
        assert!(text.contains(told["public_key"].as_str().unwrap()));
        assert_eq!(told["usage"], usage.replace("signer", "document"));
        let digits = secret.trim_end().rsplit(' ').next().unwrap();
        assert_eq!(digits.len(), 64);
        let all = [output.stdout.as_slice(), &output.stderr].concat();
        assert!(
            !String::from_utf8(all).unwrap().contains(digits),
            "the secret is shown"
        );
        #[cfg(unix)]
        assert_eq!((mode(&file), mode(&public) & 0o133), (0o600, 0));
    }
    // Nothing else is left.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 8);
}

#[test]
fn every_key_is_another_one() {
    let (one, other) = (Signer::new(), Signer::new());
    assert_ne!(fs::read(&one.key).unwrap(), fs::read(&other.key).unwrap());
}

#[test]
fn a_file_is_not_overwritten_unless_it_is_said() {
    let signer = Signer::new();
    let before = fs::read(&signer.key).unwrap();
    let new = signer.path("new.key");
    for args in [
        &["keygen", "host", &signer.key][..],
        // Neither is written where one of them cannot be.
        &["keygen", "host", &new, "--public-out", &signer.public],
    ] {
        let output = run(args);
        assert_eq!(code(&output), 1, "{output:?}");
        assert!(output.stdout.is_empty());
        let output = run(&[args, &["--json"]].concat());
        assert_eq!(code(&output), 1);
        assert!(error(&output).contains("the file exists"));
    }
    assert_eq!(fs::read(&signer.key).unwrap(), before);
    assert_eq!(fs::read_dir(signer.directory.path()).unwrap().count(), 2);

    assert_eq!(code(&run(&["keygen", "host", &signer.key, "--force"])), 0);
    let text = fs::read_to_string(&signer.key).unwrap();
    assert!(SecretKey::<Host>::from_text(&text).is_ok());
}

#[cfg(unix)]
#[test]
fn a_key_is_never_open_to_others() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    // What stands there may be anybody's, and may lead anywhere.
    fs::write(path("open"), "old").unwrap();
    fs::set_permissions(path("open"), fs::Permissions::from_mode(0o666)).unwrap();
    symlink(path("open"), path("link")).unwrap();
    for name in ["link", "open"] {
        let output = run(&["keygen", "host", path(name).to_str().unwrap(), "--force"]);
        assert_eq!(code(&output), 0, "{output:?}");
        assert_eq!(mode(&path(name)), 0o600);
        if name == "link" {
            assert_eq!(fs::read_to_string(path("open")).unwrap(), "old");
        }
    }
    // A link that leads nowhere is in the way, too.
    symlink(path("nowhere"), path("dangling")).unwrap();
    assert_eq!(
        code(&run(&[
            "keygen",
            "host",
            path("dangling").to_str().unwrap()
        ])),
        1
    );
    assert!(!path("nowhere").exists());
    // A directory is not replaced.
    let output = run(&[
        "keygen",
        "host",
        directory.path().to_str().unwrap(),
        "--force",
    ]);
    assert_eq!(code(&output), 2);
    let output = run(&["keygen", "host", "/nonexistent/directory/key", "--json"]);
    assert_eq!(code(&output), 2);
    assert!(error(&output).contains("/nonexistent/directory/key"));
}

#[test]
fn what_is_signed_verifies() {
    let signer = Signer::new();
    for content in [&b"{\"a\": 1}\n"[..], b"", &[0, 0xff, 0x1b]] {
        let signed = signer.sign(content);
        // As 0.13.0 has it.
        let members: Value = serde_json::from_slice(&signed).unwrap();
        let names: Vec<_> = members.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["payload", "signature", "signer_id"]);
        assert_eq!(members["payload"], json!(content));

        let output = run_with(&["verify", "--trust", &signer.trust()], &signed);
        assert_eq!(code(&output), 0, "{output:?}");
        assert_eq!(output.stdout, content);

        let file = signer.write("signed.json", &signed);
        let output = run(&["verify", &file, "--trust", &signer.trust(), "--json"]);
        let told = document(&output);
        let payload = match std::str::from_utf8(content) {
            Ok(text) => json!(text),
            Err(_) => json!(content),
        };
        assert_eq!(
            told,
            json!({
                "ok": true, "file": file, "signer": "coordinator-1", "not_after": null,
                "payload": payload, "admission": null,
            })
        );
        let out = signer.path("out");
        let output = run(&["verify", &file, "--trust", &signer.trust(), "--out", &out]);
        assert_eq!(code(&output), 0, "{output:?}");
        assert!(output.stdout.is_empty());
        assert_eq!(fs::read(&out).unwrap(), content);
    }
}

/// What another implementation signed, with the keys of RFC 8032.
#[test]
fn what_others_signed_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = |hex: &Value| -> Vec<u8> {
        let hex = hex.as_str().unwrap();
        let digits = (0..hex.len()).step_by(2);
        digits
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    };
    let mut rows = 0;
    for line in include_str!("vectors/signing/rfc8032.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let trusted = directory.path().join("trusted");
        let public = row["public"].as_str().unwrap();
        fs::write(
            &trusted,
            format!("# of the RFC\n\n  old-signer  mvm-core-key v1 document public {public}\n"),
        )
        .unwrap();
        let message = bytes(&row["message"]);
        let signed = json!({
            "payload": message, "signature": bytes(&row["signature"]), "signer_id": "old-signer",
        });
        let args = ["verify", "--trusted", trusted.to_str().unwrap()];
        let output = run_with(&args, signed.to_string().as_bytes());
        assert_eq!(code(&output), 0, "{output:?}");
        assert_eq!(output.stdout, message);

        // One bit of it.
        let mut bad = signed.clone();
        let first = bad["signature"][0].as_u64().unwrap();
        bad["signature"][0] = (first ^ 1).into();
        let output = run_with(&args, bad.to_string().as_bytes());
        assert_eq!((code(&output), output.stdout.len()), (1, 0));
        rows += 1;
    }
    assert_eq!(rows, 5);
}

#[test]
fn nothing_is_written_of_what_does_not_verify() {
    let (signer, other) = (Signer::new(), Signer::new());
    let signed = String::from_utf8(signer.sign(b"SECRET PLANS")).unwrap();
    let trust = signer.trust();
    let elsewhere = format!("coordinator-1={}", other.public);
    let unknown = format!("coordinator-2={}", signer.public);
    let reserved = json!({
        "payload": b"mvm-core/x".to_vec(), "signature": vec![0; 64], "signer_id": "coordinator-1",
    });
    for (text, trust, said) in [
        (
            signed.replacen("83,69", "83,68", 1),
            &trust,
            "the signature fits no key",
        ),
        (signed.clone(), &elsewhere, "the signature fits no key"),
        (signed.clone(), &unknown, "the signer is not trusted"),
        (
            signed.replace("coordinator-1", "coordinator-2"),
            &trust,
            "not trusted",
        ),
        (reserved.to_string(), &trust, "must not begin"),
    ] {
        let out = signer.path("never");
        let output = run_with(
            &["verify", "--trust", trust, "--out", &out],
            text.as_bytes(),
        );
        assert_eq!((code(&output), output.stdout.len()), (1, 0), "{output:?}");
        assert!(
            String::from_utf8(output.stderr).unwrap().contains(said),
            "{said}"
        );
        assert!(!Path::new(&out).exists());
        let output = run_with(&["verify", "--trust", trust, "--json"], text.as_bytes());
        assert_eq!(code(&output), 1);
        assert!(error(&output).contains(said));
        assert!(
            document(&output)["signer"]
                .as_str()
                .unwrap()
                .starts_with("coordinator-")
        );
    }
    // What is no signed document is told as `check` tells it.
    for text in [
        "",
        "{}",
        "[1",
        "{\"payload\":[1],\"signature\":[2],\"signer_id\":\"A\"}",
    ] {
        let output = run_with(&["verify", "--trust", &trust, "--json"], text.as_bytes());
        assert_eq!(code(&output), 1, "{text}");
        assert_eq!(document(&output)["type"], "SignedPayload");
        let output = run_with(&["verify", "--trust", &trust], text.as_bytes());
        assert_eq!((code(&output), output.stdout.len()), (1, 0), "{text}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_key_has_its_time() {
    let signer = Signer::new();
    let public = fs::read_to_string(&signer.public).unwrap();
    let public = public.trim_end();
    let trusted = signer.write(
        "trusted",
        format!(
            "coordinator-1 {public} not-before=2026-01-01T00:00:00Z not-after=2026-06-01T00:00:00Z\n"
        ),
    );
    let signed = signer.write("signed.json", signer.sign(b"x"));
    for (at, code_wanted) in [
        ("2025-12-31T23:59:59.999Z", 1),
        ("2026-01-01T00:00:00Z", 0),
        ("2026-06-01T02:00:00+02:00", 0),
        ("2026-06-01T00:00:00.000000001Z", 1),
    ] {
        let output = run(&[
            "verify",
            &signed,
            "--trusted",
            &trusted,
            "--at",
            at,
            "--json",
        ]);
        assert_eq!(code(&output), code_wanted, "{at}: {output:?}");
        if code_wanted == 0 {
            assert_eq!(document(&output)["not_after"], "2026-06-01T00:00:00Z");
        }
    }
    assert_eq!(
        code(&run(&[
            "verify",
            &signed,
            "--trusted",
            &trusted,
            "--at",
            "yesterday"
        ])),
        2
    );
}

#[test]
fn trusted_keys_that_cannot_be_read() {
    let signer = Signer::new();
    let signed = signer.write("signed.json", signer.sign(b"x"));
    let public = fs::read_to_string(&signer.public).unwrap();
    let public = public.trim_end();
    let late = "2026-01-01T00:00:00Z";
    let early = "2025-01-01T00:00:00Z";
    for (line, said) in [
        (format!("Coordinator {public}"), ""),
        ("coordinator-1".to_owned(), "not a key file"),
        (
            format!("coordinator-1 {}", &public[..public.len() - 1]),
            "digits",
        ),
        (
            format!("coordinator-1 {}", public.replace("document", "host")),
            "usage",
        ),
        (format!("coordinator-1 {public} until={late}"), "until"),
        (
            format!("coordinator-1 {public} not-after=soon"),
            "not-after",
        ),
        (
            format!("coordinator-1 {public} not-after={late} not-after={late}"),
            "twice",
        ),
        (
            format!("coordinator-1 {public} not-before={late} not-after={early}"),
            "before it begins",
        ),
    ] {
        let file = signer.write("trusted", format!("# comment\n{line}\n"));
        let output = run(&["verify", &signed, "--trusted", &file, "--json"]);
        assert_eq!(code(&output), 2, "{line}");
        let error = error(&output);
        assert!(
            error.contains(&format!("{file}:2: ")) && error.contains(said),
            "{error}"
        );
    }
    // A secret key is no public one, and nothing of it is shown.
    let secret = fs::read_to_string(&signer.key).unwrap();
    let digits = secret.trim_end().rsplit(' ').next().unwrap();
    let trust = format!("coordinator-1={}", signer.key);
    let line = signer.write("trusted", format!("coordinator-1 {secret}"));
    for args in [["--trust", &trust], ["--trusted", &line]] {
        let output = run(&[&["verify", &signed][..], &args].concat());
        assert_eq!(code(&output), 2);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("does not hold a public key") && !said.contains(digits),
            "{said}"
        );
    }
    for args in [
        &["verify", &signed][..],
        &["verify", &signed, "--trust", "coordinator-1"],
        &["verify", &signed, "--trusted", "/nonexistent"],
        &["verify", "/nonexistent", "--trust", &signer.trust()],
    ] {
        assert_eq!(code(&run(args)), 2, "{args:?}");
    }
}

#[test]
fn keys_that_sign_nothing() {
    let signer = Signer::new();
    let sign = |key: &str| run_with(&["sign", "--key", key, "--signer", "coordinator-1"], b"x");
    let host = signer.path("host.key");
    assert_eq!(code(&run(&["keygen", "host", &host])), 0);
    let secret = fs::read_to_string(&signer.key).unwrap();
    let digits = secret.trim_end().rsplit(' ').next().unwrap();
    let long = signer.write("long", format!("{secret}{secret}"));
    let binary = signer.write("binary", [0xff; 90]);
    let bare = signer.write("bare", digits);
    #[cfg(unix)]
    for file in [&long, &binary, &bare] {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(file, private).unwrap();
    }
    for (key, said) in [
        (host.as_str(), "not for this usage"),
        (&long, "hexadecimal digits"),
        (&binary, "not a key file"),
        (&bare, "not a key file"),
        ("/nonexistent", "/nonexistent"),
    ] {
        let output = sign(key);
        assert_eq!((code(&output), output.stdout.len()), (2, 0), "{key}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said) && !text.contains(digits), "{text}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for (mode, wanted) in [(0o604, 2), (0o620, 2), (0o440, 0), (0o400, 0)] {
            fs::set_permissions(&signer.key, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(code(&sign(&signer.key)), wanted, "{mode:o}");
        }
    }
}

#[test]
fn what_is_not_signed() {
    let signer = Signer::new();
    let args = ["sign", "--key", &signer.key, "--signer", "coordinator-1"];
    let output = run_with(&args, b"mvm-core/session");
    assert_eq!((code(&output), output.stdout.len()), (1, 0));
    // Only what is valid, if that is asked for.
    let typed = [&args[..], &["--type", "routing-table"]].concat();
    let output = run_with(&typed, b"{\"routes\": 1}");
    assert_eq!((code(&output), output.stdout.len()), (1, 0));
    assert!(String::from_utf8(output.stderr).unwrap().contains("routes"));
    let output = run_with(&[&typed[..], &["--json"]].concat(), b"{\"routes\": 1}");
    assert_eq!(document(&output)["problems"][0]["path"], "routes");
    assert_eq!(code(&run_with(&typed, b"{\"routes\": []}")), 0);
    for args in [
        &["sign", "--key", &signer.key][..],
        &["sign", "--key", &signer.key, "--signer", "NOT AN ID"],
        &[
            "sign",
            "/nonexistent",
            "--key",
            &signer.key,
            "--signer",
            "coordinator-1",
        ],
    ] {
        assert_eq!(code(&run(args)), 2, "{args:?}");
    }
}

#[test]
fn into_a_file_and_as_json() {
    let signer = Signer::new();
    let out = signer.path("signed.json");
    let args = ["sign", "--key", &signer.key, "--signer", "coordinator-1"];
    let output = run_with(&[&args[..], &["--out", &out, "--json"]].concat(), b"{}");
    assert_eq!(code(&output), 0, "{output:?}");
    let told = document(&output);
    assert_eq!(
        (&told["file"], &told["document"]),
        (&json!(out), &Value::Null)
    );
    let signed: SignedDocument = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    assert_eq!(signed.signer_id(), &SignerId::new("coordinator-1").unwrap());

    let output = run_with(&[&args[..], &["--json"]].concat(), b"{}");
    let told = document(&output);
    assert_eq!(told["document"], serde_json::to_value(&signed).unwrap());
    assert_eq!(told["file"], Value::Null);

    // It is replaced as a whole, and a link stays one.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let link = signer.path("link.json");
        std::os::unix::fs::symlink(&out, &link).unwrap();
        fs::set_permissions(&out, fs::Permissions::from_mode(0o640)).unwrap();
        let output = run_with(&[&args[..], &["--out", &link]].concat(), b"[]");
        assert_eq!(code(&output), 0, "{output:?}");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(mode(Path::new(&out)), 0o640);
        let signed: SignedDocument = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
        assert_eq!(signed.unverified_payload(), b"[]");
        let output = run_with(&[&args[..], &["--out", "/dev/null"]].concat(), b"[]");
        assert_eq!(code(&output), 2);
    }
}

#[test]
fn what_a_node_admits() {
    let signer = Signer::new();
    let state = |sequence: u64| json!({"schema_version": 1, "node_id": "node-1", "tenants": [], "sequence": sequence});
    let timed = json!({ "expires_at": "2026-06-01T12:10:00Z", "desired_state": state(12) });
    let signed = signer.sign(timed.to_string().as_bytes());
    let at = "2026-06-01T12:00:00Z";
    let trust = signer.trust();
    let verify = |more: &[&str]| {
        let args = [
            "verify",
            "--trust",
            &trust,
            "--at",
            at,
            "--json",
            "--type",
            "timed-state",
        ];
        run_with(&[&args[..], more].concat(), &signed)
    };
    let output = verify(&["--node", "node-1"]);
    assert_eq!(code(&output), 0, "{output:?}");
    let admission = &document(&output)["admission"];
    assert_eq!(
        (&admission["sequence"], &admission["repeated"]),
        (&json!(12), &json!(false))
    );
    assert_eq!(admission["expires_at"], "2026-06-01T12:10:00Z");

    // The record is what the next one is checked against.
    let record = signer.write("record.json", admission["record"].to_string());
    let output = verify(&["--node", "node-1", "--record", &record]);
    assert_eq!(document(&output)["admission"]["repeated"], true);
    let mut newer = admission["record"].clone();
    newer["sequence"] = json!(13);
    let newer = signer.write("newer.json", newer.to_string());
    for (more, said) in [
        (&["--node", "node-2"][..], "for node-1, not for this node"),
        (
            &["--node", "node-1", "--record", &newer],
            "sequence 12 is older than 13",
        ),
        (
            &["--node", "node-1", "--at-least", "13"],
            "sequence 12 is older than 13",
        ),
    ] {
        let output = verify(more);
        assert_eq!(code(&output), 1, "{more:?}");
        assert!(error(&output).contains(said), "{more:?}");
    }
    let args = ["verify", "--trust", &trust, "--node", "node-1"];
    let late = [&args[..], &["--at", "2026-06-01T12:20:00Z"]].concat();
    let output = run_with(&late, &signed);
    assert_eq!((code(&output), output.stdout.len()), (1, 0));

    // A bare state never ends.
    let bare = signer.sign(state(1).to_string().as_bytes());
    assert_eq!(code(&run_with(&args, &bare)), 1);
    assert_eq!(
        code(&run_with(
            &[&args[..], &["--without-expiry"]].concat(),
            &bare
        )),
        0
    );
    // What is not one, though it is signed.
    assert_eq!(code(&run_with(&args, &signer.sign(b"{}"))), 1);

    let broken: PathBuf = signer.write("broken.json", "{}").into();
    let output = verify(&["--node", "node-1", "--record", broken.to_str().unwrap()]);
    assert_eq!(code(&output), 2, "{output:?}");
    assert_eq!(code(&verify(&["--at-least", "1"])), 2);
}
