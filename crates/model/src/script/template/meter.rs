//! The bytes that one rendering may make and read, and the functions that count them.

use std::cell::Cell;

use minijinja::value::{Rest, Value as Item, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters};

use common::limits;

/// What the names begin with that [`super::respell`] writes and no script needs.
pub(super) const PREFIX: &str = "sandtable_";
pub(super) const MADE: &str = "sandtable_made";
pub(super) const READ: &str = "sandtable_read";
pub(super) const KEPT: &str = "sandtable_kept";
pub(super) const TIMES: &str = "sandtable_times";
pub(super) const CONCAT: &str = "sandtable_concat";
pub(super) const PLUS: &str = "sandtable_plus";

/// The bytes that a value takes beside its text.
const ITEM_BYTES: u64 = 64;

thread_local! {
    /// The bytes that the rendering on this thread may still make, and read.
    static LEFT: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Runs one rendering with a full measure.
pub(super) fn metered<T>(render: impl FnOnce() -> T) -> T {
    let before = LEFT.replace((limits::TEMPLATE_BYTES, limits::TEMPLATE_READ_BYTES));
    let done = render();
    LEFT.set(before);
    done
}

/// Teaches an environment to count.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter(MADE, made);
    environment.add_filter(READ, |value: Item| read(&value).map(|()| value));
    environment.add_filter(KEPT, kept);
    environment.add_filter(TIMES, times);
    environment.add_function(CONCAT, |args: Rest<Item>| concat(&args));
    environment.add_function(PLUS, |args: Rest<Item>| plus(&args));
    environment.set_formatter(|out, state, value| {
        make(weigh(value)?)?;
        minijinja::escape_formatter(out, state, value)
    });
    guard(
        environment,
        "indent",
        Item::from_function(filters::indent),
        indented,
    );
    guard(
        environment,
        "join",
        Item::from_function(filters::join),
        joined,
    );
    guard(
        environment,
        "replace",
        Item::from_function(filters::replace),
        replaced,
    );
    guard(
        environment,
        "format",
        Item::from_function(filters::format),
        formatted,
    );
    guard(
        environment,
        "tojson",
        Item::from_function(filters::tojson),
        encoded,
    );
    guard(
        environment,
        "batch",
        Item::from_function(filters::batch),
        filled,
    );
    guard(
        environment,
        "slice",
        Item::from_function(filters::slice),
        filled,
    );
    for (name, filter) in [
        ("chain", Item::from_function(filters::chain)),
        ("zip", Item::from_function(filters::zip)),
        ("split", Item::from_function(filters::split)),
        ("lines", Item::from_function(filters::lines)),
        ("pprint", Item::from_function(filters::pprint)),
        ("list", Item::from_function(filters::list)),
        ("string", Item::from_function(filters::string)),
    ] {
        guard(environment, name, filter, all);
    }
    for name in ["in", "eq", "equalto", "==", "ne", "!="] {
        let test = match name {
            "in" => Item::from_function(minijinja::tests::is_in),
            "ne" | "!=" => Item::from_function(minijinja::tests::is_ne),
            _ => Item::from_function(minijinja::tests::is_eq),
        };
        environment.add_test(
            name,
            move |state: &mut State, args: Rest<Item>| -> Result<bool, Error> {
                args.iter().try_for_each(read)?;
                test.call(state, &args).map(|value| value.is_true())
            },
        );
    }
}

/// Puts `cost` before a filter of the engine's: what it is about to make, of its arguments.
fn guard(
    environment: &mut Environment<'static>,
    name: &'static str,
    filter: Item,
    cost: fn(&[Item]) -> Result<u64, Error>,
) {
    environment.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
        let args: Vec<Item> = args.0.into_iter().map(Item::from).collect();
        // `map` applies it many times before anybody sees what came of it.
        make(cost(&args)?)?;
        filter.call(state, &args)
    });
}

fn too_much() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!(
            "it makes or reads too much, the most is {} bytes made and {} read",
            limits::TEMPLATE_BYTES,
            limits::TEMPLATE_READ_BYTES
        ),
    )
}

/// Whether there is room for so much; it is counted when it is there.
fn check(bytes: u64) -> Result<(), Error> {
    if bytes > LEFT.get().0 {
        return Err(too_much());
    }
    Ok(())
}

fn make(bytes: u64) -> Result<(), Error> {
    let (made, read) = LEFT.get();
    LEFT.set((made.checked_sub(bytes).ok_or_else(too_much)?, read));
    Ok(())
}

fn read(value: &Item) -> Result<(), Error> {
    let bytes = weigh(value)?;
    let (made, read) = LEFT.get();
    LEFT.set((made, read.checked_sub(bytes).ok_or_else(too_much)?));
    Ok(())
}

/// The bytes that a value would take if every part of it were written out.
fn weigh(value: &Item) -> Result<u64, Error> {
    let (made, read) = LEFT.get();
    let mut room = made.max(read);
    let all = room;
    weigh_into(value, &mut room, 0)?;
    Ok(all - room)
}

fn weigh_into(value: &Item, room: &mut u64, depth: usize) -> Result<(), Error> {
    let text = value.as_str().map_or(0, str::len) as u64;
    *room = room.checked_sub(ITEM_BYTES + text).ok_or_else(too_much)?;
    if depth > limits::TEMPLATE_DEPTH {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!(
                "a value is nested deeper than {} levels",
                limits::TEMPLATE_DEPTH
            ),
        ));
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            for item in value.try_iter()? {
                weigh_into(&item, room, depth + 1)?;
            }
        }
        ValueKind::Map => {
            for key in value.try_iter()? {
                weigh_into(&key, room, depth + 1)?;
                weigh_into(&value.get_item(&key)?, room, depth + 1)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Counts what an operation has made. What is made only when it is read is made now: a chain of such
/// values is as deep as it is long.
fn made(value: Item) -> Result<Item, Error> {
    make(weigh(&value)?)?;
    let lazy = value.kind() == ValueKind::Iterable
        || value
            .as_object()
            .is_some_and(|object| object.type_name().contains("Merge"));
    if !lazy {
        return Ok(value);
    }
    if value.kind() == ValueKind::Map {
        let keys = value.try_iter()?;
        let pairs: Result<Vec<(Item, Item)>, Error> = keys
            .map(|key| value.get_item(&key).map(|item| (key, item)))
            .collect();
        return Ok(Item::from_pairs(pairs?));
    }
    Ok(value.try_iter()?.collect())
}

/// A value that a namespace may keep: not a namespace, which might lead back to itself.
fn kept(value: Item) -> Result<Item, Error> {
    if holds_namespace(&value) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "a namespace cannot keep a namespace",
        ));
    }
    Ok(value)
}

fn holds_namespace(value: &Item) -> bool {
    if value
        .as_object()
        .is_some_and(|object| object.type_name().contains("Namespace"))
    {
        return true;
    }
    match value.kind() {
        ValueKind::Seq => value
            .try_iter()
            .is_ok_and(|mut items| items.any(|item| holds_namespace(&item))),
        ValueKind::Map => value.try_iter().is_ok_and(|mut keys| {
            keys.any(|key| {
                value
                    .get_item(&key)
                    .is_ok_and(|item| holds_namespace(&item))
            })
        }),
        _ => false,
    }
}

fn integer(value: &Item) -> Option<i128> {
    // A float that is whole is no integer.
    value
        .is_integer()
        .then(|| i128::try_from(value.clone()).ok())?
}

fn number(value: &Item) -> Option<f64> {
    match value.kind() {
        ValueKind::Number | ValueKind::Bool => f64::try_from(value.clone()).ok(),
        _ => None,
    }
}

fn whole(value: i128) -> Item {
    i64::try_from(value).map_or_else(|_| Item::from(value), Item::from)
}

fn impossible(sign: &str, left: &Item, right: &Item) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!(
            "tried to use {sign} operator on unsupported types {} and {}",
            left.kind(),
            right.kind()
        ),
    )
}

fn is_list(value: &Item) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

#[expect(clippy::needless_pass_by_value, reason = "filters take values")]
fn times(left: Item, right: Item) -> Result<Item, Error> {
    let bool_as_number = |value: &Item| {
        integer(value)
            .or_else(|| (value.kind() == ValueKind::Bool).then(|| i128::from(value.is_true())))
    };
    for (many, count) in [(&left, &right), (&right, &left)] {
        if many.as_str().is_none() && !is_list(many) {
            continue;
        }
        let count = integer(count)
            .and_then(|count| usize::try_from(count).ok())
            .ok_or_else(|| impossible("*", &left, &right))?;
        // A text that is made longer is one still.
        let bytes = match many.as_str() {
            Some(text) => (text.len() as u64)
                .saturating_mul(count as u64)
                .saturating_add(ITEM_BYTES),
            None => weigh(many)?.saturating_mul(count as u64),
        };
        check(bytes)?;
        make(bytes)?;
        if let Some(text) = many.as_str() {
            return Ok(Item::from(text.repeat(count)));
        }
        let items: Vec<Item> = many.try_iter()?.collect();
        let total = items.len() * count;
        return Ok(items.into_iter().cycle().take(total).collect());
    }
    match (bool_as_number(&left), bool_as_number(&right)) {
        (Some(a), Some(b)) => a.checked_mul(b).map(whole),
        _ => number(&left)
            .zip(number(&right))
            .map(|(a, b)| Item::from(a * b)),
    }
    .ok_or_else(|| impossible("*", &left, &right))
}

fn concat(parts: &[Item]) -> Result<Item, Error> {
    let mut text = String::new();
    for part in parts {
        make(weigh(part)?)?;
        match part.as_str() {
            Some(part) => text.push_str(part),
            None => text.push_str(&part.to_string()),
        }
    }
    Ok(Item::from(text))
}

fn plus(parts: &[Item]) -> Result<Item, Error> {
    let mut parts = parts.iter();
    let mut sum = parts.next().cloned().unwrap_or_default();
    for part in parts {
        sum = plus_one(&sum, part)?;
    }
    Ok(sum)
}

fn plus_one(left: &Item, right: &Item) -> Result<Item, Error> {
    let integers = integer(left).zip(integer(right));
    if let Some(sum) = integers.and_then(|(a, b)| a.checked_add(b)) {
        return Ok(whole(sum));
    }
    if let Some((a, b)) = number(left).zip(number(right)) {
        return Ok(Item::from(a + b));
    }
    if let Some((a, b)) = left.as_str().zip(right.as_str()) {
        make((a.len() + b.len()) as u64)?;
        return Ok(Item::from([a, b].concat()));
    }
    if is_list(left) && is_list(right) {
        make(weigh(left)? + weigh(right)?)?;
        return Ok(left.try_iter()?.chain(right.try_iter()?).collect());
    }
    Err(impossible("+", left, right))
}

fn text_bytes(value: Option<&Item>) -> u64 {
    value.and_then(Item::as_str).map_or(0, str::len) as u64
}

/// The largest number among the arguments, named ones included.
fn largest(args: &[Item]) -> u64 {
    args.iter().map(largest_in).max().unwrap_or(0)
}

fn largest_in(value: &Item) -> u64 {
    match value.kind() {
        ValueKind::Number => u64::try_from(value.clone()).unwrap_or(0),
        ValueKind::Map | ValueKind::Plain => value.try_iter().map_or(0, |keys| {
            keys.filter_map(|key| value.get_item(&key).ok())
                .map(|item| largest_in(&item))
                .max()
                .unwrap_or(0)
        }),
        _ => 0,
    }
}

fn all(args: &[Item]) -> Result<u64, Error> {
    args.iter()
        .try_fold(0, |sum: u64, value| Ok(sum.saturating_add(weigh(value)?)))
}

#[expect(clippy::unnecessary_wraps, reason = "others of the table can fail")]
fn indented(args: &[Item]) -> Result<u64, Error> {
    let text = args.first().and_then(Item::as_str).unwrap_or_default();
    let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64 + 1;
    let width = largest(args.get(1..).unwrap_or_default());
    Ok(lines
        .saturating_mul(width)
        .saturating_add(text.len() as u64))
}

fn joined(args: &[Item]) -> Result<u64, Error> {
    let Some(list) = args.first() else {
        return Ok(0);
    };
    let items = match list.as_str() {
        Some(text) => text.len(),
        None => list.len().unwrap_or(0),
    } as u64;
    let between = text_bytes(args.get(1));
    Ok(weigh(list)?.saturating_add(items.saturating_mul(between)))
}

#[expect(clippy::unnecessary_wraps, reason = "others of the table can fail")]
fn replaced(args: &[Item]) -> Result<u64, Error> {
    let [text, from, to, ..] = args else {
        return Ok(0);
    };
    let (text, from) = (
        text.as_str().unwrap_or_default(),
        from.as_str().unwrap_or_default(),
    );
    let found = if from.is_empty() {
        text.len() + 1
    } else {
        memchr::memmem::find_iter(text.as_bytes(), from.as_bytes()).count()
    } as u64;
    let grown = found.saturating_mul(text_bytes(Some(to)));
    Ok(grown.saturating_add(text.len() as u64))
}

/// Every number in the pattern, and every argument, may be a width.
fn formatted(args: &[Item]) -> Result<u64, Error> {
    let pattern = args.first().and_then(Item::as_str).unwrap_or_default();
    let digits = pattern.split(|c: char| !c.is_ascii_digit());
    let widths = digits
        .filter(|digits| !digits.is_empty())
        .fold(0u64, |sum, digits| {
            sum.saturating_add(digits.parse().unwrap_or(u64::MAX))
        });
    let stars = memchr::memchr_iter(b'*', pattern.as_bytes()).count() as u64;
    let starred = stars.saturating_mul(largest(args.get(1..).unwrap_or_default()));
    Ok(all(args)?.saturating_add(widths).saturating_add(starred))
}

/// An indentation is written before each part, as often as it lies deep.
fn encoded(args: &[Item]) -> Result<u64, Error> {
    let Some(value) = args.first() else {
        return Ok(0);
    };
    let bytes = weigh(value)?;
    let parts = bytes / ITEM_BYTES;
    let width = largest(args.get(1..).unwrap_or_default());
    let deep = if width > 8 {
        limits::TEMPLATE_DEPTH as u64
    } else {
        1
    };
    Ok(bytes.saturating_add(parts.saturating_mul(width).saturating_mul(deep)))
}

fn filled(args: &[Item]) -> Result<u64, Error> {
    let count = largest(args.get(1..2).unwrap_or_default());
    let fill = args.get(2).map(weigh).transpose()?.unwrap_or(ITEM_BYTES);
    Ok(all(args)?.saturating_add(count.saturating_mul(fill)))
}
