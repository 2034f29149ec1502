#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mvm_core_fuzz::run("flake_ref", data));
