//! The fields of a line, as `tracing_subscriber` writes them, in a fraction of the time where no terminal is to show colours:
//! each answer has a line of ten.

use std::error::Error;
use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

#[derive(Debug)]
pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        if writer.has_ansi_escapes() {
            let mut visitor = DefaultVisitor::new(writer, true);
            fields.record(&mut visitor);
            return visitor.finish();
        }
        let mut visitor = Plain {
            writer,
            is_first: true,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Plain<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    result: fmt::Result,
}

impl Plain<'_> {
    fn write(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let space = if self.is_first { "" } else { " " };
        self.is_first = false;
        self.result = self.result.and_then(|()| {
            self.writer.write_str(space)?;
            self.writer.write_str(field.name())?;
            self.writer.write_str("=")?;
            write(&mut self.writer)
        });
    }

    /// What has rules of its own: the message, an error with its causes.
    fn as_usual(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        let mut usual = DefaultVisitor::new(self.writer.by_ref(), self.is_first);
        record(&mut usual);
        let result = usual.finish();
        self.is_first = false;
        self.result = self.result.and(result);
    }
}

impl Visit for Plain<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // The same as its `Debug`, which looks at every character.
        let is_plain = |c: u8| matches!(c, b' '..=b'~') && c != b'"' && c != b'\\';
        if !is_named(field) {
            self.as_usual(|usual| usual.record_str(field, value));
        } else if value.bytes().all(is_plain) {
            self.write(field, |to| {
                to.write_str("\"")?;
                to.write_str(value)?;
                to.write_str("\"")
            });
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.as_usual(|usual| usual.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if is_named(field) {
            self.write(field, |to| write!(to, "{value:?}"));
        } else {
            self.as_usual(|usual| usual.record_debug(field, value));
        }
    }
}

/// Whether it is written as `name=value`.
fn is_named(field: &Field) -> bool {
    field.name() != "message" && !field.name().starts_with("r#")
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format::DefaultFields;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged<F>(fields: F, has_colours: bool) -> String
    where
        F: for<'a> FormatFields<'a> + Send + Sync + 'static,
    {
        let kept = Kept::default();
        let to = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .without_time()
            .with_ansi(has_colours)
            .fmt_fields(fields)
            .with_writer(move || to.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let error: &(dyn Error + 'static) =
                &common::hinted::Mistake::caused("what", io::Error::other("why"));
            let span = tracing::info_span!("request", id = %"req_1", name = "a\"b", more = tracing::field::Empty);
            let _within = span.enter();
            span.record("more", 7);
            tracing::info!(n = 1, big = u64::MAX, yes = true, f = 0.5, "a message");
            tracing::warn!(error, text = "ä\n\u{1b}[31m", of = ?Some(1), r#type = "t", "a \u{1b}[0m message");
            tracing::error!(only = "a field", none = None::<&str>);
            tracing::error!("{} alone", "it");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_are_those_that_the_library_writes() {
        for has_colours in [false, true] {
            let usual = logged(DefaultFields::new(), has_colours);
            assert_eq!(logged(Fields, has_colours), usual);
            assert_eq!(usual.lines().count(), 4, "{usual}");
        }
    }
}
