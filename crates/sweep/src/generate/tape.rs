//! Choices as numbers: drawn from a seed and written down, or read from what was written down.

use std::collections::VecDeque;

use super::Calls;

/// Where the choices of a case come from.
#[derive(Debug)]
pub(super) struct Tape {
    /// The choices so far.
    chosen: Vec<u32>,
    source: Source,
    /// How many pieces a drawn conversation has at most.
    size: u64,
    /// How many characters a text has at most.
    room: usize,
    /// How many models have declined in the conversation so far.
    declined: u32,
}

#[derive(Debug)]
enum Source {
    /// Choices that were written down; those after them are zero.
    Given(VecDeque<u32>),
    Drawn(Dice),
}

/// Splitmix64: small, and the same on every machine.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Tape {
    /// Choices that are made now.
    pub(super) fn drawn(seed: u64, index: u64, size: u64, calls: Calls) -> Self {
        let mut dice = Dice(seed);
        let stream = dice.roll() ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93);
        Self {
            // The first choice is no matter of chance.
            chosen: vec![u32::from(calls == Calls::Real)],
            source: Source::Drawn(Dice(stream)),
            size,
            room: usize::MAX,
            declined: 0,
        }
    }

    /// Choices that were made before.
    pub(super) fn given(numbers: &[u32]) -> Self {
        Self {
            chosen: Vec::new(),
            source: Source::Given(numbers.iter().copied().collect()),
            size: u64::MAX,
            room: usize::MAX,
            declined: 0,
        }
    }

    /// Whether calls run; always the first choice.
    pub(super) fn calls(&mut self) -> Calls {
        let real = match &self.source {
            Source::Drawn(_) => self.chosen == [1],
            Source::Given(_) => self.flag(),
        };
        if real { Calls::Real } else { Calls::Given }
    }

    /// Texts are no longer than this from now on.
    pub(super) fn narrow(&mut self, room: usize) {
        self.room = room;
    }

    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// One model more declines; how many have before.
    pub(super) fn decline(&mut self) -> u32 {
        self.declined += 1;
        self.declined - 1
    }

    /// A number below `most`; 0 is the simplest.
    pub(super) fn below(&mut self, most: u32) -> u32 {
        let most = most.max(1);
        let number = match &mut self.source {
            Source::Given(numbers) => numbers.pop_front().unwrap_or(0) % most,
            Source::Drawn(dice) => u32::try_from(dice.roll() % u64::from(most)).unwrap_or(0),
        };
        self.chosen.push(number);
        number
    }

    /// The same as an index.
    pub(super) fn index(&mut self, most: usize) -> usize {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        usize::try_from(self.below(most)).unwrap_or(0)
    }

    /// One of these; the first is the simplest.
    pub(super) fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.index(of.len())]
    }

    /// No, or yes.
    pub(super) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Whether there is one piece more, after `so_far`; zero ends.
    pub(super) fn more(&mut self, so_far: u64) -> bool {
        if so_far >= MOST_OF_ALL {
            return false;
        }
        // Where it was drawn, the end is written down as any choice.
        if matches!(self.source, Source::Drawn(_)) && so_far >= self.size {
            self.chosen.push(0);
            return false;
        }
        self.below(MORE) > 0
    }

    /// All choices, without zeros at the end.
    pub(super) fn used(mut self) -> Vec<u32> {
        while self.chosen.last() == Some(&0) {
            self.chosen.pop();
        }
        self.chosen
    }
}

/// Of so many, all but one say that a conversation goes on.
const MORE: u32 = 8;
/// More pieces no tape can ask for: a turn's answers are bounded, too.
const MOST_OF_ALL: u64 = 64;

/// Simpler tapes than this one, the boldest first: with stretches left out, then with zeros in their place, then with
/// smaller numbers. Each is shorter, or as long and smaller, so that taking whatever still fails comes to an end.
pub fn smaller(tape: &[u32]) -> impl Iterator<Item = Vec<u32>> + use<> {
    let tape = tape.to_vec();
    let spans = spans(tape.len());
    let (without, zeroed) = (spans.clone(), spans);
    let (first, second, third) = (tape.clone(), tape.clone(), tape);
    let cut = without.map(move |(from, to)| [&first[..from], &first[to..]].concat());
    let zero = zeroed.filter_map(move |(from, to)| {
        let changes = second[from..to].iter().any(|number| *number > 0);
        changes.then(|| {
            let mut next = second.clone();
            next[from..to].fill(0);
            next
        })
    });
    let less = (0..third.len()).flat_map(move |at| {
        let number = third[at];
        let smaller = [number / 2, number.saturating_sub(1)];
        let tape = third.clone();
        smaller
            .into_iter()
            .filter(move |value| *value < number && *value > 0)
            .map(move |value| {
                let mut next = tape.clone();
                next[at] = value;
                next
            })
    });
    cut.chain(zero).chain(less)
}

/// Stretches of a tape, the longest first, from its end to its beginning.
fn spans(length: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    std::iter::successors(Some(length), |span| Some(span / 2))
        .take_while(|span| *span > 0)
        .flat_map(move |span| {
            let count = length.div_ceil(span);
            (0..count).rev().map(move |nth| {
                let from = nth * span;
                (from, (from + span).min(length))
            })
        })
}
