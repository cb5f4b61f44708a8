//! Reading what the guest says, for every test that holds its pipe.

use std::io::Read;

use guest_proto::{Answer, Decoder, Frame};

/// The next frame, with its header read.
pub(crate) fn next(output: &mut impl Read, decoder: &mut Decoder) -> (Answer, Frame) {
    let mut buffer = [0; 4096];
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return (frame.header().unwrap(), frame);
        }
        let read = output.read(&mut buffer).unwrap();
        assert!(read > 0, "the guest is gone");
        decoder.push(&buffer[..read]);
    }
}
