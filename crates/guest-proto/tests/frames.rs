//! Properties of the frame codec: any split gives the same frames, garbage gives an error.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use sandtable_guest_proto::{
    Command, DecodeError, Decoder, Frame, GENERATION, MAGIC, MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES,
    Request, RequestBody, Settings, encode,
};

fn request() -> impl Strategy<Value = Request> {
    let body = prop_oneof![
        Just(RequestBody::Ping {}),
        Just(RequestBody::Cancel {}),
        any::<bool>().prop_map(|last| RequestBody::Chunk { last }),
        (any::<String>(), any::<String>())
            .prop_map(|(output_dir, name)| RequestBody::Get { output_dir, name }),
        Just(RequestBody::Hello {
            generation: GENERATION,
            settings: Settings::default()
        }),
        (any::<String>(), any::<u64>()).prop_map(|(tag, timeout_ms)| RequestBody::Exec {
            command: Command::Python { tag },
            input_dir: "0123456789abcdef".to_owned(),
            output_dir: "0123456789abcdef".to_owned(),
            timeout_ms,
            env: BTreeMap::new(),
        }),
    ];
    (any::<u64>(), body).prop_map(|(call, body)| Request { call, body })
}

fn drain(decoder: &mut Decoder) -> Result<Vec<Frame>, DecodeError> {
    std::iter::from_fn(|| decoder.next_frame().transpose()).collect()
}

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_frames(
        messages in vec((request(), vec(any::<u8>(), 0..600)), 0..6),
        cuts in vec(1usize..97, 1..40),
    ) {
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|(message, payload)| encode(message, payload).unwrap())
            .collect();
        let mut decoder = Decoder::new();
        let mut frames = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            decoder.push(now);
            frames.extend(drain(&mut decoder).unwrap());
            rest = later;
        }
        let got: Vec<(Request, Vec<u8>)> = frames
            .into_iter()
            .map(|frame| (frame.header().unwrap(), frame.payload))
            .collect();
        prop_assert_eq!(got, messages);
        prop_assert_eq!(decoder.pending(), 0);
    }

    #[test]
    fn garbage_never_panics_and_an_error_stays(
        chunks in vec(vec(any::<u8>(), 0..64), 0..20),
    ) {
        let mut decoder = Decoder::new();
        let mut failed = None;
        for chunk in chunks {
            decoder.push(&chunk);
            let result = drain(&mut decoder);
            if let Some(first) = &failed {
                prop_assert_eq!(&result, &Err(DecodeError::clone(first)));
            }
            failed = failed.or(result.err());
        }
    }

    #[test]
    fn a_damaged_byte_gives_another_message_or_an_error_but_no_panic(
        message in request(),
        payload in vec(any::<u8>(), 0..64),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let mut bytes = encode(&message, &payload).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        if let Ok(frames) = drain(&mut decoder) {
            for frame in frames {
                drop(frame.header::<Request>());
            }
        }
    }
}

fn prelude(generation: u16, header_bytes: usize, payload_bytes: usize) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(generation.to_le_bytes());
    bytes.extend([0, 0]);
    for length in [header_bytes, payload_bytes] {
        bytes.extend(u32::try_from(length).expect("a small number").to_le_bytes());
    }
    bytes
}

#[test]
fn announced_lengths_over_the_caps_are_refused_before_the_bytes_come() {
    let mut decoder = Decoder::new();
    decoder.push(&prelude(GENERATION, MAX_HEADER_BYTES + 1, 0));
    assert_eq!(
        decoder.next_frame(),
        Err(DecodeError::HeaderTooLong(MAX_HEADER_BYTES + 1))
    );
    let mut decoder = Decoder::new();
    decoder.push(&prelude(GENERATION, 2, MAX_PAYLOAD_BYTES + 1));
    assert_eq!(
        decoder.next_frame(),
        Err(DecodeError::PayloadTooLong(MAX_PAYLOAD_BYTES + 1))
    );
}

#[test]
fn another_generation_is_named_before_its_header_is_read() {
    let mut decoder = Decoder::new();
    decoder.push(&prelude(GENERATION + 1, 2, 0));
    assert_eq!(
        decoder.next_frame(),
        Err(DecodeError::Generation(GENERATION + 1))
    );
}

#[test]
fn the_first_wrong_byte_is_an_error_at_once() {
    let mut decoder = Decoder::new();
    decoder.push(b"b");
    assert!(matches!(decoder.next_frame(), Err(DecodeError::Magic(_))));
}

#[test]
fn a_field_of_a_later_server_does_not_disturb() {
    let later = br#"{"call":7,"body":{"hello":{"generation":1,"last_seen":3,"settings":{"brand_new":true}}}}"#;
    let request: Request = serde_json::from_slice(later).unwrap();
    assert_eq!(
        request.body,
        RequestBody::Hello {
            generation: 1,
            settings: Settings::default()
        }
    );
}
