//! Images for the kernel to unpack into its first file system: cpio archives of the form `newc`.
//!
//! ```text
//! member:  "070701", 13 numbers of 8 hexadecimal digits, name, NUL, padding, content, padding
//! numbers: inode, mode, uid, gid, links, time, size, 4 device numbers, length of the name with its NUL, 0
//! ```
//!
//! Padding is to a multiple of 4 bytes from the beginning. The last member is called `TRAILER!!!`.

use std::collections::BTreeSet;

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_755;

/// An image that is being written.
#[derive(Debug, Default)]
pub struct Initramfs {
    bytes: Vec<u8>,
    members: u32,
    folders: BTreeSet<String>,
}

impl Initramfs {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file that may be executed, with the folders it lies in. `path` has no slash at its
    /// beginning.
    #[must_use]
    pub fn file(mut self, path: &str, content: &[u8]) -> Self {
        for (at, _) in path.match_indices('/') {
            let folder = &path[..at];
            if self.folders.insert(folder.to_owned()) {
                self.member(folder, DIRECTORY, &[]);
            }
        }
        self.member(path, FILE, content);
        self
    }

    /// The whole image.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.member("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn member(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.members += 1;
        let size = u32::try_from(content.len()).expect("members are small");
        let name_len = u32::try_from(name.len() + 1).expect("names are short");
        let numbers = [self.members, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_len, 0];
        self.bytes.extend_from_slice(b"070701");
        for number in numbers {
            self.bytes.extend_from_slice(format!("{number:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn image() -> Vec<u8> {
        Initramfs::new()
            .file("init", b"12345")
            .file("lib/modules/a.ko", b"a")
            .file("lib/modules/b.ko", &[7; 5000])
            .finish()
    }

    #[test]
    fn members_lie_at_multiples_of_four() {
        let image = image();
        assert_eq!(image.len() % 4, 0);
        assert_eq!(&image[..6], b"070701");
        assert_eq!(&image[110..115], b"init\0");
        assert_eq!(&image[116..121], b"12345");
        assert_eq!(&image[124..130], b"070701");
        let trailer = image.len() - 14;
        assert_eq!(&image[trailer..trailer + 10], b"TRAILER!!!");
    }

    /// The kernel is the reader that counts; this is the one that is at hand.
    #[test]
    fn another_program_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = match Command::new("cpio")
            .args(["-i", "-d", "--quiet"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .spawn()
        {
            Ok(child) => child,
            Err(error) => return eprintln!("skipped: cpio: {error}"),
        };
        child.stdin.take().unwrap().write_all(&image()).unwrap();
        assert!(child.wait().unwrap().success());
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read("init"), b"12345");
        assert_eq!(read("lib/modules/a.ko"), b"a");
        assert_eq!(read("lib/modules/b.ko"), [7; 5000]);
    }
}
