//! Answers that come compressed, though they were asked for as they are: some proxies and gateways do so. Whoever reads,
//! records, or compares one needs it plain.

use std::io;

use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use futures_util::{Stream, StreamExt as _, stream};

use super::UpstreamError;

/// How much is decoded at a time: it may become a thousand times as much.
const PIECE_BYTES: usize = 4096;

/// How a body is compressed that is undone here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// What these values of `content-encoding` say: `None` where the body is as it is, an error where nobody here undoes it.
    pub(super) fn of<'a>(
        values: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, OtherCoding> {
        let values: Vec<_> = values.map(String::from_utf8_lossy).collect();
        let codings = values.iter().flat_map(|value| value.split(','));
        let codings: Vec<String> = codings
            .map(|coding| coding.trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != "identity")
            .collect();
        match codings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Ok(None),
            ["gzip" | "x-gzip"] => Ok(Some(Self::Gzip)),
            ["deflate"] => Ok(Some(Self::Deflate)),
            _ => Err(OtherCoding(codings.join(", "))),
        }
    }
}

/// Why the body of an answer is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the service sent it in the encoding `{0}`, which is not decoded here, though it was asked for as it is"
)]
pub struct OtherCoding(String);

/// What undoes a coding. Made when something has come: an answer to HEAD has a coding and no body.
enum Decoder {
    Gzip(MultiGzDecoder<Vec<u8>>),
    Zlib(ZlibDecoder<Vec<u8>>),
    Deflate(DeflateDecoder<Vec<u8>>),
}

impl Decoder {
    fn new(coding: Coding, first: u8) -> Self {
        // The low bits of the first byte of zlib's head. Some send `deflate` without that.
        let is_zlib = first & 0x0f == 8;
        match coding {
            Coding::Gzip => Self::Gzip(MultiGzDecoder::new(Vec::new())),
            Coding::Deflate if is_zlib => Self::Zlib(ZlibDecoder::new(Vec::new())),
            Coding::Deflate => Self::Deflate(DeflateDecoder::new(Vec::new())),
        }
    }

    /// All that is known once this has come.
    fn feed(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        let plain = match self {
            Self::Gzip(decoder) => fed(decoder, bytes)?.get_mut(),
            Self::Zlib(decoder) => fed(decoder, bytes)?.get_mut(),
            Self::Deflate(decoder) => fed(decoder, bytes)?.get_mut(),
        };
        Ok(std::mem::take(plain).into())
    }

    /// What is left at the end.
    fn finish(self) -> io::Result<Bytes> {
        Ok(Bytes::from(match self {
            Self::Gzip(decoder) => decoder.finish()?,
            Self::Zlib(decoder) => decoder.finish()?,
            Self::Deflate(decoder) => decoder.finish()?,
        }))
    }
}

fn fed<'a, W: io::Write>(decoder: &'a mut W, bytes: &[u8]) -> io::Result<&'a mut W> {
    decoder.write_all(bytes)?;
    // Of a stream each event goes on when it comes.
    decoder.flush()?;
    Ok(decoder)
}

/// A body with this coding, plain.
pub(super) fn plain<S>(
    coding: Coding,
    pieces: S,
) -> impl Stream<Item = Result<Bytes, UpstreamError>> + Send
where
    S: Stream<Item = Result<Bytes, UpstreamError>> + Send + Unpin,
{
    let state = (pieces, None::<Decoder>, Bytes::new());
    stream::try_unfold(Some(state), move |state| async move {
        let Some((mut pieces, mut decoder, mut piece)) = state else {
            return Ok(None);
        };
        loop {
            while piece.is_empty() {
                let Some(next) = pieces.next().await else {
                    let rest = decoder.map_or_else(|| Ok(Bytes::new()), Decoder::finish);
                    return Ok(Some((rest.map_err(UpstreamError::Coded)?, None)));
                };
                piece = next?;
            }
            let some = piece.split_to(piece.len().min(PIECE_BYTES));
            let of_now = decoder.get_or_insert_with(|| Decoder::new(coding, some[0]));
            let plain = of_now.feed(&some).map_err(UpstreamError::Coded)?;
            if !plain.is_empty() {
                return Ok(Some((plain, Some((pieces, decoder, piece)))));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    fn packed(coding: &str, text: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            "zlib" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            _ => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn unpacked(coding: Coding, pieces: &[&[u8]]) -> Result<Vec<Bytes>, UpstreamError> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let all = plain(coding, stream::iter(pieces)).collect::<Vec<_>>();
        let all = futures_util::FutureExt::now_or_never(all).unwrap();
        all.into_iter().collect()
    }

    #[test]
    fn codings_are_told_from_all_values() {
        let other = |text: &str| Err(OtherCoding(text.to_owned()));
        for (values, coding) in [
            (&[][..], Ok(None)),
            (&["identity", ""], Ok(None)),
            (&["GZIP"], Ok(Some(Coding::Gzip))),
            (&["identity", "x-gzip"], Ok(Some(Coding::Gzip))),
            (&["deflate"], Ok(Some(Coding::Deflate))),
            (&["gzip, br"], other("gzip, br")),
            (&["gzip", "gzip"], other("gzip, gzip")),
        ] {
            let values = values.iter().map(|value: &&str| value.as_bytes());
            assert_eq!(Coding::of(values), coding);
        }
    }

    #[test]
    fn an_event_goes_on_when_it_has_come_and_what_is_torn_is_said() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"event one").unwrap();
        encoder.flush().unwrap();
        let first = std::mem::take(encoder.get_mut());
        encoder.write_all(b"event two").unwrap();
        let second = encoder.finish().unwrap();
        let pieces = unpacked(Coding::Gzip, &[&first, &second]).unwrap();
        assert_eq!(pieces[0], "event one");
        assert_eq!(pieces.concat(), b"event oneevent two");
        for torn in [&first[..], &first[..5], b"no gzip at all"] {
            let error = unpacked(Coding::Gzip, &[torn]).unwrap_err();
            assert!(matches!(error, UpstreamError::Coded(_)), "{error}");
        }
        assert_eq!(unpacked(Coding::Gzip, &[]).unwrap().concat(), b"");
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_however_it_is_cut(
            text in prop::collection::vec(any::<u8>(), 0..20_000),
            cut in 0usize..200,
        ) {
            for (coding, form) in [
                (Coding::Gzip, "gzip"),
                (Coding::Deflate, "zlib"),
                (Coding::Deflate, "deflate"),
            ] {
                let packed = packed(form, &text);
                let (a, b) = packed.split_at(cut.min(packed.len()));
                let pieces = unpacked(coding, &[a, b]).unwrap();
                prop_assert_eq!(pieces.concat(), text.clone());
            }
        }
    }
}
