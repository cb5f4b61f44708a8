//! Turns as the ledger keeps them: ten thousand for each workspace, so none takes more than a hundred bytes or so, and
//! none leaves small blocks among those of the requests meanwhile.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{ContainerUse, Tokens, Turn};

/// One turn.
#[derive(Debug)]
pub(super) struct Row {
    message_id: Id,
    pub(super) at: DateTime<Utc>,
    /// The same as that of the turn before, mostly.
    pub(super) model: Arc<str>,
    pub(super) tokens: Tokens,
    pub(super) web_searches: u64,
    pub(super) batch: bool,
    pub(super) container: Option<Box<ContainerUse>>,
}

impl Row {
    /// A turn that comes after `last`.
    pub(super) fn of(turn: Turn<'_>, last: Option<&Self>) -> Self {
        let Turn {
            message_id,
            at,
            model,
            tokens,
            web_searches,
            batch,
            container,
        } = turn;
        let model = match last {
            Some(last) if *last.model == *model => Arc::clone(&last.model),
            Some(_) | None => Arc::from(model),
        };
        Self {
            message_id: Id::of(message_id),
            at,
            model,
            tokens,
            web_searches,
            batch,
            container: container.map(Box::new),
        }
    }

    pub(super) fn message_id(&self) -> &str {
        self.message_id.text()
    }
}

/// Ids of ours have 28 bytes.
const SHORT_BYTES: usize = 30;

#[derive(Debug)]
enum Id {
    Short([u8; SHORT_BYTES], u8),
    Long(Box<str>),
}

impl Id {
    fn of(text: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short(bytes, length)
            }
            (Some(_) | None, Ok(_) | Err(_)) => Self::Long(text.into()),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Short(bytes, length) => {
                str::from_utf8(&bytes[..usize::from(*length)]).unwrap_or_default()
            }
            Self::Long(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_whatever_its_length() {
        for text in [
            "",
            "msg_1",
            &"é".repeat(15),
            &"é".repeat(16),
            &"x".repeat(300),
        ] {
            assert_eq!(Id::of(text).text(), text);
        }
    }

    #[test]
    fn a_row_is_small_and_shares_the_model_of_the_one_before() {
        let turn = |model| Turn {
            message_id: "msg_1",
            at: DateTime::UNIX_EPOCH,
            model,
            tokens: Tokens::default(),
            web_searches: 0,
            batch: false,
            container: None,
        };
        let first = Row::of(turn("a"), None);
        let second = Row::of(turn("a"), Some(&first));
        assert!(Arc::ptr_eq(&first.model, &second.model));
        assert_eq!(&*Row::of(turn("b"), Some(&second)).model, "b");
        assert!(size_of::<Row>() <= 120, "{}", size_of::<Row>());
    }
}
