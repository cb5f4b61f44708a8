#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sandtable_server::fuzzing::resync(data));
