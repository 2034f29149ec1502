//! Disks that are full: the system itself writes less than it should, and then nothing.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::strace::prepared;
use crate::subject::{End, Seen, Subject, judge};

/// What `unshare` and `mount` could not do is told of by this.
const NO_RIGHTS: i32 = 77;

pub(crate) fn full(subject: &dyn Subject) -> Result<String, String> {
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    // A file grows to 4 or 8 KiB (the unit differs between shells) and no further: one short write, one error.
    let directory = prepared(subject);
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" act \"$1\" \"$2\"";
    let output = Command::new("sh")
        .args(["-c", script, program, subject.name()])
        .arg(directory.path())
        .output()
        .unwrap();
    if output.status.code() != Some(3) {
        return Err(format!("no room for the file: {output:?}"));
    }
    if judge(subject, directory.path(), End::Refused, false)? != Seen::Old {
        return Err("no room for the file, and it is there".into());
    }
    // A file system of 96 KiB.
    let directory = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=96k faults \"$2\" || exit 77; exec \"$0\" full-inside \"$1\" \"$2\"";
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--map-root-user",
            "sh",
            "-c",
            script,
            program,
            subject.name(),
        ])
        .arg(directory.path())
        .output();
    let disk = match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        Ok(output)
            if output.status.code() != Some(NO_RIGHTS)
                && !output.stderr.starts_with(b"unshare") =>
        {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        _ => "no rights to mount a small file system".to_owned(),
    };
    Ok(format!(
        "{}: a file that may not grow; {}",
        subject.name(),
        disk.trim()
    ))
}

/// In a small file system of one's own.
pub(crate) fn inside(subject: &dyn Subject, directory: &Path) -> Result<String, String> {
    subject.prepare(directory);
    let filler = directory.join("filler");
    let mut file = File::create(&filler).unwrap();
    // All but one page, so that the first write is cut short.
    while file.write_all(&[0; 4096]).is_ok() {}
    let len = file.metadata().unwrap().len();
    file.set_len((len / 4096 - 1) * 4096).unwrap();
    let Err(failure) = subject.act(directory) else {
        return Err("the disk is full, and nobody was told".into());
    };
    if !failure.message.contains("No space left") {
        return Err(format!("another error: {}", failure.message));
    }
    if judge(subject, directory, End::Refused, false)? != Seen::Old {
        return Err("the disk is full, and the new is there".into());
    }
    drop(file);
    fs::remove_file(&filler).unwrap();
    subject.act(directory).map_err(|failure| failure.message)?;
    if judge(subject, directory, End::Acknowledged, false)? != Seen::New {
        return Err("there is room again, and the old is there".into());
    }
    Ok("a full disk, and then room again".into())
}
