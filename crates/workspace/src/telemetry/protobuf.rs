//! As much of protobuf as a trace needs to be written: `opentelemetry.proto.trace.v1`, and what it is made of.
//!
//! Five field types do not need a compiler of schemas, nor the crates that come with one. A test lets the official
//! classes decode what is written here.

use super::span::{Kind, Span, Value};

/// The number of a field and how its value is written.
fn key(out: &mut Vec<u8>, field: u32, wire: u8) {
    varint(out, u64::from((field << 3) | u32::from(wire)));
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, 0);
    varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    bytes(out, field, &inner);
}

/// A `KeyValue`.
fn attribute(out: &mut Vec<u8>, field: u32, name: &str, value: &Value) {
    message(out, field, |pair| {
        bytes(pair, 1, name.as_bytes());
        message(pair, 2, |any| match value {
            Value::Text(text) => bytes(any, 1, text.as_bytes()),
            Value::Flag(flag) => number(any, 2, u64::from(*flag)),
            Value::Number(count) => number(any, 3, *count),
        });
    });
}

fn span(out: &mut Vec<u8>, span: &Span) {
    let Span {
        trace_id,
        own_id,
        parent,
        name,
        kind,
        begun_nanos,
        ended_nanos,
        attributes,
        error,
    } = span;
    bytes(out, 1, trace_id);
    bytes(out, 2, own_id);
    if let Some(parent) = parent {
        bytes(out, 4, parent);
    }
    bytes(out, 5, name.as_bytes());
    number(
        out,
        6,
        match kind {
            Kind::Internal => 1,
            Kind::Server => 2,
        },
    );
    fixed64(out, 7, *begun_nanos);
    fixed64(out, 8, *ended_nanos);
    for (name, value) in attributes {
        attribute(out, 9, name, value);
    }
    if let Some(error) = error {
        message(out, 15, |status| {
            bytes(status, 2, error.as_bytes());
            number(status, 3, 2);
        });
    }
}

/// An `ExportTraceServiceRequest`.
pub(super) fn request(spans: &[Span]) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, 1, |resource_spans| {
        message(resource_spans, 1, |resource| {
            for (name, value) in [
                ("service.name", "sandtable"),
                ("service.version", env!("CARGO_PKG_VERSION")),
            ] {
                attribute(resource, 1, name, &Value::Text(value.to_owned()));
            }
        });
        message(resource_spans, 2, |scope_spans| {
            message(scope_spans, 1, |scope| bytes(scope, 1, b"sandtable"));
            for each in spans {
                message(scope_spans, 2, |out| span(out, each));
            }
        });
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_groups_of_seven_bits() {
        let mut out = Vec::new();
        for value in [0, 127, 128, 300, u64::MAX] {
            varint(&mut out, value);
        }
        let max = [&[0xff; 9][..], &[0x01]].concat();
        assert_eq!(out, [&[0, 0x7f, 0x80, 0x01, 0xac, 0x02][..], &max].concat());
    }
}
