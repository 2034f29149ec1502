//! The init begins at its own `_start` and brings what a C library would: the linker adds nothing.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=guest-init.ld");
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for argument in [
        "-T",
        &format!("{folder}/guest-init.ld"),
        "--build-id=none",
        "--icf=all",
        "-O2",
        "-znognustack",
        "-znorelro",
        "--no-eh-frame-hdr",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
