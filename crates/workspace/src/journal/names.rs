//! Names of headers apart from their values: those of most entries are the same, and are kept once for all of them.

use std::sync::Arc;

use super::headers::pairs;

/// How many different ones are looked at: plain answers and streams, lists, uploads.
const RECENT: usize = 4;

/// The names that entries have had lately.
#[derive(Debug, Default)]
pub(super) struct Names {
    recent: Vec<Arc<str>>,
    /// Where those of the next entry are written.
    room: String,
}

impl Names {
    /// Takes the names out of `headers` and leaves their values in `values`; [`joined`] is the way back.
    pub(super) fn take(&mut self, headers: &str, values: &mut Vec<u8>) {
        for (name, value) in pairs(headers) {
            self.room.push_str(name);
            self.room.push('\0');
            values.extend_from_slice(value.as_bytes());
            values.push(b'\n');
        }
        self.room.push('\n');
    }

    /// All that were taken since the last time.
    pub(super) fn taken(&mut self) -> Arc<str> {
        let known = self.recent.iter().find(|known| ***known == *self.room);
        let taken = known.cloned().unwrap_or_else(|| {
            let new: Arc<str> = self.room.as_str().into();
            self.recent.truncate(RECENT - 1);
            self.recent.insert(0, Arc::clone(&new));
            new
        });
        self.room.clear();
        taken
    }
}

/// The headers whose names were taken as number `at` among these.
pub(super) fn joined(names: &str, at: usize, values: &str) -> String {
    let names = names.split('\n').nth(at).unwrap_or_default();
    let values = values.split_terminator('\n');
    let pairs = names.split_terminator('\0').zip(values);
    let mut headers = String::new();
    for (name, value) in pairs {
        headers.push_str(name);
        headers.push('\0');
        headers.push_str(value);
        headers.push('\n');
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_share_their_names() {
        let mut names = Names::default();
        let mut keep = |request: &str, answer: &str| {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            names.take(request, &mut first);
            names.take(answer, &mut second);
            let taken = names.taken();
            for (at, (values, headers)) in [(first, request), (second, answer)].iter().enumerate() {
                let values = std::str::from_utf8(values).unwrap();
                assert_eq!(joined(&taken, at, values), *headers);
            }
            taken
        };
        let one = keep("a\0b\nc\0\n", "d\0e, f\r\n");
        assert!(Arc::ptr_eq(&one, &keep("a\0x\nc\0y\n", "d\0z\n")));
        assert!(!Arc::ptr_eq(&one, &keep("a\0x\n", "c\0y\nd\0z\n")));
        keep("", "");
        assert!(Arc::ptr_eq(&one, &keep("a\0\nc\0\n", "d\0\n")));
        for n in 0..10 {
            keep(&format!("{n}\0x\n"), "");
        }
        assert_eq!(names.recent.len(), RECENT);
    }
}
