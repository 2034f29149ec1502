//! The kernel's modules, as its package has them: files, compressed or not, or built into the kernel.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, While};

/// A module that has to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Without a suffix.
    pub name: &'static str,
    /// With the suffix that says how it is compressed.
    pub file_name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// As init tries them.
const SUFFIXES: [&str; 4] = ["ko", "ko.xz", "ko.zst", "ko.gz"];

/// Those of `wanted`, pairs of a folder and a name, that are files, in the same order. `root` is the folder
/// that has `kernel/`.
///
/// # Errors
/// [`Error::NotHeld`] where one is neither a file nor built into the kernel, and what reading says.
pub fn find(root: &Path, wanted: &[(&str, &'static str)]) -> Result<Vec<Module>, Error> {
    let list = root.join("modules.builtin");
    let built_in = fs::read_to_string(&list).doing(list.display())?;
    let mut found = Vec::new();
    for &(folder, name) in wanted {
        let files = SUFFIXES.iter().map(|suffix| {
            let file_name = format!("{name}.{suffix}");
            let path = root.join("kernel").join(folder).join(&file_name);
            Module { name, file_name, path }
        });
        if let Some(module) = files.into_iter().find(|module| module.path.is_file()) {
            found.push(module);
        } else if !built_in.lines().any(|line| line == format!("kernel/{folder}/{name}.ko")) {
            return Err(Error::NotHeld(format!("a module {folder}/{name} in {}", root.display())));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [(&str, &str); 3] =
        [("drivers/virtio", "virtio"), ("net/core", "failover"), ("net", "vsock")];

    fn kernel(builtin: &str, files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("modules.builtin"), builtin).unwrap();
        for file in files {
            let path = root.path().join("kernel").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn files_are_found_however_they_are_compressed() {
        let root = kernel("", &["drivers/virtio/virtio.ko", "net/core/failover.ko.xz", "net/vsock.ko.zst"]);
        let found = find(root.path(), &WANTED).unwrap();
        let names: Vec<_> = found.iter().map(|module| (module.name, module.file_name.as_str())).collect();
        assert_eq!(
            names,
            [("virtio", "virtio.ko"), ("failover", "failover.ko.xz"), ("vsock", "vsock.ko.zst")]
        );
        assert!(found.iter().all(|module| module.path.is_file()));
    }

    #[test]
    fn what_is_built_in_is_not_loaded() {
        let root =
            kernel("kernel/drivers/virtio/virtio.ko\nkernel/net/core/failover.ko\n", &["net/vsock.ko"]);
        let found = find(root.path(), &WANTED).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "vsock");
    }

    #[test]
    fn what_is_nowhere_is_said() {
        let root =
            kernel("kernel/drivers/virtio/virtio.ko\nkernel/net/vsock.ko.old\n", &["net/core/failover.ko"]);
        let error = find(root.path(), &WANTED).unwrap_err().to_string();
        assert!(error.contains("a module net/vsock in "), "{error}");
    }
}
